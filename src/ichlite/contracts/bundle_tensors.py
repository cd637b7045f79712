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
    """A CT window: the range of Hounsfield units that one input channel shows.

    Attributes:
        name: Name of the window.
        centre_hu: HU that become 0.5.
        width_hu: Distance, in HU, from black (0) to white (1).
    """

    name: Line
    centre_hu: HounsfieldUnit
    width_hu: Annotated[int, Meta(ge=1, le=100_000)]

    def __post_init__(self) -> None:
        """Raise ValueError for a name that cannot be printed."""
        check_line("name", self.name)


class QuantizationSpec(Document, frozen=True, kw_only=True):
    """What the stored integers of an int8 tensor mean: real = scale * (stored - zero_point).

    Attributes:
        scale: Real number that one step of the integers stands for, over 0.
        zero_point: Integer that stands for 0.
    """

    scale: Annotated[float, Meta(gt=0, le=1e6)]
    zero_point: Annotated[int, Meta(ge=-128, le=127)]


class BrainLevelSpec(Document, frozen=True, kw_only=True):
    """The numbers of the rule that measures a scan's brain level, the median HU of its brain.

    Attributes:
        block: Rows and columns of pixels that are averaged to one block.
        bone_above_hu: HU above which a block is bone.
        air_below_hu: HU below which a block is air.
        brain_from_hu, brain_to_hu: Lowest and highest HU of a block that, inside bone, is brain.
        least_blocks: Fewest blocks of brain with which a slice counts.
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
        name: Name of the tensor, which is that of the signature's input or output, too.
        dtype: Number format of its elements.
        shape: Shape, with a batch of one in front.
        quantization: What its integers mean; None where it holds real numbers.
    """

    name: Line
    dtype: Dtype
    shape: Annotated[tuple[Annotated[int, Meta(ge=1, le=4096)], ...], Meta(min_length=1)]
    quantization: QuantizationSpec | None


class InputSpec(Document, frozen=True, kw_only=True):
    """What the model takes, and how a slice becomes that.

    Keys from `name` on are absent in bundles that earlier versions made.

    Attributes:
        brain_level_hu: HU that the median of a scan's brain is shifted to; None: HU stay as they
            are.
        rows, columns: Size of the grid that a slice is resized to, in pixels.
        hu_min, hu_max: Lowest and highest HU; others are clipped to them.
        windows: CT windows that make the channels, in order.
        name: Name of the tensor, which is that of the signature's input, too.
        dtype: Number format of the tensor.
        layout: Order of its axes: N batch of one, H rows, W columns, C channels.
        channels: Number of channels: the windows and, after them, channels filled with the stored
            value of 0.
        quantization: What its integers mean; None where it holds real numbers.
        brain_level: How a scan's brain level is measured; None where it is not needed.
        steps: Name of each step from a file's stored values to the tensor → what it does, in order.
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
    """What the model gives, and how that becomes a call.

    Keys from `logits` on are absent in bundles that earlier versions made.

    Attributes:
        kind: Kind of map, under the key `map`. `activation`: how much each region adds to the
            slice's logits; `lesion`: logits of blood in each cell, trained on outlines of bleeds.
        cells: Rows and columns of the map; None in old bundles without a lesion map.
        logits: Tensor (1, 5), in the order of `subtypes`.
        map_tensor: Tensor of the map, (1, rows, columns, 5).
        signature: Key of the model file's signature.
        steps: Name of each step from logits to a call → what it does, in order; the numbers that
            it needs are in `calibration` and `decision`.
    """

    kind: MapKind = field(name="map", default="activation")
    cells: tuple[Cells, Cells] | None = None
    logits: TensorSpec | UnsetType = UNSET
    map_tensor: TensorSpec | UnsetType = UNSET
    signature: Line | UnsetType = UNSET
    steps: Steps | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raise ValueError for a lesion map whose number of cells is not said."""
        if self.kind == "lesion" and self.cells is None:
            raise ValueError("no cells of the lesion map")
