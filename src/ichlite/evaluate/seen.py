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
    """Whose images are evaluated, as far as the data say.

    Attributes:
        kinds: (image,) kind of data set.
        patients: (image,) name of the patient.
        pixels: (image,) `rows.pixel_sha256`.
        store_hash: Hash of the store, if it is one.
        split: Split of the store.
    """

    kinds: tuple[str, ...]
    patients: tuple[str, ...]
    pixels: tuple[str, ...]
    store_hash: str | None = None
    split: str | None = None

    @classmethod
    def of_store(cls, store: Store, rows: NDArray[np.int64], split: str) -> Evaluated:
        """Return what the rows of a store say."""
        kinds = [str(meta.get("kind")) for meta in metas_of(store)]
        return cls(
            tuple(kinds[place] for place in store.origin[rows]),
            tuple(store.patient[rows].tolist()),
            tuple(store.pixel_sha256[rows].tolist()),
            store.hash,
            split,
        )


def seen_patients(training: RunManifest | None, evaluated: Evaluated) -> tuple[str, ...]:
    """Return the evaluated patients who trained the model, as far as its manifest tells.

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
    """Return one line when a model's training data are in what it is evaluated on.

    Args:
        model: Its name.
        training: The manifest of the run that trained it; None where there is none.
        evaluated: The data.

    Returns:
        A line if they are, or if nothing tells; nothing if they are not.

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
