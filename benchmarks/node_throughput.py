"""Time how many slices a second a node makes durable, beside Orthanc in the same run.

    python -m benchmarks.node_throughput --out benchmarks/results/node_throughput.json

Uncompressed 512x512 slices are sent by DCMTK's `storescu`, a process for each association, to the
node and to Orthanc in turn, `--rounds` times; the node reads studies all the while, which costs
both the same. Both write to the same disk, and sync files before they answer: the node also folder
and row, Orthanc as it is delivered. Needs dcmtk and orthanc.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from scripts.orthanc import Orthanc
from tests.dicom_files import write_head_series
from tests.node.running_node import SETTINGS, RunningNode
from tests.write.dicom_tools import find_program

from ichlite.bench.machine import describe_machine
from ichlite.contracts.codec import to_json_value

STUDY_SLICES = 28
ASSOCIATIONS = 1, 4
STORESCU = find_program("storescu") or "storescu"


class Slices:
    """Slices that nobody was sent before.

    Args:
        folder: Where they are written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._studies = count(1)
        folder.mkdir()
        self._heads = [
            dcmread(path) for path in write_head_series(folder / "head", STUDY_SLICES, side=512)
        ]

    def write(self, slices: int) -> Path:
        """Write so many to a folder of their own, and return it."""
        number = next(self._studies)
        folder = self._folder / str(number)
        folder.mkdir()
        for place in range(slices):
            study, index = divmod(place, STUDY_SLICES)
            _rename(self._heads[index], f"1.2.826.0.1.3680043.8.498.7.{number}.{study + 1}", index)
            self._heads[index].save_as(folder / f"{place:05d}")
        return folder


def _rename(data: Dataset, study: str, index: int) -> None:
    data.StudyInstanceUID = study
    data.SeriesInstanceUID = f"{study}.1"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{study}.1.{index + 1}"


def send(slices: Slices, number: int, associations: int, aet: str, port: int) -> float:
    """Send `number` slices over so many associations at once; return slices a second."""
    folders = [slices.write(number // associations) for _ in range(associations)]
    words = [STORESCU, "-aec", aet, "-pdu", "131072", "+sd", "127.0.0.1", str(port)]
    began = time.perf_counter()
    senders = [subprocess.Popen([*words, str(folder)]) for folder in folders]
    codes = [sender.wait() for sender in senders]
    if any(codes):
        raise RuntimeError(f"{aet} did not take all")
    took = time.perf_counter() - began
    for folder in folders:
        shutil.rmtree(folder)
    return number / took


def measure(folder: Path, number: int, rounds: int) -> dict[str, Any]:
    """Send to both, in turn; return all rates and their medians."""
    slices = Slices(folder / "slices")
    node_folder = folder / "node"
    node_folder.mkdir()
    (node_folder / "node.toml").write_text(SETTINGS.replace("quiet_s = 0.5", "quiet_s = 1"))
    node = RunningNode(node_folder)
    pacs = Orthanc(folder / "orthanc")
    rates: dict[str, dict[str, list[float]]] = {"node": {}, "orthanc": {}}
    read: list[int] = []
    cpu_ms: list[float] = []
    try:
        send(slices, 2 * STUDY_SLICES, 1, "ICHLITE", node.dicom_port)
        send(slices, 2 * STUDY_SLICES, 1, pacs.aet, pacs.dicom_port)
        for _ in range(rounds):
            for associations in ASSOCIATIONS:
                node.wait_for(lambda found: found["running"] == 1)
                done, cpu_s = node.status()["done"], cpu_seconds(node.process.pid)
                rate = send(slices, number, associations, "ICHLITE", node.dicom_port)
                cpu_ms.append(round(1000 * (cpu_seconds(node.process.pid) - cpu_s) / number, 2))
                read.append(node.status()["done"] - done)
                rates["node"].setdefault(str(associations), []).append(round(rate, 1))
                node.wait_for(lambda found: found["running"] == 1)
                rate = send(slices, number, associations, pacs.aet, pacs.dicom_port)
                rates["orthanc"].setdefault(str(associations), []).append(round(rate, 1))
            sys.stderr.write(f"{rates}\n")
    finally:
        if node.process.poll() is None:
            node.kill()
        pacs.stop()
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": to_json_value(describe_machine()),
        "slices": number,
        "sync_ms": sync_ms(folder),
        "studies_read_meanwhile": read,
        "node_cpu_ms_per_slice": cpu_ms,
        "slices_per_second": rates,
        "medians": {
            who: {n: median(of) for n, of in found.items()} for who, found in rates.items()
        },
    }


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process so far, without its children's."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sync_ms(folder: Path) -> float:
    """Return how long one synced write of half a megabyte takes here: the median of 30."""
    content = np.random.default_rng(0).bytes(1 << 19)
    took = []
    for _ in range(30):
        began = time.perf_counter()
        with (folder / "synced").open("wb", buffering=0) as file:
            file.write(content)
            os.fsync(file.fileno())
        took.append(1000 * (time.perf_counter() - began))
    return round(median(took), 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=560, help="of each sending")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    asked = parser.parse_args()
    with TemporaryDirectory(dir=asked.folder) as folder:
        found = measure(Path(folder), asked.slices, asked.rounds)
    text = json.dumps(found, indent=1)
    sys.stdout.write(text + "\n")
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
