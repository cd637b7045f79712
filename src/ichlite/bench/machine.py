"""Describe the machine and the software that a figure was measured on."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ichlite import __version__
from ichlite.contracts.bench import Machine
from ichlite.infer.reader import usable_cores

PACKAGES = ("ai-edge-litert", "numpy", "pydicom")
"""Packages whose versions are always reported with a measurement."""


def describe_machine(packages: Iterable[str] = ()) -> Machine:
    """Describe the processor, cores, system and package versions to report with a measured time.

    Args:
        packages: Further packages whose versions are listed where they are installed.

    Example:
        >>> describe_machine().cores > 0
        True
    """
    versions = {}
    for package in (*PACKAGES, *packages):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return Machine(
        cpu=_cpu_name(),
        cores=usable_cores(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        ichlite=__version__,
        packages=versions,
    )


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8", errors="replace") if info.is_file() else ""
    named = re.search(r"^(?:model name|Model|Hardware)[ \t]*:[ \t]*(\S.*)$", text, re.MULTILINE)
    return (named[1].strip() if named else platform.processor()) or "unknown"
