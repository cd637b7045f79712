"""Muting reaches writers past Python's streams, and ends, also after an error."""

from __future__ import annotations

import os

import pytest

from ichlite.train.quiet import muted


def test_only_what_is_written_within_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    def fail_loudly() -> None:
        with muted():
            os.write(1, b"within")
            os.write(2, b"within")
            raise ValueError("boom")

    os.write(1, b"before ")
    with pytest.raises(ValueError, match="boom"):
        fail_loudly()
    os.write(1, b"after")
    assert capfd.readouterr() == ("before after", "")
