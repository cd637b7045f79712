"""Warn when patients who trained a model are in the data that it is evaluated on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichlite.contracts.run import RunManifest
from ichlite.data.fingerprint import NAMED_KINDS, read_fingerprint
from ichlite.data.join import metas_of
from ichlite.data.store import Store

PHANTOM = "phantom"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The patients and images of the data that a model is evaluated on.

    Attributes:
        kinds: (image,) kind of data set, such as `rsna`.
        patients: (image,) name of the patient.
        pixels: (image,) hash of the HU (`rows.pixel_sha256`).
        store_hash: Hash of the store; None where the data are no store.
        split: Name of the split of the store; None where the data are no store.
    """

    kinds: tuple[str, ...]
    patients: tuple[str, ...]
    pixels: tuple[str, ...]
    store_hash: str | None = None
    split: str | None = None

    @classmethod
    def of_store(cls, store: Store, rows: NDArray[np.int64], split: str) -> Evaluated:
        """Collect the patients and images of rows of a store.

        Args:
            store: Store of slices.
            rows: (image,) row numbers of the store.
            split: Name of the split that the rows are.
        """
        kinds = [str(meta.get("kind")) for meta in metas_of(store)]
        return cls(
            tuple(kinds[place] for place in store.origin[rows]),
            tuple(store.patient[rows].tolist()),
            tuple(store.pixel_sha256[rows].tolist()),
            store.hash,
            split,
        )


def seen_patients(training: RunManifest | None, evaluated: Evaluated) -> tuple[str, ...]:
    """Return the evaluated patients whose images were in the training data of the model.

    Args:
        training: Manifest of the run that trained the model; None where there is none.
        evaluated: Patients and images that are evaluated.

    Returns:
        Names of the patients; empty also where the manifest has no fingerprint of its patients.

    Raises:
        InputError: The manifest's fingerprint was changed.
    """
    known = None if training is None else read_fingerprint(training)
    if known is None:
        return ()
    return known.seen(evaluated.kinds, evaluated.patients, evaluated.pixels)


def seen_warnings(
    model: str, training: RunManifest | None, evaluated: Evaluated
) -> tuple[str, ...]:
    """Return a warning if a model is, or may be, evaluated on patients that it was trained on.

    Args:
        model: Name of the model.
        training: Manifest of the run that trained it; None where there is none.
        evaluated: Patients and images that are evaluated.

    Returns:
        A tuple of one line if patients are in both, or if that cannot be told; else empty.

    Raises:
        InputError: The manifest's fingerprint was changed.
    """
    seen = seen_patients(training, evaluated)
    if seen:
        everyone = len({*evaluated.patients})
        return (
            f"{len(seen)} of {everyone} patients in the data trained {model} "
            f"({_first(seen)}): its figures are better than it is",
        )
    unknown = (
        f"nothing says which patients trained {model}; whether they are in the data is not checked",
    )
    if training is None:
        return unknown
    if read_fingerprint(training) is not None:
        return ()
    data = training.data
    if data.store_hash == evaluated.store_hash:
        if evaluated.split != "train":
            return ()
        return (f"the train split of this store trained {model}",)
    if data.all_patients:
        both = sorted({*data.kinds} & {*evaluated.kinds} & {*NAMED_KINDS})
        if both:
            return (
                f"all patients of a store of {' and '.join(both)} trained {model}: its figures are "
                "better than it is",
            )
    if (data.kind == PHANTOM) != (PHANTOM in evaluated.kinds):
        return ()
    return unknown


def _first(names: Iterable[str], most: int = 3) -> str:
    """Return the first names in words."""
    shown = list(names)
    return ", ".join(shown[:most]) + (", …" if len(shown) > most else "")
