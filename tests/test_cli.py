import re
import signal
import subprocess
import sys

import pytest

from ichlite import __version__
from ichlite.errors import IchliteError, UsageError

FULL = "; free disk space or name another disk"
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
    assert re.search(rf"Examples?: ichlite {command}", outcome.out)
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

        monkeypatch.setattr("ichlite.app.app", fail)
        outcome = ichlite("read", "x")
        assert outcome == (code, "", f"ichlite: error: {error}\n")


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (OSError(28, "No space left on device", "a\nb"), f"No space left on device: a b{FULL}"),
        (PermissionError(13, "Permission denied", b"x"), "Permission denied: x"),
        (OSError(28, "No space left on device"), f"No space left on device{FULL}"),
        (OSError("something\nof HDF5"), "something of HDF5"),
        (OSError(), "OSError"),
    ],
)
def test_a_fault_that_nobody_translated_is_one_line(ichlite, monkeypatch, fault, line):
    def fail(*_, **__):
        raise fault

    monkeypatch.setattr("ichlite.infer.bundle.load_bundle", fail)
    assert ichlite("info") == (1, "", f"ichlite: error: {line}\n")


def test_an_interrupt_is_130_and_one_line(ichlite, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ichlite.infer.bundle.load_bundle", interrupt)
    assert ichlite("info") == (130, "", "ichlite: interrupted\n")


@pytest.mark.parametrize(
    ("number", "exit_code", "line"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, -signal.SIGTERM, "terminated")],
)
def test_a_signal_in_a_real_process(number, exit_code, line):
    """After SIGTERM, whoever started the process sees that it ended by that signal."""
    code = (
        "import signal, sys, time\n"
        # A shell starts background jobs with SIGINT ignored, and children inherit that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import ichlite.infer.bundle as bundle\n"
        "def load(*_):\n"
        "    try: print('ready', flush=True); time.sleep(30)\n"
        "    finally: print('tidied', flush=True)\n"
        "bundle.load_bundle = load\n"
        "sys.argv = ['ichlite', 'info']\n"
        "from ichlite.cli import main\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == exit_code
    assert out == "tidied\n"
    assert err == f"ichlite: {line}\n"


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


def in_a_shell(line, *words):
    return subprocess.run(
        ["bash", "-c", line, sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("line", "code", "err"),
    [
        (
            '"$0" -m ichlite read "$1" --json --html "$2" | head -1 >&2; exit ${PIPESTATUS[0]}',
            None,
            "{\n",
        ),
        (
            '"$0" -m ichlite read "$1" --json --html "$2" > /dev/full',
            1,
            "ichlite: error: stdout cannot be written: No space left on device\n",
        ),
        (
            '"$0" -m ichlite read "$1" --html "$2" > /dev/full',
            1,
            "ichlite: error: stdout cannot be written: No space left on device\n",
        ),
        ('"$0" -m ichlite read "$1" --html "$2" >&-', 0, ""),
        ('"$0" -m ichlite read "$1" --html "$2" 2>&-', 0, ""),
    ],
)
def test_reports_are_written_whatever_becomes_of_the_streams(
    head_series, tmp_path, line, code, err
):
    outcome = in_a_shell(line, head_series, tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text().rstrip().endswith("</html>")
    assert outcome.stderr == err
    assert code in (None, outcome.returncode)


def test_an_interrupt_during_imports_is_130_and_one_line():
    code = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from ichlite.cli import main\n"
        "main()\n"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (outcome.returncode, outcome.stderr) == (130, "ichlite: interrupted\n")


def test_the_training_side_without_its_packages_says_what_to_install():
    hide = (
        "import sys, importlib.util as u\n"
        "real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'keras' else real(name, *a)\n"
        "sys.modules['keras'] = None\n"
        "import ichlite\n"
        "assert {'read_paths', 'Bundle'} <= set(dir(ichlite))\n"
        "for load in (lambda: ichlite.models, lambda: __import__('ichlite.models')):\n"
        "    try: load()\n"
        "    except ImportError as error: print(error)\n"
    )
    outcome = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True)
    line = (
        "keras is not installed; install the optional packages: "
        "in the clone of ichlite, pip install '.[train]'\n"
    )
    assert (outcome.stdout, outcome.stderr) == (line * 2, "")


def test_help_on_a_full_disk_is_one_line():
    outcome = in_a_shell('"$0" -m ichlite read --help > /dev/full')
    line = "ichlite: error: stdout cannot be written: No space left on device\n"
    assert (outcome.returncode, outcome.stderr) == (1, line)
