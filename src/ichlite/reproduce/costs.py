"""Names of models in; what each costs out: parameters, FLOPs, bytes of four kinds, milliseconds.

The times are of bare LiteRT on one thread of this machine, not of a Raspberry Pi. All models take
turns in one run, so that whatever else the machine does slows them alike.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import keras
import numpy as np

from ichlite import __version__
from ichlite.bench.architectures import architecture_bundles
from ichlite.bench.cost import cost
from ichlite.bench.machine import describe_machine
from ichlite.compress.flops import flops, one_slice
from ichlite.data.whole import write_json
from ichlite.infer.runtime import Runtime
from ichlite.models import build
from ichlite.reproduce.results import read_document

SCHEMA = "ichlite-reproduce-costs/1"
SIZES = (256, 224)
"""Sides of the input: ours, and the one for which MobileNetV2's published FLOPs are known."""
WARM_UPS = 3
TURNS = 100


def measured_costs(names: Sequence[str], path: Path, *, turns: int = TURNS) -> dict[str, Any]:
    """Names of models → their costs, from disk where all of them were measured before.

    Args:
        names: Keys of `models.MODELS`.
        path: Of costs.json.
        turns: Inferences timed, a model.

    Returns:
        `{"schema", "machine", "load_average", "turns", "models": {name: {…}}}`, on disk, too. On
        another backend than TensorFlow, which alone makes `.tflite` files, no models, and nothing
        on disk: the same command on TensorFlow measures them.

    Raises:
        UnknownName: No such model.
        InputError: The file is damaged.
    """
    known = read_document(path) or {}
    if known.get("schema") == SCHEMA and set(names) <= set(known.get("models", ())):
        return known
    if keras.backend.backend() != "tensorflow":
        return _document({}, None, 0)
    document = measure_costs(names, turns=turns)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, document)
    return document


def measure_costs(names: Sequence[str], *, turns: int = TURNS) -> dict[str, Any]:
    """Names of models → their costs, measured now (a minute for the paper's four)."""
    models: dict[str, dict[str, Any]] = {name: _counted(name) for name in names}
    clocks: dict[tuple[str, str], Callable[[], None]] = {}
    for bundle in architecture_bundles(names):
        precision = str(bundle.manifest["precision"])
        if precision == "int8":
            models[bundle.name]["tflite_int8_bytes"] = len(bundle.model)
        clocks[bundle.name, precision] = Runtime(bundle, 1).invoke
    # Of the machine as it was while timing: another job's load makes all times longer.
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    for (name, precision), times_ms in interleaved_ms(clocks, turns).items():
        models[name][f"latency_{precision}_ms"] = {
            "p50": float(np.percentile(times_ms, 50)),
            "p95": float(np.percentile(times_ms, 95)),
        }
    return _document(models, load, turns)


def interleaved_ms(
    work: dict[tuple[str, str], Callable[[], None]], turns: int
) -> dict[tuple[str, str], list[float]]:
    """Named pieces of work → milliseconds of each, every piece having its turn in every round."""
    for one in work.values():
        for _ in range(WARM_UPS):
            one()
    times_ms: dict[tuple[str, str], list[float]] = {key: [] for key in work}
    for _ in range(turns):
        for key, one in work.items():
            start_s = perf_counter()
            one()
            times_ms[key].append((perf_counter() - start_s) * 1e3)
    return times_ms


def h5_bytes(name: str) -> int:
    """Name of a model → bytes of an HDF5 file of it saved with Adam's state.

    The paper does not say what the sizes of its Table 2 are of; this is what comes nearest.
    """
    model = build(name)
    model.compile(keras.optimizers.Adam(), "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    with tempfile.TemporaryDirectory(prefix="ichlite-h5-") as folder:
        path = Path(folder) / "model.h5"
        # Keras warns that HDF5 is an old format, which is why the paper's files are of it.
        log = logging.getLogger("absl")
        level = log.level
        log.setLevel(logging.ERROR)
        try:
            model.save(path)
        finally:
            log.setLevel(level)
        return path.stat().st_size


def _document(models: dict[str, Any], load: float | None, turns: int) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "ichlite": __version__,
        "machine": describe_machine(),
        "load_average": load,
        "runtime": "LiteRT, 1 thread, batch 1, 256x256, random weights",
        "turns": turns,
        "models": models,
    }


def _counted(name: str) -> dict[str, Any]:
    counted = cost(name)
    return {
        "params": counted.params,
        **{f"flops_{size}": _flops(name, size) for size in SIZES},
        "tflite_float32_bytes": counted.tflite_float32_bytes,
        "h5_adam_bytes": h5_bytes(name),
    }


def _flops(name: str, size: int) -> int:
    return flops(one_slice(build(name, size=size), size))
