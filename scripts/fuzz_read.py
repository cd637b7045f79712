"""Damage sample files at random and read them: every one gets an answer or a reason.

    python scripts/fuzz_read.py --mutations 1000000 --processes 2

A mutation flips bits, overwrites, deletes, repeats or cuts bytes of one file, mostly in its header,
where lengths and types stand. A fault is anything but a result or a refusal: an exception that is
no `IchliteError`, one that the reader calls an internal error, or pixels out of range. Every
hundredth file is read to its end, model included; the others up to Hounsfield units. Faults are
written as files, to read again; exit code 1 when there are any.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ichlite.ct.series import find_series
from ichlite.ct.tensor import HU_MAX, HU_MIN, read_volume
from ichlite.errors import IchliteError
from ichlite.infer.pipeline import read_with
from ichlite.infer.reader import Reader
from ichlite.samples import SAMPLES

HEADER_BYTES = 2_500
"""Where most mutations are made: the samples' headers are about so long, at least."""
_PIXELS = b"\xe0\x7f\x10\x00"
WHOLE_READINGS = 100
"""One reading in so many goes on to the model."""
_EXTREMES = (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xfe\xff\xff\x7f", b"\x00\x00\x00\x80")
_TAGS = (b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0", b"\xe0\x7f\x10\x00", b"\x28\x00\x10\x00")


def seeds() -> list[bytes]:
    """Return files to damage: slices of the samples, and those of each as one enhanced image."""
    sys.path.append(str(Path(__file__).resolve().parents[1]))  # the tests' writer is no package
    from tests.dicom_files import write_enhanced

    chosen = [sample.files[::9] for sample in SAMPLES]
    single = [path.read_bytes() for files in chosen for path in files]
    with TemporaryDirectory() as folder:
        many = [write_enhanced(Path(folder) / "image", files).read_bytes() for files in chosen]
    return single + many


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a file's bytes, damaged in one to four places."""
    changed = bytearray(content)
    header = max(HEADER_BYTES, content.find(_PIXELS))
    for _ in range(int(rng.integers(1, 5))):
        end = min(len(changed), header) if rng.random() < 0.9 else len(changed)
        at = int(rng.integers(0, max(1, end)))
        kind = int(rng.integers(7))
        if kind == 0 and changed:
            changed[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            changed[at : at + 1] = bytes([int(rng.integers(256))])
        elif kind == 2:
            changed[at : at + 4] = _EXTREMES[int(rng.integers(len(_EXTREMES)))]
        elif kind == 3:
            del changed[at : at + int(rng.integers(1, 40))]
        elif kind == 4:
            changed[at:at] = changed[at : at + int(rng.integers(1, 40))]
        elif kind == 5:
            changed[at : at + 4] = _TAGS[int(rng.integers(len(_TAGS)))]
        elif rng.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def outcome(path: Path, reader: Reader | None) -> tuple[str, str | None]:
    """Read a damaged file.

    Args:
        path: The file.
        reader: To read it to the end; None: up to Hounsfield units.

    Returns:
        What became of it, and the fault, if it is one.
    """
    try:
        if reader is not None:
            result = read_with(reader, [path], force=True)
            reasons = [reason for scan in result.studies for reason in scan.reasons]
            broken = [reason for reason in reasons if reason.startswith("internal error")]
            return "read to the end", broken[0] if broken else None
        found, _ = find_series([path])
        for series in found:
            hu = read_volume(series).hu
            if hu.min() < HU_MIN or hu.max() > HU_MAX:
                return "HU", f"HU from {hu.min()} to {hu.max()}"
        return ("HU", None) if found else ("no series", None)
    except IchliteError:
        return "refused", None
    except Exception as error:  # noqa: BLE001  that is what is looked for
        return "fault", f"{type(error).__name__}: {error}"


def fuzz(mutations: int, seed: int, faults: Path | None = None) -> tuple[Counter[str], list[str]]:
    """Damage and read files.

    Args:
        mutations: How many.
        seed: Of the damage.
        faults: Folder that files with a fault go to; None: nowhere.

    Returns:
        How many had which outcome, and a line for each fault.
    """
    originals = seeds()
    counts: Counter[str] = Counter()
    lines: list[str] = []
    rng = np.random.default_rng(seed)
    with TemporaryDirectory() as folder, Reader() as reader:
        path = Path(folder) / "damaged.dcm"
        for number in range(mutations):
            content = mutate(originals[int(rng.integers(len(originals)))], rng)
            path.write_bytes(content)
            whole = number % WHOLE_READINGS == 0
            what, fault = outcome(path, reader if whole else None)
            counts[what] += 1
            if fault is not None:
                lines.append(f"seed {seed}, mutation {number}: {fault}")
                if faults is not None:
                    faults.mkdir(parents=True, exist_ok=True)
                    (faults / f"{seed}-{number}.dcm").write_bytes(content)
    return counts, lines


def in_processes(
    job: Callable[[int, int], tuple[Counter[str], list[str]]],
    mutations: int,
    processes: int,
    seed: int,
) -> dict[str, Any]:
    """Share mutations out among processes.

    Args:
        job: Takes how many and a seed; returns what became of them, and a line for each fault.
        mutations: In all; rounded up to the same number for each process.
        processes: How many.
        seed: Of the first; each has one of its own.

    Returns:
        Counts and faults of all, as JSON.
    """
    share = -(-mutations // processes)
    began = time.monotonic()
    counts: Counter[str] = Counter()
    faults: list[str] = []
    with ProcessPoolExecutor(processes) as pool:
        for done in [pool.submit(job, share, seed + place) for place in range(processes)]:
            found, said = done.result()
            counts += found
            faults += said
    return {
        "mutations": share * processes,
        "seconds": round(time.monotonic() - began, 1),
        "outcomes": dict(counts.most_common()),
        "faults": faults,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print counts and faults as JSON; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first process")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--faults", type=Path, help="folder for files with a fault")
    given = parser.parse_args(arguments)
    document = in_processes(
        partial(fuzz, faults=given.faults), given.mutations, given.processes, given.seed
    )
    print(json.dumps(document, indent=2))
    return 1 if document["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
