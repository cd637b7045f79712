"""Map Hounsfield units to window channels in [0, 1], channels last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichlite.errors import UsageError


@dataclass(frozen=True, slots=True)
class Window:
    """A display window: HU at or below `low_hu` become 0, at or above `high_hu` 1, linear between.

    Attributes:
        name: Name of the window in bundle manifests, such as `brain`.
        centre_hu: Window level, HU.
        width_hu: Window width, HU; positive and even, so that both ends are whole HU.

    Source:
        DICOM PS3.3 C.11.2.1.2.2 (LINEAR_EXACT).

    Example:
        >>> Window("brain", 40, 80).low_hu, Window("brain", 40, 80).high_hu
        (0, 80)
    """

    name: str
    centre_hu: int
    width_hu: int

    def __post_init__(self) -> None:
        if self.width_hu <= 0 or self.width_hu % 2:
            raise UsageError(
                f"window {self.name} cannot be applied",
                found=f"width {self.width_hu} HU",
                expected="a positive even width",
            )

    @property
    def low_hu(self) -> int:
        """Lower end of the window in HU, which becomes 0."""
        return self.centre_hu - self.width_hu // 2

    @property
    def high_hu(self) -> int:
        """Upper end of the window in HU, which becomes 1."""
        return self.centre_hu + self.width_hu // 2


BRAIN = Window("brain", 40, 80)
SUBDURAL = Window("subdural", 80, 200)
SOFT_TISSUE = Window("soft_tissue", 40, 380)

PAPER_WINDOWS: tuple[Window, ...] = (BRAIN, SUBDURAL, SOFT_TISSUE)
"""The three channels of the paper, in channel order."""


def apply_windows(
    hu: NDArray[np.int16], windows: Sequence[Window], *, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Map HU to one channel for each window, with values in [0, 1].

    Each element is computed by itself, so a slice gives the same bits alone and in a batch.

    Args:
        hu: int16 HU of any shape.
        windows: Windows to apply, at least one, in channel order.
        out: Array to write the channels to, `hu.shape + (len(windows),)` float32; None for a new
            array.

    Returns:
        `hu.shape + (len(windows),)`, float32, in [0, 1]; `out`, where it was given.

    Example:
        >>> apply_windows(np.array([0, 20, 80], np.int16), [BRAIN])[:, 0].tolist()
        [0.0, 0.25, 1.0]
    """
    channels = np.empty((*hu.shape, len(windows)), np.float32) if out is None else out
    # Window by window through a small int16 buffer is the fastest exact way measured: 0.17 ms for
    # 256x256x3 into memory that is there, against 0.20 for a look-up table.
    for index, window in enumerate(windows):
        above_low = np.clip(hu, np.int16(window.low_hu), np.int16(window.high_hu))
        above_low -= np.int16(window.low_hu)
        np.divide(
            above_low, np.float32(window.width_hu), out=channels[..., index], dtype=np.float32
        )
    return channels
