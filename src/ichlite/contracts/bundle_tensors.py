"""What a bundle's manifest says of its model's input and outputs, enough to run it without ichlite.

Numbers have keys of their own; `steps` say in words and formulas what is done with them, in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from ichlite.contracts.codec import Document
from ichlite.contracts.values import Line, check_line

MapKind = Literal["activation", "lesion"]
Dtype = Literal["float32", "int8"]
Layout = Literal["NHWC"]
HounsfieldUnit = Annotated[int, Meta(ge=-100_000, le=100_000)]
Cells = Annotated[int, Meta(ge=1, le=4096)]
Channels = Annotated[int, Meta(ge=1, le=64)]
Steps = Mapping[str, Line]
"""Name of a step → what it does, in the order of the steps."""


class WindowSpec(Document, frozen=True, kw_only=True):
    """A window: the Hounsfield units that one input channel shows, from black to white."""

    name: Line
    centre_hu: HounsfieldUnit
    width_hu: Annotated[int, Meta(ge=1, le=100_000)]

    def __post_init__(self) -> None:
        """Refuse a name that cannot be printed."""
        check_line("name", self.name)


class QuantizationSpec(Document, frozen=True, kw_only=True):
    """What stored integers stand for: real = scale * (stored - zero_point)."""

    scale: Annotated[float, Meta(gt=0, le=1e6)]
    zero_point: Annotated[int, Meta(ge=-128, le=127)]


class BrainLevelSpec(Document, frozen=True, kw_only=True):
    """The numbers of the rule by which a scan's brain level is found.

    Attributes:
        block: Rows and columns of pixels that are averaged to one block.
        bone_above_hu: A block above this is bone.
        air_below_hu: A block below this is air.
        brain_from_hu, brain_to_hu: Of blocks inside bone, those from this to that are brain.
        least_blocks: Blocks of brain that a slice needs to count.
    """

    block: Annotated[int, Meta(ge=1, le=64)]
    bone_above_hu: HounsfieldUnit
    air_below_hu: HounsfieldUnit
    brain_from_hu: HounsfieldUnit
    brain_to_hu: HounsfieldUnit
    least_blocks: Annotated[int, Meta(ge=1, le=65536)]


class TensorSpec(Document, frozen=True, kw_only=True):
    """A tensor of the model file.

    Attributes:
        name: Of the tensor, and of the signature's input or output.
        dtype: Of its elements.
        shape: With the batch of one.
        quantization: What its integers stand for; None for real numbers.
    """

    name: Line
    dtype: Dtype
    shape: Annotated[tuple[Annotated[int, Meta(ge=1, le=4096)], ...], Meta(min_length=1)]
    quantization: QuantizationSpec | None


class InputSpec(Document, frozen=True, kw_only=True):
    """What the model takes. Keys from `name` on are absent in bundles of before they were said.

    Attributes:
        brain_level_hu: Median brain HU that a scan is brought to; None: HU as they are.
        rows, columns: Of the grid that a slice is resized to.
        hu_min, hu_max: To which HU are clipped.
        windows: The channels, in order.
        name: Of the tensor, and of the signature's input.
        dtype, layout: Of the tensor (1, rows, columns, channels).
        channels: The windows, and after them channels that hold the stored value of 0.
        quantization: What its integers stand for; None for real numbers.
        brain_level: How a scan's level is found; None where none is needed.
        steps: What is done to a file's stored values, in order.
    """

    brain_level_hu: Annotated[float, Meta(ge=0, le=100)] | None = None
    rows: int
    columns: int
    hu_min: int
    hu_max: int
    windows: tuple[WindowSpec, ...]
    name: Line | UnsetType = UNSET
    dtype: Dtype | UnsetType = UNSET
    layout: Layout | UnsetType = UNSET
    channels: Channels | UnsetType = UNSET
    quantization: QuantizationSpec | UnsetType | None = UNSET
    brain_level: BrainLevelSpec | UnsetType | None = UNSET
    steps: Steps | UnsetType = UNSET


class OutputSpec(Document, frozen=True, kw_only=True):
    """What the model's outputs are. Keys from `logits` on are absent in bundles of before.

    Attributes:
        kind: Of the map. `activation`: each place's share in the slice's logits, of regions;
            `lesion`: logits of blood in each cell, trained on outlines of bleeds.
        cells: Rows and columns of the map; None where a bundle of before lesion maps does not say.
        logits: The tensor (1, 5), in the order of `subtypes`.
        map_tensor: The tensor of the map (1, *cells, 5).
        signature: Key of the file's signature.
        steps: From logits to calls, in order; the numbers are in `calibration` and `decision`.
    """

    kind: MapKind = field(name="map", default="activation")
    cells: tuple[Cells, Cells] | None = None
    logits: TensorSpec | UnsetType = UNSET
    map_tensor: TensorSpec | UnsetType = UNSET
    signature: Line | UnsetType = UNSET
    steps: Steps | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse a lesion map without its cells."""
        if self.kind == "lesion" and self.cells is None:
            raise ValueError("no cells of the lesion map")
