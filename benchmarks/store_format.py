"""Compare formats for a prepared store: write and read rates and bytes a slice, in one run.

    python benchmarks/store_format.py STORE --out benchmarks/results/store_format.json

Takes the slices of a prepared store, writes them in each format, and reads random batches of 64.
zarr is compared when it is installed (`pip install zarr`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from ichlite.bench.machine import describe_machine
from ichlite.data.store import Store

BATCH, BATCHES, MOST = 64, 30, 2048
Read = Callable[[NDArray[np.int64]], Any]
Format = Callable[[NDArray[np.int16], Path], tuple[Read, Path]]


def npy(hu: NDArray[np.int16], folder: Path) -> tuple[Read, Path]:
    np.save(folder / "hu.npy", hu)
    mapped = np.load(folder / "hu.npy", mmap_mode="r")
    return lambda rows: mapped[rows], folder


def hdf5(**options: Any) -> Format:
    def write(hu: NDArray[np.int16], folder: Path) -> tuple[Read, Path]:
        with h5py.File(folder / "hu.h5", "w") as file:
            file.create_dataset("hu", data=hu, chunks=(1, 256, 256), **options)
        data = h5py.File(folder / "hu.h5")["hu"]
        return lambda rows: np.stack([data[int(row)] for row in rows]), folder

    return write


def zarr(shard: int | None) -> Format:
    def write(hu: NDArray[np.int16], folder: Path) -> tuple[Read, Path]:
        import zarr
        from zarr.codecs import BloscCodec

        array = zarr.create_array(
            folder / "hu.zarr",
            shape=hu.shape,
            dtype="int16",
            chunks=(1, 256, 256),
            shards=None if shard is None else (shard, 256, 256),
            compressors=BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=2),
        )
        for first in range(0, len(hu), 512):
            array[first : first + 512] = hu[first : first + 512]
        stored = zarr.open_array(folder / "hu.zarr", mode="r")
        if shard is None:
            return lambda rows: stored.oindex[rows], folder
        return lambda rows: np.stack([stored[int(row)] for row in rows]), folder

    return write


def formats() -> dict[str, Format]:
    blosc = hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=hdf5plugin.Blosc.BITSHUFFLE)
    table: dict[str, Format] = {
        "npy, memory-mapped": npy,
        "HDF5, Blosc zstd 1, bit shuffle, checksum": hdf5(fletcher32=True, **blosc),
        "HDF5, Blosc zstd 1, bit shuffle": hdf5(**blosc),
        "HDF5, lzf, shuffle": hdf5(compression="lzf", shuffle=True),
        "HDF5, gzip 1, shuffle": hdf5(compression="gzip", compression_opts=1, shuffle=True),
    }
    if find_spec("zarr") is not None:
        table["zarr 3, Blosc zstd 1, one file a slice"] = zarr(None)
        table["zarr 3, Blosc zstd 1, shards of 512"] = zarr(512)
    return table


def measure(write: Format, hu: NDArray[np.int16]) -> dict[str, float]:
    rng = np.random.default_rng(0)
    batches = [np.sort(rng.choice(len(hu), BATCH, replace=False)) for _ in range(BATCHES)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = perf_counter()
        read, where = write(hu, folder)
        written = perf_counter()
        for rows in batches:
            read(rows)
        done = perf_counter()
        size = sum(file.stat().st_size for file in where.rglob("*") if file.is_file())
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    return {
        "write_per_s": len(hu) / (written - start),
        "read_per_s": BATCH * BATCHES / (done - written),
        "kib_per_slice": size / len(hu) / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    hu = Store.open(chosen.store).hu[:MOST]
    results = {name: measure(write, hu) for name, write in formats().items()}
    for name, one in results.items():
        rates = f"write {one['write_per_s']:7.0f}/s  read {one['read_per_s']:8.0f}/s"
        print(f"{name:44s} {rates}  {one['kib_per_slice']:6.1f} KiB a slice")
    if chosen.out is not None:
        document = {
            "machine": structs.asdict(describe_machine()),
            "slices": len(hu),
            "formats": results,
        }
        chosen.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
