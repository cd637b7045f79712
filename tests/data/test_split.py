"""Splits: nobody on two sides, the same seed the same split, the paper's proportions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ichlite.data.split import (
    check_leakage,
    fold_patients,
    groups_of,
    patient_labels,
    split_hash,
    split_patients,
)
from ichlite.errors import StoreError, UnknownName, UsageError

images = st.lists(
    st.tuples(
        st.integers(0, 30).map(str),
        st.integers(0, 60).map(str),
        st.integers(0, 60).map(lambda k: f"pixels {k}"),
    ),
    min_size=1,
    max_size=120,
)
presets = st.sampled_from(["paper", "all", "test"])
Labels = dict[str, tuple[int, ...]]


def labels_for(patients: list[str]) -> st.SearchStrategy[Labels]:
    """`any` and five subtypes of some of the patients; the others' are not known."""
    subtypes = st.tuples(*[st.integers(0, 1)] * 5)
    six = subtypes.map(lambda five: (max(five), *five))
    return st.dictionaries(st.sampled_from(patients), six)


def alone(count: int) -> dict[str, str]:
    """Patients who share nothing."""
    return {str(k): str(k) for k in range(count)}


def drawn(count: int, seed: int) -> Labels:
    """Labels as frequent as in real sets: four in ten bleed, epidurals are rare."""
    rng = np.random.default_rng(seed)
    shares = np.array([0.03, 0.35, 0.25, 0.35, 0.4])
    five = (rng.random((count, 5)) < shares) & (rng.random((count, 1)) < 0.4)
    return {str(k): (int(one.any()), *map(int, one)) for k, one in enumerate(five)}


def counted(sides: Mapping[str, object], labels: Labels) -> dict[object, NDArray[np.int64]]:
    """Side → patients in all, with any bleed and with each subtype."""
    counts = {side: np.zeros(7, np.int64) for side in set(sides.values())}
    for patient, side in sides.items():
        counts[side] += np.array([1, *labels[patient]])
    return counts


@settings(max_examples=60, deadline=None)
@given(images=images, preset=presets, seed=st.integers(0, 5), data=st.data())
def test_no_split_leaks(
    images: list[tuple[str, str, str]], preset: str, seed: int, data: st.DataObject
) -> None:
    patients, series, pixels = [list(side) for side in zip(*images, strict=True)]
    labels = data.draw(labels_for(sorted(set(patients))))
    groups = groups_of(patients, series, pixels)
    split = split_patients(groups, labels, preset=preset, seed=seed)
    assert set(split) == set(patients)
    check_leakage(patients, series, pixels, [split[patient] for patient in patients])
    bleeding = {patient for patient, one in labels.items() if any(one)}
    assert preset != "paper" or all(split[patient] != "unused" for patient in bleeding)
    assert split == split_patients(groups, labels, preset=preset, seed=seed)


def test_order_of_images_changes_nothing() -> None:
    patients, series, pixels = ["c", "a", "b", "d"], ["1", "2", "3", "4"], ["x", "y", "x", "z"]
    groups = groups_of(patients, series, pixels)
    assert groups == groups_of(patients[::-1], series[::-1], pixels[::-1])
    assert groups == {"a": "a", "b": "b", "c": "b", "d": "d"}


def test_chains_of_duplicates_are_one_group() -> None:
    groups = groups_of(["a", "b", "b", "c"], ["1", "2", "3", "3"], ["x", "x", "y", "z"])
    assert set(groups.values()) == {"a"}


def test_seeds_differ() -> None:
    labels = drawn(100, 0)
    splits = [split_patients(alone(100), labels, preset="all", seed=k) for k in (0, 1)]
    assert splits[0] != splits[1]
    assert [Counter(s.values())["test"] for s in splits] == [10, 10]


def test_the_papers_preset_uses_patients_with_a_bleed() -> None:
    labels = {str(k): (int(k % 2 == 0),) for k in range(1000)}
    split = split_patients(alone(1000), labels, preset="paper", seed=0)
    assert {p for p, side in split.items() if side != "unused"} == {
        p for p in labels if any(labels[p])
    }
    assert Counter(split.values()) == {
        "train": 400, "validation": 50, "test": 50, "unused": 500,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_every_side_has_its_share_of_every_label(seed: int) -> None:
    labels = drawn(4000, seed)
    counts = counted(split_patients(alone(4000), labels, preset="all", seed=seed), labels)
    total = sum(counts.values())
    for side, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        off = np.abs(counts[side] - share * total)
        assert off[0] == 0
        assert off[1] <= 20, "any bleed follows from the subtypes"
        assert off[2:].max() <= 2, "by chance alone it would be 14"


@pytest.mark.parametrize("seed", range(20))
def test_a_small_set_has_each_subtype_on_each_side(seed: int) -> None:
    """As many patients with each subtype as CT-ICH has; by chance alone, most draws lack one."""
    subtypes = {1: 20, 2: 15, 3: 5, 4: 7, 5: 4}
    rng = np.random.default_rng(seed)
    six = np.zeros((81, 6), int)
    for column, count in subtypes.items():
        six[rng.choice(35, count, replace=False), column] = 1
    six[:35, 0] = 1
    labels = {str(k): tuple(one.tolist()) for k, one in enumerate(six)}
    counts = counted(split_patients(alone(81), labels, preset="all", seed=seed), labels)
    assert {side: one[0] for side, one in counts.items()} == {
        "train": 65, "validation": 8, "test": 8,
    }  # fmt: skip
    assert all((one > 0).all() for one in counts.values())


@settings(max_examples=60, deadline=None)
@given(images=images, folds=st.integers(2, 6), seed=st.integers(0, 5), data=st.data())
def test_no_fold_leaks(
    images: list[tuple[str, str, str]], folds: int, seed: int, data: st.DataObject
) -> None:
    patients, series, pixels = [list(side) for side in zip(*images, strict=True)]
    labels = data.draw(labels_for(sorted(set(patients))))
    groups = groups_of(patients, series, pixels)
    if folds > len(set(groups.values())):
        with pytest.raises(UsageError, match=f"do not make {folds} folds"):
            fold_patients(groups, labels, folds, seed)
        return
    dealt = fold_patients(groups, labels, folds, seed)
    assert set(dealt) == set(patients)
    assert set(dealt.values()) <= set(range(folds))
    check_leakage(patients, series, pixels, [str(dealt[patient]) for patient in patients])
    assert dealt == fold_patients(dict(reversed(groups.items())), labels, folds, seed)


@pytest.mark.long
def test_folds_are_alike() -> None:
    """Of 3,240 sets, all: how far patients of a kind differ between folds. The deal is greedy."""
    spreads = []
    for count, folds, seed in product(range(10, 91), range(2, 6), range(10)):
        labels = drawn(count, seed)
        dealt = fold_patients(alone(count), labels, folds, seed)
        counts = np.array(list(counted(dealt, labels).values()))
        assert len(counts) == folds
        assert np.ptp(counts[:, 0]) <= 1
        rarest = int(np.argmin(np.where(counts.sum(0) > 0, counts.sum(0), count + 1)))
        rarest_spread = np.ptp(counts[:, rarest])
        spreads.append((rarest_spread, np.ptp(counts[:, 1]), np.ptp(counts[:, 2:], axis=0).max()))
    rarest_bleed, any_bleed, subtypes = np.array(spreads).T
    assert np.mean(rarest_bleed <= 1) > 0.998
    assert np.mean(any_bleed <= 4) > 0.995
    assert np.mean(subtypes <= 2) > 0.999
    assert (rarest_bleed.max(), any_bleed.max(), subtypes.max()) == (2, 6, 4)


def test_folds_of_other_seeds_differ() -> None:
    labels = drawn(80, 0)
    assert fold_patients(alone(80), labels, 5, 0) != fold_patients(alone(80), labels, 5, 1)


def test_one_fold_is_refused() -> None:
    with pytest.raises(UsageError, match=r"3 patients .*do not make 1 folds"):
        fold_patients(alone(3), {}, 1, 0)


def test_a_patients_labels_are_the_highest_of_the_images() -> None:
    labels = np.array([[0, 0], [0, 1], [1, 0]], np.uint8)
    assert patient_labels(["a", "b", "a"], [0, 1, 1], labels) == {"a": (1, 1, 0), "b": (1, 0, 1)}


def test_a_big_group_stays_together() -> None:
    groups = {str(k): "0" for k in range(30)} | {str(k): str(k) for k in range(30, 40)}
    split = split_patients(groups, {}, preset="all", seed=0)
    assert {split[str(k)] for k in range(30)} == {"train"}


def test_three_patients_are_enough_for_three_sides() -> None:
    split = split_patients({"a": "a", "b": "b", "c": "c"}, {}, preset="all", seed=0)
    assert sorted(split.values()) == ["test", "train", "validation"]


@pytest.mark.parametrize(
    ("patients", "series", "pixels", "found"),
    [
        (["a", "a"], ["1", "2"], ["x", "y"], "patient a is in train and in test"),
        (["a", "b"], ["1", "1"], ["x", "y"], "series 1 is in train and in test"),
        (
            ["a", "b"], ["1", "2"], ["x", "x"],
            "a slice that patient b shares is in train and in test",
        ),
    ],
)  # fmt: skip
def test_a_leak_is_found(
    patients: list[str], series: list[str], pixels: list[str], found: str
) -> None:
    with pytest.raises(StoreError, match=found):
        check_leakage(patients, series, pixels, ["train", "test"])
    check_leakage(patients, series, pixels, ["train", "train"])
    check_leakage(patients, series, pixels, ["train", "unused"])


def test_the_hash_is_of_who_is_where() -> None:
    one = split_hash(["a", "b", "b"], ["train", "test", "test"])
    assert one == split_hash(["b", "a"], ["test", "train"])
    assert one != split_hash(["a", "b"], ["test", "train"])


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UnknownName, match="paper"):
        split_patients({"a": "a"}, {}, preset="half", seed=0)
