"""Measure what models cost: parameters, FLOPs, bytes of five kinds, milliseconds.

The times are of bare LiteRT on one thread of this machine, not of a Raspberry Pi. All models take
turns in one run, so that whatever else the machine does slows them alike.
"""

from __future__ import annotations

import inspect
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import keras
from msgspec import UNSET, UnsetType, structs

from ichlite import __version__
from ichlite.atomic_files import write_json
from ichlite.bench.architectures import architecture_contenders, cost
from ichlite.bench.interleaved_timing import measure, sample_windows
from ichlite.bench.machine import describe_machine
from ichlite.bench.runtimes import LITERT
from ichlite.compress.model_cost import flops, one_slice
from ichlite.contracts.bench import Machine
from ichlite.contracts.codec import Document
from ichlite.contracts.values import Count
from ichlite.models import build, light_fcn
from ichlite.models.blocks import classifier, conv_bn, depthwise_bn, halve, relu, windows_input
from ichlite.reproduce.kept_runs import read_kept

SCHEMA: Literal["ichlite-reproduce-costs/1"] = "ichlite-reproduce-costs/1"
SIZES = (256, 224)
"""Input sides, in pixels, for which FLOPs are counted: ichlite's, and that of MobileNetV2's
published FLOPs."""
TURNS = 100


class Latency(Document, frozen=True):
    """Median and 95th percentile of inference times, milliseconds."""

    p50: float
    p95: float


class Costs(Document, frozen=True, kw_only=True):
    """Measured costs of models, the contents of `costs.json`.

    Attributes:
        ichlite, machine, runtime: Version of ichlite, machine and runtime of the measurement.
        load_average: Load of the machine before the measurement; None where the system does not
            say.
        turns: Number of timed inferences for each model.
        models: Costs of each model, by name of the cost.
        counterparts: FLOPs of variants of LightFCN, without projections and with wide ones.
    """

    schema: Literal["ichlite-reproduce-costs/1"] = SCHEMA
    ichlite: str = __version__
    machine: Machine
    load_average: float | None = None
    runtime: str = "LiteRT, 1 thread, batch 1, 256x256, random weights"
    turns: Count = 0
    models: Mapping[str, Mapping[str, int | float | Latency]] = {}
    counterparts: Mapping[str, Mapping[str, int | float]] | UnsetType = UNSET

    def value(self, name: str, key: str) -> float | None:
        """Return one cost of a model, the median for times; None if it was not measured.

        Args:
            name: Key of `models.MODELS`.
            key: Name of the cost.
        """
        found = self.models.get(name, {}).get(key)
        return found.p50 if isinstance(found, Latency) else found


def measured_costs(names: Sequence[str], path: Path, *, turns: int = TURNS) -> Costs:
    """Return the costs of models, from disk where all of them were measured before.

    Args:
        names: Keys of `models.MODELS`.
        path: File `costs.json`.
        turns: Number of timed inferences for each model.

    Returns:
        The costs, which are also written to `path`. On backends other than TensorFlow, which alone
        makes `.tflite` files, costs without models, and nothing is written.

    Raises:
        UnknownName: No such model.
        InputError: The file is damaged.
    """
    on_tensorflow = keras.backend.backend() == "tensorflow"
    known = read_kept(Costs, path)
    if known is not None and set(names) <= set(known.models):
        costs = _completed(known) if on_tensorflow else known
    elif on_tensorflow:
        costs = measure_costs(names, turns=turns)
    else:
        return Costs(machine=describe_machine())
    if costs != known:
        write_json(path, costs)
    return costs


def _completed(known: Costs) -> Costs:
    """Add to costs of an earlier version what was not counted then; times stay as they are."""
    models = {
        name: one if "saved_model_bytes" in one else {**one, **saved_bytes(name)}
        for name, one in known.models.items()
    }
    return structs.replace(known, models=models, counterparts=known.counterparts or counterparts())


def counterparts() -> dict[str, dict[str, int]]:
    """Count the FLOPs of LightFCN without its projections, and with projections to E channels."""
    return {
        name: {"flops_256": flops(one_slice(_wide_fcn(project=project), SIZES[0]))}
        for name, project in (("no_projection", False), ("wide_projection", True))
    }


def _wide_fcn(*, project: bool) -> keras.Model:
    """Build LightFCN with E channels from each block on, and so without residual connections."""
    default = inspect.signature(light_fcn).parameters
    momentum, width = default["bn_momentum"].default, default["width"].default
    image = windows_input(SIZES[0])
    x = relu(conv_bn(image, width, 3, strides=2, momentum=momentum, name="stem"), "stem_relu")
    for number, channels in enumerate(default["expansions"].default, start=1):
        name = f"block{number}"
        x = conv_bn(x, channels, 1, momentum=momentum, name=f"{name}_expand")
        x = depthwise_bn(relu(x, f"{name}_relu"), 3, momentum=momentum, name=f"{name}_depthwise")
        x = relu(x, f"{name}_depthwise_relu")
        if project:
            x = conv_bn(x, channels, 1, momentum=momentum, name=f"{name}_project")
        x = halve(x, f"{name}_pool")
    x = conv_bn(x, default["head_width"].default, 1, momentum=momentum, name="head")
    return classifier(image, relu(x, "features"), dropout=0.1, name="wide_fcn")


def measure_costs(names: Sequence[str], *, turns: int = TURNS) -> Costs:
    """Measure the costs of models, which takes a minute for the paper's four.

    Args:
        names: Keys of `models.MODELS`.
        turns: Number of timed inferences for each model.
    """
    models: dict[str, dict[str, int | float | Latency]] = {}
    for name in names:
        counted = cost(name)
        models[name] = {
            "params": counted.params,
            **{f"flops_{size}": flops(one_slice(build(name, size=size), size)) for size in SIZES},
            "tflite_float32_bytes": counted.tflite_float32_bytes,
            **saved_bytes(name),
        }
    windows = sample_windows()
    with tempfile.TemporaryDirectory(prefix="ichlite-costs-") as temporary:
        folder = Path(temporary)
        contenders = [
            contender
            for name in names
            for contender in architecture_contenders(name, [LITERT], windows, folder)
        ]
        # Of the machine as it was before timing: another job's load makes all times longer.
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        for one in measure(contenders, windows, runs=turns):
            entry, precision = models[one.contender.model], one.contender.precision
            if precision == "int8":
                entry["tflite_int8_bytes"] = one.contender.path.stat().st_size
            times = Latency(one.percentile_ms(50), one.percentile_ms(95))
            entry[f"latency_{precision}_ms"] = times
    return Costs(
        machine=describe_machine(),
        load_average=load,
        turns=turns,
        models=models,
        counterparts=counterparts(),
    )


def saved_bytes(name: str) -> dict[str, int]:
    """Return the size in bytes of a model saved with Adam's state, as HDF5 and as SavedModel.

    The paper does not say which files the sizes in its Table 2 are of; these come nearest.

    Args:
        name: Key of `models.MODELS`.
    """
    import tensorflow as tf

    model = build(name)
    model.compile(keras.optimizers.Adam(), "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    log = logging.getLogger("absl")
    level = log.level
    with tempfile.TemporaryDirectory(prefix="ichlite-saved-") as folder:
        h5, saved = Path(folder) / "model.h5", Path(folder) / "model"
        # Keras warns that HDF5 is an old format, which is why the paper's files may be of it.
        log.setLevel(logging.ERROR)
        try:
            model.save(h5)
            tf.saved_model.save(model, str(saved))
        finally:
            log.setLevel(level)
        files = [path for path in saved.rglob("*") if path.is_file()]
        return {
            "h5_adam_bytes": h5.stat().st_size,
            "saved_model_bytes": sum(path.stat().st_size for path in files),
        }
