"""Join prepared stores to train on together, and hold a fold of their patients out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.data.rows import SPLITS, UNUSED
from ichlite.data.split import check_leakage, fold_patients, groups_of, patient_labels
from ichlite.data.store import TEXTS, Store
from ichlite.data.store_parts import CellArray, Element, RowArray
from ichlite.errors import StoreError, UsageError

IMPLANT = "implant"
"""Kind of store with implanted bleeds, whose heads are those of patients of another store."""
GENERATED = ("phantom", IMPLANT)
"""Kinds of store with synthetic bleeds: patients are generated, or those of another store."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold of a cross-validation: the patients that a run leaves out and is tested on.

    Attributes:
        number: Number of the fold, from 1.
        of: Number of folds.
        seed: Random seed of the assignment of patients to folds, the same for all runs of one
            cross-validation.
    """

    number: int
    of: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.of < 2 or not 1 <= self.number <= self.of or self.seed < 0:
            raise UsageError(
                f"there is no fold {self.number}/{self.of} of seed {self.seed}",
                expected="K/N with 1 <= K <= N and N at least 2, and a seed of 0 or more",
            )

    @classmethod
    def parse(cls, text: str, seed: int = 0) -> Fold:
        """Return the fold that text such as `2/5` names.

        Args:
            text: `K/N`, fold K of N.
            seed: Random seed of the assignment of patients to folds.

        Raises:
            UsageError: The text is not of that form.

        Example:
            >>> Fold.parse("2/5")
            Fold(number=2, of=5, seed=0)
        """
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal()):
            raise UsageError(f"--fold {text} does not name a fold", expected="K/N, such as 1/5")
        return cls(int(number), int(of), seed)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def open_stores(
    paths: Sequence[Path], fold: Fold | None = None, *, all_patients: bool = False
) -> Store:
    """Open prepared stores as one store, with a fold held out or all patients in training.

    Args:
        paths: Folders of the stores.
        fold: Fold of patients to hold out, see `hold_out`; None for the stores' own splits.
        all_patients: Whether every real patient is moved to training, see `train_on_all`.

    Raises:
        UsageError: Both a fold and `all_patients` are given.
        StoreError: A folder is no store, or the stores cannot be joined or divided into folds.
    """
    if fold is not None and all_patients:
        raise UsageError("--fold leaves patients out, so it cannot be combined with --all-patients")
    store = join_stores([Store.open(path) for path in paths])
    if all_patients:
        return train_on_all(store)
    return store if fold is None else hold_out(store, fold)


class _Joined(RowArray[Element]):
    """Arrays that are read when they are indexed, one after the other, as one such array."""

    def __init__(self, arrays: Sequence[RowArray[Element]]) -> None:
        self.arrays = arrays
        self.ends = np.cumsum([len(array) for array in arrays])
        self.shape = (int(self.ends[-1]), *arrays[0].shape[1:])
        self.dtype = arrays[0].dtype

    def item(self, row: int) -> NDArray[Element]:
        """Return one item of the array that has it."""
        which = int(np.searchsorted(self.ends, row, side="right"))
        first = int(self.ends[which - 1]) if which else 0
        return self.arrays[which][row - first]


class JoinedCells(_Joined[np.uint8], CellArray):
    """Lesion cells of several stores as one array; `stored` is true if any store has some."""

    def __init__(self, arrays: Sequence[CellArray]) -> None:
        super().__init__(arrays)
        self.stored = any(array.stored for array in arrays)


def join_stores(stores: Sequence[Store]) -> Store:
    """Return one store with the rows of several, in order; a single store is returned unchanged.

    Patients keep their names, so that a patient of two stores is one patient.

    Args:
        stores: At least one store with labels of slices.

    Returns:
        The joined store. Its `meta` lists the stores; its `origin` is the store number of each row.

    Raises:
        StoreError: A store is given twice or has labels of scans, or a patient or slice is in
            training in one store and in validation or test in another.
    """
    if len(stores) == 1:
        return stores[0]
    hashes = [store.hash for store in stores]
    if len(set(hashes)) < len(hashes):
        raise StoreError(
            "the same store is named twice",
            found=", ".join(str(store.path) for store in stores if hashes.count(store.hash) > 1),
            remedy="name it once",
        )
    for store in stores:
        if store.label_level != "slice":
            raise StoreError(
                f"{store.path} cannot be joined with others",
                found=f"labels of {store.label_level}s",
                expected="labels of slices",
            )

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(store, name) for store in stores])

    joined = Store(
        path=stores[0].path,
        folders=tuple(store.path for store in stores),
        hu=_Joined([store.hu for store in stores]),
        lesion_cells=JoinedCells([store.lesion_cells for store in stores]),
        cells_known=column("cells_known"),
        origin=np.repeat(np.arange(len(stores)), [len(store) for store in stores]),
        meta=MappingProxyType(
            {
                "kind": "joined",
                "label_level": "slice",
                "hash": hashlib.sha256("\n".join(hashes).encode()).hexdigest(),
                "stores": [dict(store.meta, name=store.path.name) for store in stores],
            }
        ),
        **{name: column(name) for name in ("labels", "any", "position_mm", "lesion", *TEXTS)},
    )
    check_leakage(
        joined.patient.tolist(),
        joined.series.tolist(),
        joined.pixel_sha256.tolist(),
        joined.split.tolist(),
    )
    return joined


def hold_out(store: Store, fold: Fold) -> Store:
    """Return a store with one fold of its patients as test split and the others as training split.

    Folds are drawn over the patients of real scans, stratified by what bleeds they have; phantoms
    keep their splits. Implants are left out with the patient whose head they are in. Patients
    who share a slice's pixels stay together, `unused` images stay unused.

    Args:
        store: One store, or several that were joined.
        fold: Fold to hold out.

    Returns:
        The store with other splits: real patients of the fold `test`, all other real ones `train`.

    Raises:
        StoreError: Fewer patients than folds.
    """
    kinds, real = _kinds_and_real(store)
    names = store.patient[real]
    if len(set(names.tolist())) < fold.of:
        raise StoreError(
            f"{fold.of} folds cannot be drawn",
            found=f"{len(set(names.tolist()))} patients",
            expected=f"at least {fold.of}",
        )
    series, pixels = store.series[real].tolist(), store.pixel_sha256[real].tolist()
    groups = groups_of(names.tolist(), series, pixels)
    labels = patient_labels(names.tolist(), store.any[real].tolist(), store.labels[real].tolist())
    folds = fold_patients(groups, labels, fold.of, fold.seed)
    split = _any_split(store.split)
    followers = real | (kinds == IMPLANT)
    for row in np.flatnonzero(followers & (split != UNUSED)):
        held = folds.get(str(store.patient[row]))
        if held is None:
            raise StoreError(
                f"implant {store.image[row]} is in the head of patient {store.patient[row]}, "
                "who is in no store",
                remedy="train on the store that the implants were made from, too",
            )
        split[row] = "test" if held == fold.number - 1 else "train"
    # What is made is not judged beside real scans; implants in held-out heads do not train either.
    split[~real & (split == "test")] = UNUSED
    meta = {**store.meta, "fold": asdict(fold)}
    return replace(store, split=split, meta=MappingProxyType(meta))


def train_on_all(store: Store) -> Store:
    """Return a store with every patient of real scans in the training split.

    Used for the model that is shipped, which cross-validation has judged. Phantoms keep their
    splits; implants that do not train become unused, as their heads train.
    """
    kinds, real = _kinds_and_real(store)
    split = np.where(real, "train", _any_split(store.split))
    split[(kinds == IMPLANT) & (split != "train")] = UNUSED
    meta = MappingProxyType({**store.meta, "all_patients": True})
    return replace(store, split=split, meta=meta)


def _any_split(split: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return a copy of a column of splits that any split fits into."""
    return split.astype(f"U{max(map(len, (*SPLITS, UNUSED)))}")


def _kinds_and_real(store: Store) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    """Return the kind of store that each row is of, and whether it is of a real scan in use."""
    kinds = np.array([str(meta["kind"]) for meta in metas_of(store)])[store.origin]
    real = ~np.isin(kinds, GENERATED)
    if not real.any():
        real = kinds != IMPLANT  # phantoms alone are folded themselves
    return kinds, real & (store.split != UNUSED)


def metas_of(store: Store) -> Sequence[dict[str, Any]]:
    """Return the `store.json` contents of each store that was joined, or of a single store."""
    found: Sequence[dict[str, Any]] = store.meta.get("stores") or [
        dict(store.meta, name=store.path.name)
    ]
    return found
