"""Turn pictures that show one CT window in greys from 0 to 255 into Hounsfield units.

Greys between the ends of the window are HU. What lies outside of it is clipped to 0 or 255 and its
HU are gone; air around the head and bone get a typical value, because a network that was trained on
whole HU takes a head without them for something else.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ichlite.errors import UnreadableFile

if TYPE_CHECKING:
    from PIL import Image

AIR_HU = -1000
BONE_HU = 900

_BLACK = 12
"""Grey that JPEG noise around the head stays below: of 650x650 pictures, all but a tenth of it."""
_WHITE = 250
_NEAR_WHITE = 225
"""Grey that ringing at the edge of bone dips to."""
_SPECK = 1e-4
"""Part of the picture below which something lit in the air is JPEG noise: 42 of 650x650 pixels."""

_SOURCE = re.compile(r"(?P<file>.+)#hu=(?P<low>-?\d+):(?P<high>-?\d+)")

HuRange = tuple[int, int]
"""Lowest and highest HU of a window."""


def picture_source(file: str, window_hu: HuRange) -> str:
    """Return the text that names a picture of one CT window as the source of a slice.

    Args:
        file: Path of the picture, relative to the data set's folder.
        window_hu: Lowest and highest HU that the picture shows.

    Example:
        >>> picture_source("brain/1.jpg", (-20, 100))
        'brain/1.jpg#hu=-20:100'
    """
    return f"{file}#hu={window_hu[0]}:{window_hu[1]}"


def parse_picture_source(source: str) -> tuple[str, HuRange] | None:
    """Return file and window from the text that `picture_source` made; None for other sources.

    Example:
        >>> parse_picture_source("brain/1.jpg#hu=-20:100")
        ('brain/1.jpg', (-20, 100))
    """
    parts = _SOURCE.fullmatch(source)
    return parts and (parts["file"], (int(parts["low"]), int(parts["high"])))


def hu_of_grey(grey: NDArray[np.uint8], window_hu: HuRange) -> NDArray[np.int16]:
    """Convert a picture of one CT window to HU, with air around the head and bone filled in.

    Black that touches the frame becomes `AIR_HU`, with the specks that JPEG leaves in it; white
    becomes `BONE_HU`, with the dips of its ringing. Black inside of the head (sinuses, fat) is at
    most the low end of the window and stays there.

    Args:
        grey: (row, column) uint8; 0 is the low end of the window or less, 255 the high end or more.
        window_hu: Lowest and highest HU of the window.

    Returns:
        (row, column) int16 HU, halves round up.

    Example:
        >>> grey = np.zeros((9, 9), np.uint8)
        >>> grey[2:7, 2:7] = 255
        >>> grey[3:6, 3:6] = 119
        >>> hu_of_grey(grey, (-20, 100))[4].tolist()
        [-1000, -1000, 900, 36, 36, 36, 900, -1000, -1000]
    """
    low, high = window_hu
    hu: NDArray[np.int16] = np.floor(grey * ((high - low) / 255) + low + 0.5).astype(np.int16)
    hu[_bone(grey)] = BONE_HU
    hu[_outer_air(grey)] = AIR_HU
    return hu


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """Open a JPEG picture without decoding its pixels, as a context manager.

    Raises:
        UnreadableFile: The file is no JPEG picture, is damaged or is cut short.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=["JPEG"]) as picture:
                yield picture
    except (
        Image.DecompressionBombWarning, Image.DecompressionBombError, OSError, ValueError
    ) as fault:  # fmt: skip
        found = str(fault).replace(str(path), path.name)
        raise UnreadableFile(f"{path} cannot be read as a JPEG picture", found=found) from fault


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Read a JPEG picture as (row, column) uint8 greys; colours become their luminance.

    Raises:
        UnreadableFile: It is no JPEG picture, damaged or cut short.
    """
    with open_picture(path) as picture:
        return np.asarray(picture.convert("L"))


def _outer_air(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where black is connected to the frame, specks in it included."""
    from scipy import ndimage

    black, parts = ndimage.label(grey <= _BLACK)
    outer = np.zeros(parts + 1, bool)
    for edge in (black[0], black[-1], black[:, 0], black[:, -1]):
        outer[edge] = True
    outer[0] = False  # what is not black
    air = outer[black]
    lit, _ = ndimage.label(~air, structure=np.ones((3, 3)))
    sizes = np.bincount(lit.ravel())
    sizes[0] = 0  # the air itself
    return np.asarray((sizes < _SPECK * grey.size)[lit])


def _bone(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where it is white, or nearly so with most around it white."""
    white = grey > _WHITE
    framed = np.pad(white, 1, mode="edge").astype(np.uint8)
    in_rows = framed[:, :-2] + framed[:, 1:-1] + framed[:, 2:]
    around = in_rows[:-2] + in_rows[1:-1] + in_rows[2:]
    return np.asarray(white | ((grey > _NEAR_WHITE) & (around > 4)))
