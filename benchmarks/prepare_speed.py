"""Time `prepare` on uncompressed 512x512 slices: one process, two, and Ray on two nodes.

    python benchmarks/prepare_speed.py --slices 4096 --out benchmarks/results/prepare_speed.json
    python benchmarks/prepare_speed.py --ray                 # also two Ray nodes of one core each

Writes a data set in Kaggle's layout from the embedded GE head (each slice with its own noise),
reads it once to warm the page cache, then prepares it in each way in turn, `--rounds` times.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from msgspec import structs
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from ichlite.bench.machine import describe_machine
from ichlite.data.prepare_store import prepare_store
from ichlite.data.readers.rsna import IMAGES, TABLE
from ichlite.data.workers import Engine, local_engine
from ichlite.labels import CLASSES
from ichlite.samples import GE_HEAD

SLICES_A_SCAN = 32


def write_set(root: Path, slices: int) -> None:
    """Write a set of uncompressed slices; nothing of it is the same twice."""
    (root / IMAGES).mkdir(parents=True)
    rng = np.random.default_rng(0)
    originals = [dcmread(path) for path in GE_HEAD.files]
    images = [one.pixel_array for one in originals]
    lines = ["ID,Label"]
    for number in range(slices):
        scan, place = divmod(number, SLICES_A_SCAN)
        image = originals[place % len(originals)]
        pixels = images[place % len(originals)] + rng.integers(0, 4, (512, 512), np.int16)
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.PixelData = pixels.astype(image.pixel_array.dtype).tobytes()
        image["PixelData"].VR = "OW"
        image["PixelData"].is_undefined_length = False
        image.PatientID = f"p{scan}"
        image.StudyInstanceUID = image.SeriesInstanceUID = f"1.2.{scan}"
        image.SOPInstanceUID = f"1.2.{scan}.{place}"
        image.ImagePositionPatient = [0, 0, 5.0 * place]
        image.save_as(root / IMAGES / f"ID_{number:06d}.dcm", enforce_file_format=True)
        lines += [f"ID_{number:06d}_{name},{int(place == 9)}" for name in CLASSES]
    (root / TABLE).write_text("\n".join(lines) + "\n")


@contextmanager
def ways(with_ray: bool) -> Iterator[dict[str, Callable[[], AbstractContextManager[Engine]]]]:
    """Yield each way to prepare by name."""
    engines: dict[str, Callable[[], AbstractContextManager[Engine]]] = {
        "one process": partial(local_engine, 1),
        "two processes": partial(local_engine, 2),
    }
    if not with_ray:
        yield engines
        return
    from ray.cluster_utils import Cluster

    from ichlite.cluster.ray_prepare import ray_engine
    from ichlite.cluster.session import session

    cluster = Cluster()
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=200_000_000)
    try:
        with session(cluster.address):  # kept open, so that workers are started once
            yield {**engines, "Ray, two nodes of one core": partial(ray_engine, cluster.address)}
    finally:
        cluster.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ways(chosen.ray) as engines:
        root = Path(name) / "set"
        write_set(root, chosen.slices)
        rates: dict[str, list[float]] = {way: [] for way in engines}
        hashes = set()
        for round_ in range(chosen.rounds + 1):
            for way, make_engine in engines.items():
                out = Path(name) / "store"
                start = perf_counter()
                with make_engine() as engine:
                    made = prepare_store("rsna", root, out, engine=engine)
                if round_:  # the first round warms the page cache and starts workers
                    rates[way].append(chosen.slices / (perf_counter() - start))
                hashes.add(made.description["hash"])
                shutil.rmtree(out)
    if len(hashes) != 1:
        raise SystemExit(f"the ways give different stores: {sorted(hashes)}")
    one = median(rates["one process"])
    document = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": structs.asdict(describe_machine()),
        "slices": chosen.slices,
        "slices_per_s": {way: round(median(found), 1) for way, found in rates.items()},
        "of_twice_one": {way: round(median(f) / (2 * one), 3) for way, f in rates.items()},
        "rounds": {way: [round(rate, 1) for rate in found] for way, found in rates.items()},
    }
    text = json.dumps(document, indent=2) + "\n"
    print(text, end="")
    if chosen.out is not None:
        chosen.out.write_text(text)


if __name__ == "__main__":
    main()
