"""Splits: nobody on two sides, the same seed the same split, the paper's proportions."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ichlite.data.split import check_leakage, groups_of, split_hash, split_patients
from ichlite.errors import StoreError, UnknownName

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


@settings(max_examples=60, deadline=None)
@given(images=images, preset=presets, seed=st.integers(0, 5), data=st.data())
def test_no_split_leaks(
    images: list[tuple[str, str, str]], preset: str, seed: int, data: st.DataObject
) -> None:
    patients, series, pixels = [list(side) for side in zip(*images, strict=True)]
    positive = data.draw(st.sets(st.sampled_from(sorted(set(patients)))))
    split = split_patients(groups_of(patients, series, pixels), positive, preset=preset, seed=seed)
    assert set(split) == set(patients)
    check_leakage(patients, series, pixels, [split[patient] for patient in patients])
    assert preset != "paper" or all(split[patient] != "unused" for patient in positive)
    again = split_patients(groups_of(patients, series, pixels), positive, preset=preset, seed=seed)
    assert again == split


def test_order_of_images_changes_nothing() -> None:
    patients, series, pixels = ["c", "a", "b", "d"], ["1", "2", "3", "4"], ["x", "y", "x", "z"]
    groups = groups_of(patients, series, pixels)
    assert groups == groups_of(patients[::-1], series[::-1], pixels[::-1])
    assert groups == {"a": "a", "b": "b", "c": "b", "d": "d"}


def test_chains_of_duplicates_are_one_group() -> None:
    groups = groups_of(["a", "b", "b", "c"], ["1", "2", "3", "3"], ["x", "x", "y", "z"])
    assert set(groups.values()) == {"a"}


def test_seeds_differ() -> None:
    one_each = {str(k): str(k) for k in range(100)}
    splits = [split_patients(one_each, one_each, preset="all", seed=k) for k in (0, 1)]
    assert splits[0] != splits[1]
    assert [Counter(s.values())["test"] for s in splits] == [10, 10]


def test_the_papers_preset_uses_patients_with_a_bleed() -> None:
    one_each = {str(k): str(k) for k in range(1000)}
    positive = [str(k) for k in range(0, 1000, 2)]
    split = split_patients(one_each, positive, preset="paper", seed=0)
    assert {p for p, side in split.items() if side != "unused"} == set(positive)
    assert Counter(split.values()) == {
        "train": 400, "validation": 50, "test": 50, "unused": 500,
    }  # fmt: skip


def test_a_big_group_stays_together() -> None:
    groups = {str(k): "0" for k in range(30)} | {str(k): str(k) for k in range(30, 40)}
    split = split_patients(groups, groups, preset="all", seed=0)
    assert {split[str(k)] for k in range(30)} == {"train"}


def test_three_patients_are_enough_for_three_sides() -> None:
    split = split_patients({"a": "a", "b": "b", "c": "c"}, (), preset="all", seed=0)
    assert sorted(split.values()) == ["test", "train", "validation"]


@pytest.mark.parametrize(
    ("patients", "series", "pixels", "found"),
    [
        (["a", "a"], ["1", "2"], ["x", "y"], "patient a in train and in test"),
        (["a", "b"], ["1", "1"], ["x", "y"], "series 1 in train and in test"),
        (
            ["a", "b"], ["1", "2"], ["x", "x"],
            "the pixels of a patient b image in train and in test",
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
        split_patients({"a": "a"}, (), preset="half", seed=0)
