"""What native code writes past Python is held back, dropped or passed on; errors still raise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ichlite.native_output import STDERR, STDOUT, native_output_held
from ichlite.samples import GE_HEAD


def test_only_lines_to_drop_are_lost(capfd: pytest.CaptureFixture[str]) -> None:
    with native_output_held(STDERR, dropping=b"INFO:"):
        os.write(STDERR, b"INFO: a delegate\nERROR: a real thing\nhalf")
    assert capfd.readouterr().err == "ERROR: a real thing\nhalf"


def test_without_a_beginning_to_drop_all_is_lost(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(STDOUT, b"before ")
    with native_output_held(STDOUT, STDERR):
        os.write(STDOUT, b"within")
        os.write(STDERR, b"within")
    os.write(STDOUT, b"after")
    assert capfd.readouterr() == ("before after", "")


def test_an_error_passes_and_output_is_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), native_output_held(STDOUT, STDERR):
        raise ZeroDivisionError
    os.write(STDERR, b"INFO: now heard\n")
    assert capfd.readouterr().err == "INFO: now heard\n"


def test_a_fresh_process_says_nothing_but_its_result() -> None:
    words = [sys.executable, "-m", "ichlite", "read", *map(str, GE_HEAD.files)]
    run = subprocess.run(words, capture_output=True, check=True, timeout=60)
    assert run.stderr == b""
    assert run.stdout
