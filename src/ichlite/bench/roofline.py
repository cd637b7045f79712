"""Compute a model's roofline bound, and the share of it that was reached.

A layer cannot take less time than its operations at the peak rate, nor less than its bytes (input
maps, weights and output, each once) at the bandwidth of a working set as large as they are. Its
bound is the larger of the two; layers run one after the other, so the model's is their sum. The
simple bound knows no layers: all operations at the peak, or input, weights and outputs from memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ichlite.bench.layers import Layer
from ichlite.bench.peaks import Peaks


@dataclass(frozen=True, slots=True)
class Bound:
    """What one layer takes at least.

    Attributes:
        layer: Which.
        compute_ms: Its operations at the peak rate.
        bytes_per_s: The bandwidth that its bytes may have.
        move_ms: Its bytes at that bandwidth.
    """

    layer: Layer
    compute_ms: float
    bytes_per_s: float
    move_ms: float

    @property
    def bound_ms(self) -> float:
        """The larger of the two."""
        return max(self.compute_ms, self.move_ms)

    @property
    def limit(self) -> str:
        """Which of the two it is."""
        return "operations" if self.compute_ms >= self.move_ms else "bytes"


def bounds(layers: Sequence[Layer], peaks: Peaks) -> tuple[Bound, ...]:
    """Layers and peaks → the bound of each layer."""
    return tuple(
        Bound(
            layer,
            compute_ms=layer.flops / peaks.flops_per_s * 1e3,
            bytes_per_s=peaks.bandwidth(layer.bytes),
            move_ms=layer.bytes / peaks.bandwidth(layer.bytes) * 1e3,
        )
        for layer in layers
    )


def simple_bound_ms(layers: Sequence[Layer], peaks: Peaks) -> float:
    """Layers and peaks → milliseconds, as if all maps between layers were free."""
    outside = (
        layers[0].input_bytes + sum(one.weight_bytes for one in layers) + layers[-1].output_bytes
    )
    flops = sum(one.flops for one in layers)
    return max(flops / peaks.flops_per_s, outside / peaks.memory_bytes_per_s) * 1e3


def roofline(layers: Sequence[Layer], peaks: Peaks, p50_ms: float, min_ms: float) -> dict[str, Any]:
    """Layers, peaks, median and quickest inference on one thread → `roofline` of `bench --json`.

    `share` is the bound over the median, `share_of_quickest` over the quickest inference, on which
    a shared machine weighs less.
    """
    found = bounds(layers, peaks)
    bound_ms = sum(one.bound_ms for one in found)
    simple_ms = simple_bound_ms(layers, peaks)
    return {
        "peak_flops_per_s": peaks.flops_per_s,
        "memory_bytes_per_s": peaks.memory_bytes_per_s,
        "bandwidths": [
            {"working_set_bytes": size, "bytes_per_s": rate} for size, rate in peaks.bandwidths
        ],
        "p50_ms": p50_ms,
        "min_ms": min_ms,
        "flops": sum(one.flops for one in layers),
        "bytes": sum(one.bytes for one in layers),
        "bound_ms": bound_ms,
        "share": bound_ms / p50_ms,
        "share_of_quickest": bound_ms / min_ms,
        "simple_bound_ms": simple_ms,
        "simple_share": simple_ms / p50_ms,
        "layers": [
            {
                "layer": one.layer.number,
                "kind": one.layer.kind,
                "output_shape": list(one.layer.output_shape),
                "flops": one.layer.flops,
                "bytes": one.layer.bytes,
                "bytes_per_s": one.bytes_per_s,
                "bound_ms": one.bound_ms,
                "limit": one.limit,
            }
            for one in found
        ],
    }
