"""Time how soon `--help` answers, beside a Python that does nothing: in turns, in one run.

    python benchmarks/help_speed.py --out benchmarks/results/help_speed.json

The limit is 0.3 s for `ichlite --help` and `ichlite read --help` on a free machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from msgspec import structs

from ichlite.bench.machine import describe_machine

ROUNDS = 15
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "ichlite --help": ["-m", "ichlite", "--help"],
    "ichlite read --help": ["-m", "ichlite", "read", "--help"],
}


def seconds(words: list[str]) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rounds = [{name: seconds(words) for name, words in COMMANDS.items()} for _ in range(ROUNDS)]
    results = {
        name: {
            "quickest_s": min(times[name] for times in rounds),
            "median_s": median(times[name] for times in rounds),
        }
        for name in COMMANDS
    }
    for name, one in results.items():
        print(f"{name:20s} quickest {one['quickest_s']:.3f} s  median {one['median_s']:.3f} s")
    if chosen.out is not None:
        document = {
            "machine": structs.asdict(describe_machine(["typer"])),
            "rounds": ROUNDS,
            "commands": results,
        }
        chosen.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
