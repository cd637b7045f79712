"""The manifest of a training run, `train.json`: what made a model, to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from ichlite.contracts.codec import Document
from ichlite.contracts.values import Count
from ichlite.labels import NAMES

SCHEMA: Literal["ichlite-train/1"] = "ichlite-train/1"
SPLITS = ("train", "validation", "test")


class TrainedStore(Document, frozen=True, kw_only=True):
    """One of the stores that a run was trained on.

    Attributes:
        name: Of its folder.
        kind: Of its data set: phantom, implant, rsna, cq500, ct-ich, csv.
        hash: Of its slices.
    """

    name: str
    kind: str | None
    hash: str


class LeftOutFold(Document, frozen=True, kw_only=True):
    """The fold of patients that a run left out, to be judged on them.

    Attributes:
        number: From 1.
        of: Folds in all.
        seed: Of the draw of patients.
    """

    number: Annotated[int, Meta(ge=1)]
    of: Annotated[int, Meta(ge=2)]
    seed: int = 0


class TrainingData(Document, frozen=True, kw_only=True):
    """What a run was trained on.

    Attributes:
        store: Names of the stores' folders.
        kind: Of the one store, or `joined`.
        stores: Each of them; empty in manifests of before several could be joined.
        fold: That was left out; None: none.
        all_patients: Whether every patient of real scans trained.
        store_hash, split_hash: Of the slices, and of who is in which split.
        images: Split → slices.
        train_positives: Subtype → positive slices of the training split.
    """

    store: str
    kind: str | None = None
    stores: tuple[TrainedStore, ...] = ()
    fold: LeftOutFold | None = None
    all_patients: bool = False
    store_hash: str
    split_hash: str = ""
    images: Mapping[str, Count]
    train_positives: Mapping[str, Count]

    def __post_init__(self) -> None:
        """Refuse counts that lack a split or a subtype."""
        for key, needed in (("images", SPLITS), ("train_positives", NAMES)):
            missing = [name for name in needed if name not in getattr(self, key)]
            if missing:
                raise ValueError(f"{key} without {missing[0]}")

    @property
    def kinds(self) -> list[str]:
        """Kinds of the stores, each once, in their order."""
        found = [one.kind for one in self.stores] or [self.kind]
        return list(dict.fromkeys(kind or "unknown" for kind in found))


class FingerprintText(Document, frozen=True, kw_only=True):
    """Hashes of the patients and series of the training split, as `data.fingerprint` packs them.

    Attributes:
        patients: How many.
        names, series: Packed hashes; None where they are too many for a bundle.
        sha256: Over the three.
    """

    patients: Count
    names: str | None
    series: str | None
    sha256: str


class Stretch(Document, frozen=True, kw_only=True):
    """A length that a run was trained to before it went on: epochs, and steps in all."""

    epochs: Count
    steps: Count


class RunResult(Document, frozen=True, kw_only=True):
    """How a run ended.

    Attributes:
        steps: Optimiser steps done.
        validation_mean_auc: Highest mean ROC AUC over subtypes; None where it was never defined.
        chosen_by: What the saved step was chosen by.
        best_step: After which `best.keras` was saved.
    """

    steps: Count
    validation_mean_auc: float | None
    chosen_by: str | UnsetType = UNSET
    best_step: Count | UnsetType = UNSET


class RunManifest(Document, frozen=True, kw_only=True):
    """What made a model.

    Attributes:
        command: That makes the run again, with the names of its stores.
        recipe: Arguments of `train.recipe.Recipe`, which checks them; those of later versions, too.
        data: What it was trained on.
        fingerprint: Of whom it was trained on; absent in older manifests.
        init_sha256: Of the checkpoint that it started from; None: random weights.
        versions: Package → version.
        backend: Of Keras.
        machine: Processor architecture.
        stretches: Lengths that it was trained to, the last included; absent until it ended.
        result: How it ended; absent until then.
    """

    schema: Literal["ichlite-train/1"]
    command: str
    recipe: Mapping[str, Any]
    data: TrainingData
    fingerprint: FingerprintText | UnsetType = UNSET
    init_sha256: str | None
    versions: Mapping[str, str]
    backend: str
    machine: str
    stretches: tuple[Stretch, ...] | UnsetType = UNSET
    result: RunResult | UnsetType = UNSET
