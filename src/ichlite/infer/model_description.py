"""Describe a model's input and outputs so that a program without ichlite can run it.

The words name keys of the manifest, and the numbers are those that `ct` and `infer` compute with.
"""

from __future__ import annotations

from msgspec import structs

from ichlite.contracts.bundle_tensors import (
    BrainLevelSpec,
    InputSpec,
    OutputSpec,
    Steps,
    TensorSpec,
    WindowSpec,
)
from ichlite.ct.brain_level import AIR_HU, BLOCK, BONE_HU, BRAIN_HU, LEVEL_BLOCKS
from ichlite.ct.tensor import GRID, HU_MAX, HU_MIN
from ichlite.ct.windows import PAPER_WINDOWS
from ichlite.infer.decision import HEAD_MM, TOP_SLICES, USUAL_SPACING_MM

SIGNATURE = "serving_default"
"""Key of the single signature of a LiteRT model file."""

BRAIN_LEVEL = BrainLevelSpec(
    block=BLOCK,
    bone_above_hu=BONE_HU,
    air_below_hu=AIR_HU,
    brain_from_hu=BRAIN_HU[0],
    brain_to_hu=BRAIN_HU[1],
    least_blocks=LEVEL_BLOCKS,
)
"""Constants of `ct.brain_level.brain_level_hu`, for programs that repeat its steps."""

_HU = (
    "hu = floor(stored * RescaleSlope + RescaleIntercept + 0.5), clipped to [hu_min, hu_max]; "
    "padding (PixelPaddingValue) is hu_min; the face is up and the patient's right is on the left"
)
_RESIZE = (
    "put the slice in the middle of a square of hu_min (a spare row below, a spare column right), "
    "then take exact area means on rows x columns, in whole numbers: floor(mean + 1/2)"
)
_BRAIN_LEVEL = (
    "once a scan: average block x block pixels, rows first, then columns, each time "
    "floor(sum / block). A block is inside where in each of the four directions of the slice bone "
    "(> bone_above_hu) comes before air (< air_below_hu), and it is neither. level = median of all "
    "blocks inside from brain_from_hu to brain_to_hu, of slices with least_blocks of them or more. "
    "Add round(brain_level_hu - level), halves to even, to every pixel of the scan and clip to "
    "[hu_min, hu_max]; without such a slice nothing is added"
)
_WINDOWS = (
    "channel = (clip(hu, low, low + width_hu) - low) / width_hu in float32, "
    "low = centre_hu - width_hu / 2, one channel a window, in order"
)
_AS_IT_IS = "the channels as they are, in float32"
_INTEGERS = (
    "clip(round(channel / scale) + zero_point, -128, 127), halves to even, in float32; channels "
    "after the windows' hold zero_point"
)
_DECISION: Steps = {
    "calibrate": "p = 1 / (1 + exp(-(logit / temperature + bias))), each subtype by its own "
    "numbers",
    "smooth": "slices feet to head: mean of p over a slice and its neighbours by "
    "neighbour_weights, its own in the middle; weights beyond an end or a gap are left out, the "
    "rest scaled to sum to 1",
    "any": "of a slice: max: the largest p; noisy_or: 1 - product of (1 - p), no less than the "
    "largest p",
    "scan": "of any and each subtype: max: the highest slice; "
    f"top3_mean: mean of the {TOP_SLICES} highest; peak: mean over mm, highest slices first, until "
    "they reach evidence_mm, the last in part; noisy_or: 1 - product of (1 - p) ** (mm * "
    f"max(1, {HEAD_MM:g} / total mm) / evidence_mm); mm: half of the way to each neighbour, at an "
    f"end as far beyond; {USUAL_SPACING_MM:g} where positions are not known",
    "call": "urgent where any of the scan is at or above its threshold; what is incomplete is "
    "never negative",
}


def describe_input(brain_level_hu: float | None, tensor: TensorSpec | None = None) -> InputSpec:
    """Make the entry `input` of a bundle's manifest: grid, windows and preprocessing steps.

    Args:
        brain_level_hu: Median HU that a scan's brain is shifted to; None for HU as they are.
        tensor: Input tensor of the model file; None to leave tensor and steps out.

    Example:
        >>> shape = (1, 256, 256, 3)
        >>> windows = TensorSpec(name="windows", dtype="float32", shape=shape, quantization=None)
        >>> list(describe_input(None, windows).steps)
        ['hu', 'resize', 'windows', 'store']
    """
    plain = InputSpec(
        brain_level_hu=brain_level_hu,
        rows=GRID,
        columns=GRID,
        hu_min=HU_MIN,
        hu_max=HU_MAX,
        windows=tuple(
            WindowSpec(name=w.name, centre_hu=w.centre_hu, width_hu=w.width_hu)
            for w in PAPER_WINDOWS
        ),
    )
    if tensor is None:
        return plain
    levelled = {} if brain_level_hu is None else {"brain_level": _BRAIN_LEVEL}
    stored = _AS_IT_IS if tensor.quantization is None else _INTEGERS
    return structs.replace(
        plain,
        name=tensor.name,
        dtype=tensor.dtype,
        layout="NHWC",
        channels=tensor.shape[-1],
        quantization=tensor.quantization,
        brain_level=BRAIN_LEVEL if levelled else None,
        steps={"hu": _HU, "resize": _RESIZE, **levelled, "windows": _WINDOWS, "store": stored},
    )


def describe_output(output: OutputSpec, logits: TensorSpec, map_tensor: TensorSpec) -> OutputSpec:
    """Make the entry `output` of a bundle's manifest: its tensors and the steps to a call.

    Args:
        output: Description of the map: its kind, rows and columns.
        logits: Tensor of the logits, (1, 5), in the model file.
        map_tensor: Tensor of the map, (1, rows, columns, 5), in the model file.

    Returns:
        A copy of `output` with the tensors, the signature and the steps in words.
    """
    return structs.replace(
        output, logits=logits, map_tensor=map_tensor, signature=SIGNATURE, steps=_DECISION
    )
