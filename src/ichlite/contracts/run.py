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
        name: Name of its folder.
        kind: Data set that it was prepared from: phantom, implant, rsna, cq500, ct-ich or csv; None
            where it is not known.
        hash: Hash of its slices.
    """

    name: str
    kind: str | None
    hash: str


class LeftOutFold(Document, frozen=True, kw_only=True):
    """The fold of patients that a run left out, to be judged on them.

    Attributes:
        number: Number of the fold, from 1.
        of: Number of folds.
        seed: Random seed that divided the patients.
    """

    number: Annotated[int, Meta(ge=1)]
    of: Annotated[int, Meta(ge=2)]
    seed: int = 0


class TrainingData(Document, frozen=True, kw_only=True):
    """The slices that a run was trained on.

    Attributes:
        store: Name of the store's folder; of several, the names with a space between them.
        kind: Data set of the store, or `joined` for several.
        stores: Every store; empty in old manifests.
        fold: Fold of patients that was left out; None: none.
        all_patients: Whether all patients of real scans trained, with none kept for validation.
        store_hash: Hash of all slices.
        split_hash: Hash of which patient is in which split.
        images: Split → number of slices.
        train_positives: Subtype → number of training slices that show it.
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
        """Raise ValueError for counts that lack a split or a subtype."""
        for key, needed in (("images", SPLITS), ("train_positives", NAMES)):
            missing = [name for name in needed if name not in getattr(self, key)]
            if missing:
                raise ValueError(f"{key} without {missing[0]}")

    @property
    def kinds(self) -> list[str]:
        """Data sets that the stores were prepared from, each once, in the order of the stores."""
        found = [one.kind for one in self.stores] or [self.kind]
        return list(dict.fromkeys(kind or "unknown" for kind in found))


class FingerprintText(Document, frozen=True, kw_only=True):
    """Hashes that tell whether a patient or series trained the model, but not who that is.

    Attributes:
        patients: Number of patients of the training split.
        names, series: Hashes of their names and of their series, packed by `data.fingerprint`;
            None where they are too many for a bundle.
        sha256: Hash of the three.
    """

    patients: Count
    names: str | None
    series: str | None
    sha256: str


class Stretch(Document, frozen=True, kw_only=True):
    """A length that a run was trained to, before it was extended or at its end.

    Attributes:
        epochs: Number of epochs.
        steps: Number of optimiser steps in all.
    """

    epochs: Count
    steps: Count


class RunResult(Document, frozen=True, kw_only=True):
    """How a run ended.

    Attributes:
        steps: Number of optimiser steps.
        validation_mean_auc: Highest mean ROC AUC over the subtypes on the validation split; None
            where it was never defined.
        chosen_by: How the weights of `best.keras` were chosen.
        best_step: Step after which `best.keras` was saved.
    """

    steps: Count
    validation_mean_auc: float | None
    chosen_by: str | UnsetType = UNSET
    best_step: Count | UnsetType = UNSET


class RunManifest(Document, frozen=True, kw_only=True):
    """Everything that is needed to train a model again.

    Attributes:
        schema: Name and version of this kind of document.
        command: Command that trains it again, with the names of its stores.
        recipe: Name of each argument of `train.recipe.Recipe` → its value; those of later versions
            are kept, too.
        data: Slices that it was trained on.
        fingerprint: Hashes of its patients and series; absent in old manifests.
        init_sha256: SHA-256 of the checkpoint that it started from; None: random weights.
        versions: Name of a package → its version.
        backend: Backend of Keras, such as tensorflow.
        machine: Architecture of the processor.
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
