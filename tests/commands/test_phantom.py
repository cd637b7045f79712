"""`ichlite phantom` as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Outcome

from ichlite.data.store import Store

Ichlite = Callable[..., Outcome]


@pytest.mark.long
def test_a_store_is_made_and_described(ichlite: Ichlite, tmp_path: Path) -> None:
    out = tmp_path / "store"
    done = ichlite("phantom", out, "--subjects", 1, "--seed", 2, "--json")
    assert done.exit_code == 0, done.err
    made = json.loads(done.out)
    store = Store.open(out)
    store.verify()
    assert made["images"] == len(store)
    assert made["store_hash"] == store.hash
    assert made["positives"]["any"] == int(store.labels.any(1).sum())


@pytest.mark.long
def test_studies_are_made(ichlite: Ichlite, tmp_path: Path) -> None:
    out = tmp_path / "studies"
    words = ("--subjects", 1, "--format", "dicom", "--grid", 128)
    done = ichlite("phantom", out, *words)
    assert done.exit_code == 0, done.err
    assert done.out == ""
    assert (out / "labels.csv").is_file()
    assert len(list(out.rglob("*.dcm"))) >= 12


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--format", "png"), "expected one of dicom, store"),
        (("--balance", "even"), "expected one of paper, training"),
        (("--subjects", "0"), "1 or more"),
        (("--seed", "-1"), "the seed is negative; found -1; expected at least 0"),
    ],
)
def test_wrong_words_are_one_line(
    words: tuple[str, ...], message: str, ichlite: Ichlite, tmp_path: Path
) -> None:
    done = ichlite("phantom", tmp_path / "out", *words)
    assert done.exit_code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--grid", 128], ["--compress"]])
def test_what_does_nothing_for_a_store_is_refused(ichlite, tmp_path, words):
    done = ichlite("phantom", tmp_path / "out", *words)
    assert (done.exit_code, done.err.count("\n")) == (2, 1)
    assert f"{words[0]} does nothing for a store" in done.err
    assert not (tmp_path / "out").exists()
