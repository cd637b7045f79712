"""Measure the peak memory of an `ichlite` command in a process of its own.

The process is `python -m ichlite.bench.peak_memory read STUDY`.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

from ichlite.bench.machine import peak_rss_mb
from ichlite.errors import IchliteError


def peak_of(*words: str | Path) -> float | None:
    """Words of a command → peak memory in MB of 10^6 bytes; None where the system does not say.

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
    """Run the command of this process' words with its stdout dropped; print the peak."""
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


if __name__ == "__main__":
    main()
