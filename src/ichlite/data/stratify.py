"""Deal groups of patients to sides so that every label is spread in proportion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-9


def deal(
    members: Mapping[str, Sequence[str]],
    labels: Mapping[str, Sequence[int]],
    rooms: Sequence[int],
    *,
    seed: int,
) -> dict[str, int]:
    """Assign groups of patients to sides by iterative stratification, the rarest label first.

    A label goes to the side that lacks most patients with it; among equals, to the one that also
    lacks the group's other labels. If a label has enough patients, every side gets one. Groups of
    several patients are assigned before single ones, so that single patients fill the sides up.

    Args:
        members: Patients in each group.
        labels: 0 or 1 for each label of a patient, any haemorrhage first. Patients without any
            label set are spread too, and so are those who are not listed, whose labels are unknown.
        rooms: Number of patients that each side takes; their sum is the number of patients.
        seed: Random seed for the order of groups and for ties between sides.

    Returns:
        Number of the side of each group. A side exceeds its room only for a group that fits none.

    Source:
        Sechidis, Tsoumakas and Vlahavas, On the stratification of multi-label data, ECML PKDD
        2011, algorithm 1.

    Example:
        >>> alone = {name: [name] for name in "abcdef"}
        >>> bleeds = {name: [int(name in "ab")] for name in "abcdef"}
        >>> sides = deal(alone, bleeds, [3, 3], seed=0)
        >>> sides["a"] != sides["b"]
        True
    """
    rng = np.random.default_rng(seed)
    names = sorted(members)
    names = [names[place] for place in rng.permutation(len(names))]
    ties = rng.permutation(len(rooms)).tolist()
    counts = _counts(names, members, labels)
    sizes = [len(members[name]) for name in names]
    totals = counts.sum(0)
    wanted = _wanted(totals, np.array(rooms, np.float64)).tolist()
    room = list(rooms)
    dealt: dict[str, int] = {}

    def place(group: int, label: int) -> None:
        kinds = np.flatnonzero(counts[group]).tolist()
        side = max(
            [one for one in ties if room[one] >= sizes[group]] or [max(ties, key=room.__getitem__)],
            key=lambda one: (
                math.ceil(wanted[one][label] - _ROUNDING),
                sum(wanted[one][kind] / totals[kind] for kind in kinds),
            ),
        )
        dealt[names[group]] = side
        room[side] -= sizes[group]
        for kind in kinds:
            wanted[side][kind] -= int(counts[group, kind])

    several = [group for group, size in enumerate(sizes) if size > 1]
    for group in sorted(several, key=lambda one: -sizes[one]):
        kinds = np.flatnonzero(counts[group])
        place(group, int(kinds[np.argmin(totals[kinds])]))
    left = np.flatnonzero(np.array(sizes, np.int64) == 1)
    while len(left):
        remaining = counts[left].sum(0)
        there = np.flatnonzero(remaining)
        # Of labels that are left alike, the rarer one in all: a subtype before `any`.
        rarest = int(there[np.lexsort((totals[there], remaining[there]))[0]])
        has = counts[left, rarest] > 0
        for group in left[has].tolist():
            place(group, rarest)
        left = left[~has]
    return dealt


def _counts(
    names: Sequence[str], members: Mapping[str, Sequence[str]], labels: Mapping[str, Sequence[int]]
) -> NDArray[np.int64]:
    """Count patients by (group, label), then those without any label, then those not known."""
    width = max((len(one) for one in labels.values()), default=0)
    counts = np.zeros((len(names), width + 2), np.int64)
    for row, name in zip(counts, names, strict=True):
        for patient in members[name]:
            known = labels.get(patient)
            if known is None:
                row[-1] += 1
            elif any(known):
                row[:width] += np.asarray(known, np.int64)
            else:
                row[-2] += 1
    return counts


def _wanted(totals: NDArray[np.int64], rooms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (side, label) patients that each side wants: its share, and one where there are."""
    wanted = np.outer(rooms / max(rooms.sum(), 1), totals)
    enough = totals >= len(rooms)
    wanted[:, enough] = np.where(rooms[:, None] > 0, np.maximum(wanted[:, enough], 1), 0)
    largest = int(np.argmax(rooms))
    wanted[largest] += totals - wanted.sum(0)
    return wanted
