"""The example that reads with the bare interpreter, beside what `ichlite read` says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

import ichlite
from ichlite.labels import CLASSES
from ichlite.samples import SAMPLES

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "raw_interpreter.py"
LARGEST_DIFFERENCE = 1e-12
"""Of probabilities; they differ by the order of additions in float64 alone."""


def load_example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("raw_interpreter", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def largest_difference(bundle: Path) -> float:
    """Over the samples, of the example's probabilities of a slice and those of `ichlite read`."""
    example = load_example()
    found = []
    for sample in SAMPLES:
        told = example.read_series(bundle, sample.folder)
        scan = ichlite.read_scan(sample.folder, bundle=bundle)
        wanted = np.array([[one.probabilities[name] for name in CLASSES] for one in scan.slices])
        assert told.shape == wanted.shape
        found.append(float(np.abs(told - wanted).max()))
    sys.stdout.write(f"{bundle.name}: {max(found):.1e}\n")
    return max(found)
