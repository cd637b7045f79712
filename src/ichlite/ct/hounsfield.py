"""Read the stored values of a slice and convert them to Hounsfield units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.codecs import decode
from ichlite.ct.elements import EXPLICIT_BIG, open_data
from ichlite.ct.image_checks import COMPRESSED_SYNTAXES
from ichlite.errors import HounsfieldError, UnreadableFile
from ichlite.records import SliceHeader

HU_MIN = -1024
"""Lowest value in HU: air and padding; lower values are raised to it."""

HU_MAX = 3071
"""Highest value in HU, which 12 bits hold from -1024 on; denser metal is lowered to it."""

OFFSET_NOTE = "12-bit values were stored 1000 too low and wrapped; repaired"
LOSSY_NOTE = "pixels went through lossy compression"
PADDING_NOTE = "PixelPaddingValue lies among tissue values; pixels equal to it read as air"

_AIR_LIKE_HU = -500
"""Padding below this is outside the head with everything darker; above it only equality counts."""


def read_stored(header: SliceHeader) -> NDArray[np.int16] | NDArray[np.uint16]:
    """Read, and where necessary decode, the stored pixel values of a slice.

    Bits above BitsStored are cut off and the sign is extended.

    Args:
        header: Header of the slice, from `find_series`.

    Returns:
        (row, column), int16 or uint16 by PixelRepresentation.

    Raises:
        UnreadableFile: The file is gone or was changed, or its pixels do not decode.
    """
    layout = header.layout
    kind = "i2" if layout.pixel_representation else "u2"
    try:
        if layout.transfer_syntax_uid in COMPRESSED_SYNTAXES:
            stored = decode(header)
        else:
            order = ">" if layout.transfer_syntax_uid == EXPLICIT_BIG else "<"
            stored = _read_native(header, np.dtype(order + kind))
    except OSError as error:
        raise UnreadableFile(f"{header.path} cannot be read: {error.strerror}") from None
    native: NDArray[np.int16] | NDArray[np.uint16] = stored.astype(f"={kind}", copy=False)
    return _stored_bits(native, layout.bits_stored, layout.high_bit)


def to_hu(
    stored: NDArray[np.int16] | NDArray[np.uint16], header: SliceHeader
) -> tuple[NDArray[np.int16], str | None]:
    """Convert stored values to Hounsfield units.

    Padding becomes air. Some scanners store 12-bit values that are 1000 too low and wrap at 4096
    (BitsStored 12, unsigned, RescaleIntercept above -100): these are repaired.

    Args:
        stored: (row, column), int16 or uint16, as `read_stored` gave them; not changed.
        header: Header of the same slice.

    Returns:
        Two values: (row, column) int16 HU in [-1024, 3071]; and a note on repairs and lossy
        compression, None where there is nothing to note.

    Raises:
        HounsfieldError: RescaleSlope or RescaleIntercept is missing or out of range, RescaleType
            is another unit than HU, or 12-bit values are signed and without an offset.

    Source:
        DICOM PS3.3 C.11.1.1.2 (rescale), C.7.5.1.1.2 (padding).
    """
    slope, intercept = _checked_rescale(header)
    padding = _padding(stored, header, slope, intercept)
    notes = [LOSSY_NOTE] if header.lossy_compressed else []
    layout = header.layout
    if layout.bits_stored == 12 and intercept > -100:
        if layout.pixel_representation:
            raise HounsfieldError(
                f"{header.path}: the offset of its 12-bit signed values is not known",
                found=f"RescaleIntercept {intercept:g}",
                expected="near -1024",
                remedy="export the scan again",
                code="signed_12_bit",
            )
        stored = (stored + np.uint16(1000)) & np.uint16(0x0FFF)
        intercept = -1000.0
        notes.append(OFFSET_NOTE)
    hu = _rescaled(stored, slope, intercept, layout.bits_stored)
    if padding is not None:
        mask, note = padding
        hu[mask] = HU_MIN
        notes.extend(note)
    return hu, "; ".join(notes) or None


def _read_native(header: SliceHeader, dtype: np.dtype[np.int16]) -> NDArray[np.int16]:
    stored = np.empty((header.rows, header.columns), dtype)
    with open_data(header.path, header.layout.transfer_syntax_uid) as file:
        file.seek(header.layout.offset)
        found = file.readinto(stored.data.cast("B"))
    if found != stored.nbytes:
        raise UnreadableFile(
            f"{header.path}: the pixel data is short",
            found=f"{found} bytes",
            expected=stored.nbytes,
            code="short_pixel_data",
        )
    return stored


def _stored_bits(
    values: NDArray[np.int16] | NDArray[np.uint16], bits_stored: int, high_bit: int
) -> NDArray[np.int16] | NDArray[np.uint16]:
    """Keep the bits that hold the value: shift the rest out at the top, then back down."""
    if bits_stored == 16:
        return values
    out = values if values.flags.writeable else None  # a decoder's buffer may not be
    values = np.left_shift(values, np.array(15 - high_bit, values.dtype), out=out)
    values >>= np.array(16 - bits_stored, values.dtype)  # arithmetic when signed
    return values


def _checked_rescale(header: SliceHeader) -> tuple[float, float]:
    slope, intercept = header.rescale_slope, header.rescale_intercept
    if slope is None or intercept is None:
        missing = "RescaleSlope" if slope is None else "RescaleIntercept"
        raise HounsfieldError(
            f"{header.path} has no {missing}, and Hounsfield units are not guessed",
            remedy="export the scan again with its rescale values",
            code="missing_rescale",
        )
    if header.rescale_type not in (None, "HU"):
        raise HounsfieldError(
            f"{header.path}: the stored values do not rescale to Hounsfield units",
            found=f"RescaleType {header.rescale_type}",
            expected="HU",
        )
    if not (1e-3 <= slope <= 100 and abs(intercept) <= 1e5):
        raise HounsfieldError(
            f"{header.path}: the rescale values are out of range",
            found=f"slope {slope:g}, intercept {intercept:g}",
            expected="a positive slope near 1, an intercept near -1024 or 0",
        )
    return slope, intercept


def _padding(
    stored: NDArray[np.int16] | NDArray[np.uint16],
    header: SliceHeader,
    slope: float,
    intercept: float,
) -> tuple[NDArray[np.bool_], list[str]] | None:
    """Return which pixels are padding; None when clipping makes air of them anyway."""
    value = header.pixel_padding_value
    if value is None:
        return None
    padding_hu = slope * value + intercept
    if padding_hu <= HU_MIN:
        return None
    if padding_hu <= _AIR_LIKE_HU:
        return stored <= value, []
    mask = stored == value
    return mask, [PADDING_NOTE] if padding_hu < HU_MAX and mask.any() else []


def _rescaled(
    stored: NDArray[np.int16] | NDArray[np.uint16], slope: float, intercept: float, bits: int
) -> NDArray[np.int16]:
    """Rescale: slope * stored + intercept, rounded half up, clipped to [HU_MIN, HU_MAX]."""
    if slope != 1 or not intercept.is_integer() or not -30_000 <= intercept <= HU_MAX:
        exact = stored * np.float64(slope)
        exact += np.float64(intercept + 0.5)
        np.floor(exact, out=exact)
        np.clip(exact, HU_MIN, HU_MAX, out=exact)
        return exact.astype(np.int16)
    # Clip first, in stored units: then the sum fits, and nothing is widened.
    limits = np.iinfo(stored.dtype)
    offset = int(intercept)
    lowest = min(max(HU_MIN - offset, limits.min), limits.max)
    highest = min(max(HU_MAX - offset, limits.min), limits.max)
    spare = 16 - bits
    if lowest <= limits.min >> spare and limits.max >> spare <= highest:
        return stored.view(np.int16) + np.int16(offset)  # no value that these bits hold is beyond
    clipped = np.clip(stored, stored.dtype.type(lowest), stored.dtype.type(highest))
    hu = clipped.view(np.int16)
    if offset:
        hu += np.int16(offset)
    return hu
