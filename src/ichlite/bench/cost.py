"""Count what an architecture costs: parameters, floating-point operations and file bytes."""

from __future__ import annotations

from dataclasses import dataclass

from ichlite.compress.model_cost import flops, one_slice
from ichlite.compress.quantize import to_tflite
from ichlite.ct.tensor import GRID
from ichlite.models import MODELS, build


@dataclass(frozen=True, slots=True)
class Cost:
    """What one model costs.

    Attributes:
        name: Key of `models.MODELS`.
        params: Weights and running statistics, as Keras counts.
        flops_256: Floating-point operations of one 256x256 slice, a multiply-add being 2.
        tflite_float32_bytes: Of the converter's own float32 file; of `lesion_fcn` with its map.
    """

    name: str
    params: int
    flops_256: int
    tflite_float32_bytes: int


def costs() -> tuple[Cost, ...]:
    """Nothing in; the cost of every model, in the order of `MODELS`, out (half a minute)."""
    return tuple(cost(name) for name in MODELS)


def cost(name: str) -> Cost:
    """Name of a model → its cost.

    Raises:
        UnknownName: No such model.
    """
    model = one_slice(build(name, size=GRID), GRID)
    content = to_tflite(model, "float32")
    return Cost(name, model.count_params(), flops(model), len(content))
