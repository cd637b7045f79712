"""Programs that judge DICOM objects, from Debian: found, or the test is skipped loudly by name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REQUIRED = os.environ.get("ICHLITE_DICOM_TESTS") == "required"
"""Whether a missing program fails a test: `.ci/run` sets it, having installed them."""

PACKAGES = {"dciodvfy": "dicom3tools", "dsrdump": "dcmtk", "dcmdump": "dcmtk", "storescu": "dcmtk"}


def find_program(name: str) -> str | None:
    """Return where a program is; one of the same name that pynetdicom brings is not meant."""
    beside = Path(sys.executable).parent
    folders = [one for one in os.get_exec_path() if Path(one) != beside]
    return shutil.which(name, path=os.pathsep.join(folders))


def tool(name: str) -> str:
    """Return where a program is; skip the test, or fail it where all must be there, without it."""
    program = find_program(name)
    if program is None:
        line = f"{name} is missing, and nothing is tested with it: apt-get install {PACKAGES[name]}"
        if REQUIRED:
            pytest.fail(line)
        pytest.skip(line)
    return program


def run_tool(name: str, *words: object) -> str:
    """Run a program; return what it printed on both streams."""
    done = subprocess.run(
        [tool(name), *map(str, words)], capture_output=True, timeout=120, check=False
    )
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def faults(path: Path) -> list[str]:
    """Return what dciodvfy holds against an object: errors, and warnings that are not expected."""
    said = run_tool("dciodvfy", path).splitlines()
    assert any(line in ("SCImage", "ComprehensiveSR") for line in said), said
    return [line for line in said if line.startswith(("Error", "Abort"))]


def warnings(path: Path) -> list[str]:
    """Return what dciodvfy warns of, but for what no object of ours could mend.

    Codes of a local scheme are what the standard provides for; attributes that the source lacks
    are left empty, and what it says is not ours to change.
    """
    known = ("<99ICHLITE> for value", "needed to build DICOMDIR", "dubious for this VR")
    said = run_tool("dciodvfy", path).splitlines()
    return [line for line in said if "Warning" in line and not any(one in line for one in known)]


def report_text(path: Path) -> str:
    """Return what dsrdump reads in a report, values in full and in UTF-8."""
    return run_tool("dsrdump", "+Pl", "+U8", path)
