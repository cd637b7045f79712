"""Check whether arm64 computes the integers of this machine, under emulation.

    sudo apt-get install qemu-user-static debootstrap
    sudo debootstrap --arch=arm64 --variant=minbase --include=python3 bookworm ROOT
    python scripts/arm64_wheels.py --python 3.11 --out WHEELS
    python scripts/arm64_same_integers.py --system ROOT WHEELS cortex-a72 --out arm64.json

Runs `scripts/raw_outputs.py` and `ichlite read --json` with an int8 bundle, `--bundle`, here and
under QEMU's emulation of the processors below, and compares every number. Counts only: an emulated
time says nothing of a board.

QEMU 7.2 shows an emulated program the host's /proc/cpuinfo (10.0 does not), and with an x86 one
LiteRT's kernels end in a segmentation fault on arm64; so the root gets the board's own. `--system`
may be given again: other systems, other processors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.infer.bundle import EMBEDDED, load_bundle
from ichlite.samples import SAMPLES

REPOSITORY = Path(__file__).resolve().parents[1]
QEMU = "qemu-aarch64-static"
TOLERANCE = 1e-12
"""Allowed difference of a probability: exp and means in float64 round their last bit as each
processor likes."""


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor that QEMU emulates; numbers as its MIDR_EL1 has them.

    Attributes:
        board: What has it.
        implementer, variant, part, revision: As in /proc/cpuinfo.
    """

    board: str
    implementer: int
    variant: int
    part: int
    revision: int

    def cpuinfo(self, cores: int = 4) -> str:
        """Return /proc/cpuinfo as Linux on arm64 writes it."""
        one = (
            "BogoMIPS\t: 108.00\nFeatures\t: fp asimd\n"
            f"CPU implementer\t: {self.implementer:#04x}\n"
            f"CPU architecture: 8\nCPU variant\t: {self.variant:#x}\n"
            f"CPU part\t: {self.part:#05x}\nCPU revision\t: {self.revision}\n\n"
        )
        return "".join(f"processor\t: {core}\n{one}" for core in range(cores))


PROCESSORS = {
    "cortex-a72": Processor("Raspberry Pi 4", 0x41, 0, 0xD08, 3),
    "cortex-a76": Processor("Raspberry Pi 5", 0x41, 4, 0xD0B, 1),
    # No Pi has SME, and under QEMU 7.2 LiteRT's SME kernels compute nonsense: docs/log.md.
    "max,sme=off": Processor("none: all that QEMU knows but SME", 0x00, 0, 0x051, 0),
}


def compare_arrays(
    ours: dict[str, NDArray[Any]], theirs: dict[str, NDArray[Any]]
) -> dict[str, dict[str, Any]]:
    """Return what differs between the arrays of two machines, by name.

    Example:
        >>> a = {"map": np.array([1, -128], np.int8)}
        >>> compare_arrays(a, {"map": np.array([1, 127], np.int8)})["map"]
        {'dtype': 'int8', 'values': 2, 'differing': 1, 'largest_difference': 255.0}
    """
    if {k: (a.shape, a.dtype) for k, a in ours.items()} != {
        k: (a.shape, a.dtype) for k, a in theirs.items()
    }:
        raise SystemExit("the two machines wrote arrays of other names, shapes or types")
    found = {}
    for name, a in ours.items():
        b = theirs[name]
        differing = a != b
        distance = np.abs(a.astype(np.float64) - b.astype(np.float64))
        found[name] = {
            "dtype": a.dtype.name,
            "values": int(a.size),
            "differing": int(differing.sum()),
            "largest_difference": float(distance.max(initial=0.0)),
        }
    return found


def compare_documents(ours: Any, theirs: Any) -> dict[str, Any]:
    """Return how many values two JSON documents hold and how far they are apart.

    Example:
        >>> compare_documents({"a": [0.5, True]}, {"a": [0.25, False]})
        {'values': 2, 'numbers_differing': 1, 'largest_difference': 0.25, 'others_differing': 1}
    """
    a, b = dict(_leaves(ours)), dict(_leaves(theirs))
    differing = [key for key in a.keys() | b.keys() if a.get(key) != b.get(key)]
    numbers = [key for key in differing if {type(a.get(key)), type(b.get(key))} <= {int, float}]
    return {
        "values": len(a),
        "numbers_differing": len(numbers),
        "largest_difference": max((abs(a[key] - b[key]) for key in numbers), default=0.0),
        "others_differing": len(differing) - len(numbers),
    }


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict | list):
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for name, child in pairs:
            yield from _leaves(child, f"{key}/{name}")
    else:
        yield key, node


def run(python: list[str], path: list[Path], folder: Path, bundle: Path) -> dict[str, Any]:
    """Return what a Python with its packages computes with a bundle."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONSAFEPATH": "1"}
    env |= {"PYTHONDONTWRITEBYTECODE": "1"}
    npz = folder / "outputs.npz"

    def output_of(*arguments: object) -> Any:
        done = subprocess.run([*python, *map(str, arguments)], env=env, stdout=-1, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(python)} ended with {done.returncode}")
        return json.loads(done.stdout)

    machine = output_of(REPOSITORY / "scripts" / "raw_outputs.py", npz, "--bundle", bundle)
    words = ("read", "--json", "--bundle", bundle)
    document = output_of("-m", "ichlite", *words, *(s.folder for s in SAMPLES))
    with np.load(npz) as arrays:
        return {"machine": machine, "arrays": dict(arrays), "document": document}


def emulated(root: Path, libraries: Path, cpu: str, folder: Path, bundle: Path) -> dict[str, Any]:
    """Return what an emulated processor computes with an arm64 root, packages and a bundle."""
    if (root / "proc").is_symlink():  # as the first stage alone of debootstrap leaves it
        raise SystemExit(f"{root}/proc is a link: finish the root with debootstrap's second stage")
    (root / "proc" / "cpuinfo").write_text(PROCESSORS[cpu].cpuinfo())
    python = [QEMU, "-cpu", cpu, "-L", str(root), str((root / "usr/bin/python3").resolve())]
    return run(python, [REPOSITORY / "src", libraries], folder, bundle)


def compared(
    ours: dict[str, Any], root: Path, wheels: Path, cpus: list[str], bundle: Path
) -> Iterator[dict[str, Any]]:
    """Yield what each emulated processor computes otherwise than this machine."""
    with tempfile.TemporaryDirectory() as name:
        libraries = Path(name) / "libraries"
        for wheel in sorted(wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(libraries)
        for cpu in cpus:
            theirs = emulated(root.resolve(), libraries, cpu, Path(name), bundle)
            yield {
                "cpu": cpu,
                "board": PROCESSORS[cpu].board,
                "system": theirs["machine"]["system"],
                "python": theirs["machine"]["python"],
                "packages": theirs["machine"]["packages"],
                "outputs": compare_arrays(ours["arrays"], theirs["arrays"]),
                "read_json": compare_documents(ours["document"], theirs["document"]),
            }
            print(f"{root.name} {cpu}: done", file=sys.stderr, flush=True)


def main() -> None:
    """Run everything here and on each emulated processor, and say what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = ("ROOT", "WHEELS", "CPU")
    parser.add_argument("--system", nargs=3, action="append", required=True, metavar=names)
    parser.add_argument("--bundle", type=Path, default=EMBEDDED, help="an int8 one")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    bundle = chosen.bundle.resolve()
    version = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True)
    systems: dict[tuple[Path, Path], list[str]] = {}
    for root, wheels, cpu in chosen.system:
        if cpu not in PROCESSORS:
            parser.error(f"processor {cpu}: expected one of {', '.join(PROCESSORS)}")
        systems.setdefault((Path(root), Path(wheels)), []).append(cpu)
    with tempfile.TemporaryDirectory() as name:
        ours = run([sys.executable], [REPOSITORY / "src"], Path(name), bundle)
    with ThreadPoolExecutor(len(systems)) as pool:
        found = pool.map(
            lambda item: list(compared(ours, *item[0], item[1], bundle)), systems.items()
        )
        runs = [one for system in found for one in system]
    document = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python scripts/arm64_same_integers.py --system ROOT WHEELS CPU",
        "bundle": load_bundle(bundle).label,
        "model_sha256": sha256(load_bundle(bundle).model).hexdigest(),
        "qemu": version.stdout.splitlines()[0],
        "native": {k: ours["machine"][k] for k in ("cpu", "system", "python", "packages")},
        "emulated": runs,
        "same_integers": not any(a["differing"] for r in runs for a in r["outputs"].values()),
        "same_reading": not any(
            r["read_json"]["others_differing"] or r["read_json"]["largest_difference"] > TOLERANCE
            for r in runs
        ),
    }
    text = json.dumps(document, indent=2) + "\n"
    print(text, end="")
    if chosen.out is not None:
        chosen.out.write_text(text)
    if not (document["same_integers"] and document["same_reading"]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
