"""An interrupt is kept until what runs has ended, and never lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from ichlite.interrupt import Interrupt


@pytest.mark.parametrize("number", Interrupt.SIGNALS)
def test_a_first_signal_is_noted_and_a_second_stops(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        assert not interrupt.asked
        os.kill(os.getpid(), number)
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_hardly_anything_is_loaded_before_an_interrupt_is_answered_in_a_line() -> None:
    """What the interpreter does before that, about 15 ms, is not ours."""
    code = (
        "import sys\n"
        "before = {*sys.modules}\n"
        "import ichlite.cli\n"
        "print(*sorted({*sys.modules} - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["__future__", "ichlite", "ichlite.cli", "ichlite.contracts"]


def test_a_further_interrupt_while_the_first_is_said_leaves_no_traceback() -> None:
    code = (
        "import os, signal\n"
        "import ichlite.cli as cli\n"
        "def interrupted(*_): raise KeyboardInterrupt\n"
        "cli._run = interrupted\n"
        "cli._say = lambda _: os.kill(os.getpid(), signal.SIGINT)\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


@pytest.mark.long
def test_an_interrupt_while_keras_is_imported_is_not_swallowed() -> None:
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'keras':\n"
        "            try: os.kill(os.getpid(), signal.SIGINT)\n"
        "            except BaseException: pass\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv[1:] = ['models']\n"
        "from ichlite.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "ichlite: interrupted\n")
