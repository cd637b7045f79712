"""Make phantoms, train on them, and plot the ROC curve of any bleed on the test split."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
from sklearn.metrics import RocCurveDisplay

from ichlite.phantom.generate import Order, write_store
from ichlite.train import Recipe, StoreDataset, fit, open_store


def main(subjects: int = 40, epochs: int = 2, steps_per_epoch: int | None = None) -> None:
    write_store(Path("phantoms"), Order(subjects=subjects, seed=1, balance="training"))
    store = open_store("phantoms")
    run = fit(Recipe(epochs=epochs, steps_per_epoch=steps_per_epoch), store, "run")
    model = keras.models.load_model(run.folder / "best.keras")
    test = StoreDataset(store, "test")
    truth, score = test.labels.any(axis=1), model.predict(test, verbose=0).max(axis=1)
    plot = RocCurveDisplay.from_predictions(truth, score, name="any bleed")
    plot.figure_.savefig("roc.png")
    print(f"ROC AUC of any bleed {plot.roc_auc:.3f}: roc.png, {run.folder}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
