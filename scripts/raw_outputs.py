"""Write what an int8 bundle's model takes and gives for the samples, bit for bit.

    python scripts/raw_outputs.py OUT.npz [--bundle BUNDLE]

Runs on any machine that has the light half. `scripts/arm64_same_integers.py` runs it on two kinds
of processor and compares the files. Each sample gives `hu` (slice, 256, 256) int16, `input`
(slice, 256, 256, 4) int8, `map` (slice, 4, 4, 5) int8 and `logits` (slice, 5) float32; noise that
fills the whole int8 range gives `input`, `map` and `logits`, too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from msgspec import structs
from numpy.typing import NDArray

from ichlite.bench.machine import describe_machine
from ichlite.ct.series import find_series
from ichlite.ct.tensor import model_input, read_volume
from ichlite.infer.bundle import load_bundle
from ichlite.infer.runtime import stored_input
from ichlite.samples import SAMPLES

NOISE_SLICES = 26
NOISE_SEED = 7


class RawModel:
    """An int8 model as `ichlite read` runs it, with nothing done to what it gives."""

    def __init__(self, bundle: Path | None) -> None:
        loaded = load_bundle(bundle)
        if loaded.manifest.precision != "int8":
            raise SystemExit(f"{loaded.name} is no int8 bundle: its outputs are no integers")
        self._interpreter = Interpreter(model_content=loaded.model, num_threads=1)
        self._interpreter.allocate_tensors()
        (self.input,) = self._interpreter.get_input_details()
        self._outputs = {
            len(d["shape"]): d["index"] for d in self._interpreter.get_output_details()
        }

    def run(self, slices: NDArray[np.int8]) -> dict[str, NDArray[Any]]:
        """Return the stored `map` and `logits` of slices (slice, 256, 256, channel) int8."""
        found: dict[str, list[NDArray[Any]]] = {"map": [], "logits": []}
        for one in slices:
            self._interpreter.set_tensor(self.input["index"], one[np.newaxis])
            self._interpreter.invoke()
            for name, rank in (("map", 4), ("logits", 2)):
                found[name].append(self._interpreter.get_tensor(self._outputs[rank])[0])
        return {name: np.stack(arrays) for name, arrays in found.items()}


def raw_outputs(bundle: Path | None) -> dict[str, NDArray[Any]]:
    """Return every array of the samples by `<sample>.<name>`, and those of noise.

    Args:
        bundle: None: the embedded one.
    """
    model = RawModel(bundle)
    arrays: dict[str, NDArray[Any]] = {}
    for sample in SAMPLES:
        ((series,), _) = find_series([sample.folder])
        hu = read_volume(series, map).hu
        stored = stored_input(model_input(hu), model.input)
        arrays |= {f"{sample.name}.hu": hu, f"{sample.name}.input": stored}
        arrays |= {f"{sample.name}.{name}": a for name, a in model.run(stored).items()}
    rng = np.random.default_rng(NOISE_SEED)
    noise = rng.integers(-128, 128, (NOISE_SLICES, *model.input["shape"][1:]), dtype=np.int8)
    arrays["noise.input"] = noise
    return arrays | {f"noise.{name}": a for name, a in model.run(noise).items()}


def main() -> None:
    """Write the arrays; print what the machine is as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.npz")
    parser.add_argument("--bundle", type=Path, help="default: the embedded one")
    chosen = parser.parse_args()
    np.savez(chosen.out, **raw_outputs(chosen.bundle))
    print(json.dumps(structs.asdict(describe_machine())))


if __name__ == "__main__":
    main()
