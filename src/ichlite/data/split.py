"""Patients and pixel hashes in; who trains, validates and tests, out, and the proof of no leak.

The unit of a split is a group: a patient, with every other patient who shares a slice's pixels or a
series.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ichlite.data.rows import CONSTANT, SPLITS, UNUSED
from ichlite.errors import StoreError, UnknownName

PAPER_PATIENTS = (6122, 765, 765)
"""Train, validation and test in the paper's Table 1, of patients with a bleed."""

_PIXELS = "the pixels of a patient {} image"

PRESETS: Mapping[str, str] = {
    "paper": "patients with a bleed alone, 6122 : 765 : 765",
    "all": "all patients, 6122 : 765 : 765",
    "test": "all patients test",
    "given": "as the data set says",
}


def groups_of(
    patients: Sequence[str], series: Sequence[str], pixels: Sequence[str]
) -> dict[str, str]:
    """Patient, series and pixel hash of each image → patient → the first patient of the group.

    Constant slices (air above a head) link nobody.

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
    """What ties an image to others, beside its patient."""
    own = [("series", series)]
    return own if pixel.startswith(CONSTANT) else [*own, ("pixels", pixel)]


def split_patients(
    groups: Mapping[str, str], positive: Iterable[str], *, preset: str, seed: int
) -> dict[str, str]:
    """Groups and the patients with a bleed → the split of each patient.

    Args:
        groups: Patient → group, as `groups_of` gives them.
        positive: Patients with at least one bleed.
        preset: `paper`, `all` or `test`; see `PRESETS`.
        seed: Of the order in which groups are dealt out; the same seed, the same split.

    Returns:
        Patient → `train`, `validation`, `test` or `unused`; a group is never divided. Patients
        without a bleed are unused under `paper`, unless their group has one with.

    Raises:
        UnknownName: No such preset.

    Example:
        >>> one_each = {str(k): str(k) for k in range(7652)}
        >>> dealt = list(split_patients(one_each, one_each, preset="paper", seed=0).values())
        >>> dealt.count("train"), dealt.count("validation"), dealt.count("test")
        (6122, 765, 765)
    """
    if preset not in ("paper", "all", "test"):
        raise UnknownName("split", preset, ["paper", "all", "test"])
    members: dict[str, list[str]] = defaultdict(list)
    for patient, group in groups.items():
        members[group].append(patient)
    bleeding = {groups[patient] for patient in positive}
    used = sorted(members if preset != "paper" else bleeding)
    split = dict.fromkeys(groups, UNUSED)
    if preset == "test":
        return dict.fromkeys(groups, "test")
    patients = sum(len(members[group]) for group in used)
    share = PAPER_PATIENTS[1] / sum(PAPER_PATIENTS)
    # A set too small for a tenth still needs someone to choose the best epoch by, and to test.
    wanted = max(round(patients * share), 1 if len(used) >= len(SPLITS) else 0)
    left = {"validation": wanted, "test": wanted}
    for index in np.random.default_rng(seed).permutation(len(used)):
        together = members[used[index]]
        side = next((name for name, room in left.items() if room >= len(together)), "train")
        if side != "train":
            left[side] -= len(together)
        split.update(dict.fromkeys(together, side))
    return split


def check_leakage(
    patients: Sequence[str], series: Sequence[str], pixels: Sequence[str], splits: Sequence[str]
) -> None:
    """Patient, series, pixel hash and split of each image → nothing, when none is on two sides.

    Raises:
        StoreError: A patient, a series or the same pixels in two of train, validation and test.

    Example:
        >>> check_leakage(["a", "b"], ["1", "2"], ["x", "x"], ["train", "test"])
        Traceback (most recent call last):
        ichlite.errors.StoreError: the split leaks; found the pixels of a patient b image in ...
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
                    "the split leaks",
                    found=f"{what} in {side} and in {split}",
                    expected=f"each in one of {', '.join(SPLITS)}",
                    remedy="make the store again with `ichlite prepare`",
                )


def split_hash(patients: Iterable[str], splits: Iterable[str]) -> str:
    """Patient and split of each image → SHA-256 over who is where, in whatever order."""
    pairs = sorted(set(zip(map(str, patients), map(str, splits), strict=True)))
    return hashlib.sha256("\n".join(f"{p}\t{s}" for p, s in pairs).encode()).hexdigest()
