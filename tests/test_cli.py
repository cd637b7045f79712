import signal
import subprocess
import sys
import time
from statistics import median

import pytest

from ichlite import __version__, cli
from ichlite.errors import IchliteError, UsageError

COMMANDS = ["demo", "read", "info", "bench", "phantom", "train", "evaluate", "compress", "models"]


def test_version(ichlite):
    assert ichlite("--version") == (0, f"ichlite {__version__}\n", "")


def test_help_names_the_commands_and_what_this_is_not(ichlite):
    outcome = ichlite("--help")
    assert outcome.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in outcome.out
    assert "Not a medical device" in outcome.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(ichlite, command):
    outcome = ichlite(command, "--help")
    assert outcome.exit_code == 0
    assert f"Example: ichlite {command}" in outcome.out
    assert "--json" in outcome.out


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["read"],
        ["read", "--nonsense"],
        ["read", "x", "--threads", "0"],
        ["info", "x"],
    ],
)
def test_wrong_usage_is_2_and_says_so_on_stderr(ichlite, words):
    outcome = ichlite(*words)
    assert outcome.exit_code == 2
    assert outcome.out == ""
    assert "Error" in outcome.err or "error" in outcome.err
    assert "Traceback" not in outcome.err


def test_an_ichlite_error_is_one_line_and_its_own_exit_code(ichlite, monkeypatch):
    for error, code in ((IchliteError("no luck"), 1), (UsageError("bad words"), 2)):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr(cli, "app", fail)
        outcome = ichlite("read", "x")
        assert outcome == (code, "", f"ichlite: error: {error}\n")


def test_an_interrupt_is_130_and_one_line(ichlite, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ichlite.infer.bundle.load_bundle", interrupt)
    assert ichlite("info") == (130, "", "ichlite: interrupted\n")


def test_ctrl_c_in_a_real_process():
    code = (
        "import signal, sys, time\n"
        # A shell starts background jobs with SIGINT ignored, and children inherit that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import ichlite.infer.bundle as bundle\n"
        "bundle.load_bundle = lambda *_: (print('ready', flush=True), time.sleep(30))\n"
        "sys.argv = ['ichlite', 'info']\n"
        "from ichlite.cli import main\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "ichlite: interrupted\n"


def test_a_reader_that_goes_away_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "ichlite", "read", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(timeout=20)


def test_help_is_quick():
    """Limit 0.3 s on a free machine; three times that here, for tests run beside each other."""
    times_s = []
    for _ in range(3):
        start_s = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "ichlite", "read", "--help"], check=True, capture_output=True
        )
        times_s.append(time.perf_counter() - start_s)
    assert median(times_s) < 0.9
