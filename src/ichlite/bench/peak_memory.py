"""Measure the memory of this process, and the peak of an `ichlite` command in one of its own.

That process is `python -m ichlite.bench.peak_memory read STUDY`.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

from ichlite.errors import IchliteError


def rss_mb() -> float | None:
    """Return the memory that this process holds now, in MB of 10^6 bytes; None but on Linux."""
    return _status_mb("VmRSS")


def peak_rss_mb() -> float | None:
    """Return the most memory this process ever held, in MB of 10^6 bytes; None where unknown.

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


def peak_of(*words: str | Path) -> float | None:
    """Run an `ichlite` command and return its peak memory in MB of 10^6 bytes.

    Args:
        words: Words of the command line after `ichlite`.

    Returns:
        The peak; None where the system does not say.

    Raises:
        IchliteError: The command failed.

    Example:
        >>> peak_of("info", "--json") is None or peak_of("info", "--json") > 10
        True
    """
    done = subprocess.run(
        [sys.executable, "-m", __name__, *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise IchliteError(f"ichlite {words[0]} failed", found=said[-1] if said else None)
    peak: float | None = json.loads(done.stdout.splitlines()[-1])
    return peak


def main() -> None:
    """Run the `ichlite` command on this process's command line and print its peak memory in MB."""
    sys.argv[0] = "ichlite"
    code: object = 0
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):  # noqa: PTH123
        try:
            # By its name, as `python -m ichlite` does: a stage knows nothing of the commands.
            runpy.run_module("ichlite", run_name="__main__")
        except SystemExit as stop:
            code = stop.code
    if code:
        sys.exit(1)
    print(json.dumps(peak_rss_mb()))  # noqa: T201


def _status_mb(field: str) -> float | None:
    status = Path("/proc/self/status")
    text = status.read_text(encoding="ascii", errors="replace") if status.is_file() else ""
    kibibytes = re.search(rf"^{field}:\s*(\d+)", text, re.MULTILINE)  # always in kB (proc(5))
    return None if kibibytes is None else int(kibibytes[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
