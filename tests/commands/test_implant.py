"""`ichlite implant` as a user runs it, where it needs no head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Outcome

Ichlite = Callable[..., Outcome]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--scans", "0"), 2, "1 or more"),
        (("--seed", "-1"), 2, "at least 0"),
        (("--balance", "even"), 2, "expected one of paper, training"),
        ((), 1, "is not a prepared store"),
    ],
)
def test_wrong_words_are_one_line(
    words: tuple[str, ...], code: int, message: str, ichlite: Ichlite, tmp_path: Path
) -> None:
    done = ichlite("implant", tmp_path / "store", tmp_path / "out", *words)
    assert done.exit_code == code
    assert message in done.err
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
