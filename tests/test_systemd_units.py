"""The units of the guide: systemd accepts them, and they call what ichlite has."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ichlite.samples import PHANTOM_BLEED

UNITS = Path(__file__).resolve().parents[1] / "examples" / "systemd"
PROGRAM = "/opt/ichlite/bin/ichlite"


def service():
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str
    parser.read(UNITS / "ichlite-read.service")
    return parser["Service"]


def test_it_is_nobody_special_and_writes_only_its_report():
    unit = service()
    assert unit["User"] == "ichlite"
    assert unit["ProtectSystem"] == "strict"
    assert unit["CapabilityBoundingSet"] == ""
    assert unit["NoNewPrivileges"] == unit["PrivateNetwork"] == "yes"
    assert not {"ReadWritePaths", "AmbientCapabilities"} & set(unit)


def test_cpuinfo_stays_visible():
    """Without /proc/cpuinfo LiteRT's kernels crash on arm64."""
    assert service().get("ProcSubset", "all") == "all"


def test_the_command_is_one_that_ichlite_takes(tmp_path):
    command = service()["ExecStart"]
    assert command.startswith(f"{PROGRAM} read /srv/ichlite/inbox ")
    command = command.replace("/srv/ichlite/inbox", str(PHANTOM_BLEED.folder))
    command = command.replace("/var/lib/ichlite", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "ichlite", *command.split()[1:]],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {file.name for file in tmp_path.iterdir()} == {"report.html", "slices.csv"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_accepts_them(tmp_path):
    for unit in UNITS.iterdir():
        # The program need not be installed where the tests run; `true` takes its place.
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAM, "/bin/true"))
    units = sorted(tmp_path.iterdir())
    assert [unit.suffix for unit in units] == [".service", ".timer"]
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
