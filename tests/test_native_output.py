"""What native code writes past Python is held back, dropped or passed on; errors still raise."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

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


def identities() -> list[tuple[int, int]]:
    """Return what file each of descriptors 1 and 2 is."""
    return [(os.fstat(one).st_dev, os.fstat(one).st_ino) for one in (STDOUT, STDERR)]


def test_holds_that_overlap_in_two_threads_end_as_they_began(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before, both_hold, first_left = identities(), Barrier(2, timeout=30), Event()

    def first() -> None:
        with native_output_held(STDOUT, STDERR):
            both_hold.wait()
            with native_output_held(STDERR, dropping=b"INFO:"):
                os.write(STDERR, b"ERROR: while the first drops all\n")
        first_left.set()

    def second() -> None:
        with native_output_held(STDERR, dropping=b"INFO:"):
            both_hold.wait()
            assert first_left.wait(timeout=30)
            os.write(STDERR, b"INFO: a delegate\nERROR: a real thing\n")
            os.write(STDOUT, b"nobody holds this\n")

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(first), threads.submit(second)]:
            done.result()
    assert identities() == before
    os.write(STDERR, b"INFO: now heard\n")
    assert capfd.readouterr() == ("nobody holds this\n", "ERROR: a real thing\nINFO: now heard\n")


def test_many_holds_in_many_threads_leave_the_descriptors_as_they_were(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before, open_before = identities(), len(list(Path("/dev/fd").iterdir()))

    def hold(number: int) -> None:
        with native_output_held(STDERR, dropping=b"INFO:"):
            os.write(STDERR, b"INFO: a delegate\n")
            with native_output_held(STDOUT, STDERR):
                os.write(STDOUT, b"a log\n")
            if number % 3 == 0:
                raise ZeroDivisionError

    with ThreadPoolExecutor(4) as threads:
        done = [threads.submit(hold, number) for number in range(200)]
        failed = [one for one in done if isinstance(one.exception(), ZeroDivisionError)]
    assert len(failed) == 67
    assert identities() == before
    assert len(list(Path("/dev/fd").iterdir())) == open_before
    assert capfd.readouterr() == ("", "")


def test_a_closed_descriptor_stays_closed() -> None:
    code = (
        "import os\n"
        "os.close(2)\n"
        "from ichlite.native_output import STDERR, STDOUT, native_output_held\n"
        "with native_output_held(STDOUT, STDERR):\n"
        "    os.write(1, b'lost')\n"
        "try:\n"
        "    os.fstat(2)\n"
        "except OSError:\n"
        "    os.write(1, b'closed')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert run.stdout == b"closed"
