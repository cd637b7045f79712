"""Describe the machine and its software, and measure how much memory is used."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ichlite import __version__
from ichlite.infer.reader import usable_cores

_CPU_INFO = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")
_PACKAGES = ("ai-edge-litert", "numpy", "pydicom")


def describe_machine(packages: Iterable[str] = ()) -> dict[str, object]:
    """Give the facts that a measured time needs beside it.

    Args:
        packages: Whose versions are listed, too, where they are installed.

    Example:
        >>> sorted(describe_machine())
        ['cores', 'cpu', 'ichlite', 'packages', 'python', 'system']
    """
    return {
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "ichlite": __version__,
        "packages": _versions(dict.fromkeys((*_PACKAGES, *packages))),
    }


def rss_mb() -> float | None:
    """Give the memory that this process holds now, in MB of 10^6 bytes; None but on Linux."""
    return _status_mb("VmRSS")


def peak_rss_mb() -> float | None:
    """Give the most memory this process ever held, in MB of 10^6 bytes; None where unknown.

    Why not getrusage on Linux: a process begins there with the peak of the one that started it.
    """
    if sys.platform == "win32":
        return None
    if sys.platform == "linux":
        return _status_mb("VmHWM")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts in bytes, the others in KiB (getrusage(2) of each).
    return float(peak if sys.platform == "darwin" else peak * 1024) / 1e6


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _status_mb(field: str) -> float | None:
    if not _STATUS.is_file():
        return None
    for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key == field:
            return int(value.split()[0]) * 1024 / 1e6  # always in kB (proc(5))
    return None


def _cpu_name() -> str:
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "Hardware") and value.strip():
                return value.strip()
    return platform.processor() or "unknown"
