import os
import subprocess
import sys

import pytest

from ichlite.infer.quiet import without_chatter
from ichlite.samples import GE_HEAD


def test_only_chatter_is_held_back(capfd):
    with without_chatter():
        os.write(2, b"INFO: a delegate\nERROR: a real thing\nhalf")
    assert capfd.readouterr().err == "ERROR: a real thing\nhalf"


def test_an_error_passes_and_stderr_is_back(capfd):
    with pytest.raises(ZeroDivisionError), without_chatter():
        raise ZeroDivisionError
    os.write(2, b"INFO: now heard\n")
    assert capfd.readouterr().err == "INFO: now heard\n"


def test_a_fresh_process_says_nothing_but_its_result():
    words = [sys.executable, "-m", "ichlite", "read", *map(str, GE_HEAD.files)]
    run = subprocess.run(words, capture_output=True, check=True, timeout=60)
    assert run.stderr == b""
    assert run.stdout
