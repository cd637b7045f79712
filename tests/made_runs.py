"""Manifests of training runs that nobody trained, for tests of what reads them."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from ichlite.contracts.run import (
    SCHEMA,
    FingerprintText,
    LeftOutFold,
    RunManifest,
    TrainedStore,
    TrainingData,
)
from ichlite.data.store import Store
from ichlite.labels import NAMES
from ichlite.train.recipe import Recipe
from ichlite.train.run_manifest import describe


def made_run(
    fingerprint: FingerprintText | Any = UNSET,
    *,
    kind: str = "toy",
    stores: tuple[str, ...] = (),
    store_hash: str = "0" * 64,
    all_patients: bool = False,
    fold: LeftOutFold | None = None,
    **recipe: Any,
) -> RunManifest:
    """Return a manifest.

    Args:
        fingerprint: Of whom it was trained on.
        kind: Of its store.
        stores: Kinds of the stores, where there are several.
        store_hash: Of its store.
        all_patients: Whether every patient trained.
        fold: That was left out.
        recipe: Arguments that differ from the defaults.
    """
    return RunManifest(
        schema=SCHEMA,
        command="ichlite train toys OUT",
        recipe=Recipe(**recipe).as_dict(),
        data=TrainingData(
            store="toys",
            kind=kind,
            stores=tuple(TrainedStore(name=one, kind=one, hash=one) for one in stores),
            all_patients=all_patients,
            fold=fold,
            store_hash=store_hash,
            images={"train": 10, "validation": 5, "test": 5},
            train_positives=dict.fromkeys(NAMES, 2),
        ),
        fingerprint=fingerprint,
        init_sha256=None,
        versions={},
        backend="tensorflow",
        machine="x86_64",
    )


def run_on(store: Store, recipe: Recipe | None = None) -> RunManifest:
    """Return the manifest that a run on a store begins with."""
    return describe(recipe or Recipe(), store, store_name="toy")
