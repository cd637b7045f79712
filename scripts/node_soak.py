"""Run a node for hours at a steady rate of studies, and see whether it grows.

    python -m scripts.node_soak --minutes 120 --out benchmarks/results/node_soak.json

Each minute a study comes in, is read and delivered to a peer; before the next one, the memory that
the node's process holds (VmRSS), its descriptors and its threads are noted. They are flat when the
median of the last quarter is no more than that of the second by 5 MB, 3 descriptors and 3 threads.
Exit code 1 when they are not, or a study was not read.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage
from tests.dicom_files import write_head_series
from tests.node.peers_of_tests import Scp
from tests.node.running_node import SETTINGS, RunningNode

from ichlite.node.peers import associate

SLICES = 28
MOST_GROWTH = {"rss_mb": 5.0, "descriptors": 3.0, "threads": 3.0}


def soak(folder: Path, studies: int, pause_s: float) -> dict[str, Any]:
    """Send so many studies with a pause from one to the next; return what was noted of the node."""
    peer = Scp()
    node_folder = folder / "node"
    node_folder.mkdir()
    (node_folder / "node.toml").write_text(
        f'{SETTINGS}[[peer]]\nname = "pacs"\naet = "SCP"\nhost = "127.0.0.1"\nport = {peer.port}\n',
        encoding="utf-8",
    )
    node = RunningNode(node_folder)
    notes = [note(node.process.pid)]
    try:
        for number in range(studies):
            began = time.monotonic()
            files = write_head_series(folder / "sent", SLICES, study=f"6.{number}", seed=number)
            _send(node, files)
            time.sleep(max(0.0, pause_s - (time.monotonic() - began)))
            notes.append(note(node.process.pid))
        status = node.wait_for(
            lambda found: found["done"] == studies and not found["outbox"]["waiting"], 600
        )
        node.stop()
    finally:
        if node.process.poll() is None:
            node.kill()
        peer.stop()
    growth = {name: _growth([one[name] for one in notes]) for name in MOST_GROWTH}
    return {
        "studies": studies,
        "pause_s": pause_s,
        "done": status["done"],
        "results_at_peer": len(peer.kept),
        "idle": notes[0],
        "last": notes[-1],
        "most": {name: max(one[name] for one in notes) for name in MOST_GROWTH},
        "growth": growth,
        "flat": all(growth[name] <= most for name, most in MOST_GROWTH.items()),
        "notes": notes,
    }


def _growth(noted: list[float]) -> float:
    """Return by how much the median of the last quarter is above that of the second.

    The first quarter fills caches.
    """
    quarter = max(1, len(noted) // 4)
    return round(
        statistics.median(noted[-quarter:]) - statistics.median(noted[quarter : 2 * quarter]), 2
    )


def note(process: int) -> dict[str, float]:
    """Return the memory (MB, VmRSS), descriptors and threads of a process."""
    place = Path("/proc") / str(process)
    said = (place / "status").read_text()
    kib = re.search(r"VmRSS:\s+(\d+)", said)
    threads = re.search(r"Threads:\s+(\d+)", said)
    assert kib is not None
    assert threads is not None
    return {
        "rss_mb": round(int(kib[1]) / 1024, 1),
        "descriptors": float(len(list((place / "fd").iterdir()))),
        "threads": float(threads[1]),
    }


def _send(node: RunningNode, files: list[Path]) -> None:
    entity = AE("CT1")
    entity.add_requested_context(CTImageStorage)
    opened = associate(entity, "127.0.0.1", node.dicom_port, "ICHLITE")
    for path in files:
        if opened.send_c_store(dcmread(path)).get("Status") != 0:
            raise RuntimeError(f"{path} was not taken")
        path.unlink()
    opened.release()


def main() -> None:
    """Run a soak and print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=int, default=120)
    parser.add_argument("--pause", type=float, default=60, help="s from one study to the next")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = soak(Path(folder), round(asked.minutes * 60 / asked.pause), asked.pause)
    text = json.dumps(found, indent=1)
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")
    print(json.dumps({name: value for name, value in found.items() if name != "notes"}, indent=1))
    sys.exit(not found["flat"])


if __name__ == "__main__":
    main()
