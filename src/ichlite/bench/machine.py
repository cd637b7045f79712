"""Nothing in; what the machine and its software are, and how much memory was used, out."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path

from ichlite import __version__
from ichlite.infer.reader import usable_cores

_CPU_INFO = Path("/proc/cpuinfo")
_PACKAGES = ("ai-edge-litert", "numpy", "pydicom")


def describe_machine() -> dict[str, object]:
    """Give the facts that a measured time needs beside it.

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
        "packages": {package: version(package) for package in _PACKAGES},
    }


def peak_rss_mb() -> float | None:
    """Give the most memory this process ever held, in MB of 10^6 bytes; None where unknown."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes (getrusage(2) of each).
    return float(peak if sys.platform == "darwin" else peak * 1024) / 1e6


def _cpu_name() -> str:
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "Hardware") and value.strip():
                return value.strip()
    return platform.processor() or "unknown"
