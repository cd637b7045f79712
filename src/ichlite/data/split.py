"""Split patients into sides or folds, and prove that nobody is on two sides.

The unit of a split is a group: a patient, with every other patient who shares a slice's pixels or a
series.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ichlite.data.rows import CONSTANT, SPLITS, UNUSED
from ichlite.data.stratify import deal
from ichlite.errors import StoreError, UsageError, check_name

PAPER_PATIENTS = (6122, 765, 765)
"""Patients with a bleed in the train, validation and test split of the paper's Table 1."""

_PIXELS = "a slice that patient {} shares"

PRESETS: Mapping[str, str] = {
    "paper": "patients with a bleed alone, 6122 : 765 : 765",
    "all": "all patients, 6122 : 765 : 765",
    "test": "all patients test",
    "given": "as the data set says",
}


def groups_of(
    patients: Sequence[str], series: Sequence[str], pixels: Sequence[str]
) -> dict[str, str]:
    """Group patients who share a series or identical slices, so that no split separates them.

    Constant slices, such as air above a head, link nobody.

    Args:
        patients: (image,) patient names.
        series: (image,) series names.
        pixels: (image,) `rows.pixel_sha256`.

    Returns:
        Group of each patient, named after the first patient in it, by name.

    Example:
        >>> groups_of(["a", "b", "c"], ["1", "2", "3"], ["x", "x", "y"])
        {'a': 'a', 'b': 'a', 'c': 'c'}
    """
    parent: dict[str, str] = {patient: patient for patient in sorted(set(patients))}

    def top(patient: str) -> str:
        while parent[patient] != patient:
            parent[patient] = parent[parent[patient]]
            patient = parent[patient]
        return patient

    first: dict[tuple[str, str], str] = {}
    for patient, *links in zip(patients, series, pixels, strict=True):
        for link in _links(*links):
            one, other = top(first.setdefault(link, patient)), top(patient)
            if one != other:
                parent[max(one, other)] = min(one, other)
    return {patient: top(patient) for patient in parent}


def _links(series: str, pixel: str) -> list[tuple[str, str]]:
    """Return what ties an image to others, beside its patient."""
    own = [("series", series)]
    return own if pixel.startswith(CONSTANT) else [*own, ("pixels", pixel)]


def patient_labels(
    patients: Sequence[str], any_bleed: Sequence[int], labels: Sequence[Sequence[int]]
) -> dict[str, tuple[int, ...]]:
    """Return the labels of each patient: the highest of each label over the patient's images.

    Args:
        patients: (image,) patient names.
        any_bleed: (image,) 0 or 1 for any haemorrhage.
        labels: (image, subtype) 0 or 1.

    Returns:
        Any haemorrhage, then each subtype, for each patient.

    Example:
        >>> patient_labels(["a", "a", "b"], [0, 1, 0], [(0, 0), (0, 1), (0, 0)])
        {'a': (1, 0, 1), 'b': (0, 0, 0)}
    """
    highest: dict[str, tuple[int, ...]] = {}
    for patient, bleed, subtypes in zip(patients, any_bleed, labels, strict=True):
        here = (int(bleed), *map(int, subtypes))
        highest[str(patient)] = tuple(map(max, here, highest.get(str(patient), here)))
    return highest


def split_patients(
    groups: Mapping[str, str], labels: Mapping[str, Sequence[int]], *, preset: str, seed: int
) -> dict[str, str]:
    """Split patients so that each subtype, and absence of bleeds, is spread in proportion.

    Args:
        groups: Group of each patient, as `groups_of` gives them.
        labels: `any` and subtypes of each patient, as `patient_labels` gives them; patients whose
            labels are not known are left out of it.
        preset: `paper`, `all` or `test`; see `PRESETS`.
        seed: Seed of the order in which groups are dealt out; the same seed, the same split.

    Returns:
        `train`, `validation`, `test` or `unused` for each patient; no group is divided. Patients
        without a bleed are unused under `paper`, unless their group has one with.

    Raises:
        UnknownName: No such preset.

    Example:
        >>> one_each = {str(k): str(k) for k in range(7652)}
        >>> bleeding = dict.fromkeys(one_each, (1,))
        >>> dealt = list(split_patients(one_each, bleeding, preset="paper", seed=0).values())
        >>> dealt.count("train"), dealt.count("validation"), dealt.count("test")
        (6122, 765, 765)
    """
    check_name("split", preset, ["paper", "all", "test"])
    if preset == "test":
        return dict.fromkeys(groups, "test")
    bleeding = {groups[one] for one in groups if any(labels.get(one, ()))}
    members = {
        group: together
        for group, together in _members(groups).items()
        if preset != "paper" or group in bleeding
    }
    patients = sum(map(len, members.values()))
    share = PAPER_PATIENTS[1] / sum(PAPER_PATIENTS)
    # A set too small for a tenth still needs someone to choose the best epoch by, and to test.
    wanted = max(round(patients * share), 1 if len(members) >= len(SPLITS) else 0)
    sides = deal(members, labels, [patients - 2 * wanted, wanted, wanted], seed=seed)
    return {
        patient: SPLITS[sides[group]] if group in sides else UNUSED
        for patient, group in groups.items()
    }


def fold_patients(
    groups: Mapping[str, str], labels: Mapping[str, Sequence[int]], folds: int, seed: int
) -> dict[str, int]:
    """Assign patients to folds so that each subtype, and absence of bleeds, is spread evenly.

    Args:
        groups: Group of each patient, as `groups_of` gives them; a group is never divided.
        labels: `any` and subtypes of each patient, as `patient_labels` gives them.
        folds: Number of folds, at least 2; they differ by one patient at most where no group is
            larger.
        seed: The same seed, the same folds.

    Returns:
        The fold of each patient, from 0.

    Raises:
        UsageError: Fewer than 2 folds, or more than there are groups.

    Example:
        >>> folds = fold_patients({"a": "a", "b": "b", "c": "b", "d": "d"}, {}, 2, seed=0)
        >>> folds["b"] == folds["c"] != folds["a"] == folds["d"]
        True
    """
    members = _members(groups)
    if not 2 <= folds <= len(members):
        raise UsageError(
            f"{len(members)} patients (or groups that share slices) do not make {folds} folds",
            expected="at least 2 folds, and a patient for each",
        )
    rooms = [len(groups) // folds + int(fold < len(groups) % folds) for fold in range(folds)]
    sides = deal(members, labels, rooms, seed=seed)
    return {patient: sides[group] for patient, group in groups.items()}


def _members(groups: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the patients of each group."""
    members: dict[str, list[str]] = defaultdict(list)
    for patient, group in groups.items():
        members[group].append(patient)
    return members


def check_leakage(
    patients: Sequence[str], series: Sequence[str], pixels: Sequence[str], splits: Sequence[str]
) -> None:
    """Raise an error if a patient, a series or identical pixels are in more than one split.

    Args:
        patients: (image,) patient names.
        series: (image,) series names.
        pixels: (image,) `rows.pixel_sha256`.
        splits: (image,) names of splits; `unused` images are ignored.

    Raises:
        StoreError: A patient, a series or the same pixels in two of train, validation and test.

    Example:
        >>> check_leakage(["a", "b"], ["1", "2"], ["x", "x"], ["train", "test"])
        Traceback (most recent call last):
        ichlite.errors.StoreError: the split leaks: a slice that patient b shares is in train ...
    """
    sides: dict[tuple[str, str], str] = {}
    for patient, one, pixel, split in zip(patients, series, pixels, splits, strict=True):
        if split == UNUSED:
            continue
        for kind, name in (("patient", patient), *_links(one, pixel)):
            side = sides.setdefault((kind, name), split)
            if side != split:
                what = f"{kind} {name}" if kind != "pixels" else _PIXELS.format(patient)
                raise StoreError(
                    f"the split leaks: {what} is in {side} and in {split}",
                    expected=f"each patient, series and slice in one of {', '.join(SPLITS)}",
                    remedy="make the store again with `ichlite prepare`",
                )


def split_hash(patients: Iterable[str], splits: Iterable[str]) -> str:
    """Return a SHA-256 of the assignment of patients to splits, which their order does not affect.

    Args:
        patients: (image,) or (patient,) names.
        splits: Split of each, in the same order.
    """
    pairs = sorted(set(zip(map(str, patients), map(str, splits), strict=True)))
    return hashlib.sha256("\n".join(f"{p}\t{s}" for p, s in pairs).encode()).hexdigest()
