"""Check that the image of a file is one of CT that can be read, and say how its pixels are stored.

Before a pixel is looked at: what is declared must fit together, and fit into the file.
"""

from __future__ import annotations

from ichlite.ct.elements import (
    DEFLATED_LITTLE,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Elements,
)
from ichlite.ct.functional_groups import ENHANCED_STORAGE, has_groups
from ichlite.ct.values import Values
from ichlite.errors import NotCT, UnreadableFile
from ichlite.records import PixelLayout

MAX_SIDE = 4096
"""Most rows or columns of an image: twice the largest matrix that CT scanners reconstruct."""

MIN_SIDE = 16
"""Fewest rows or columns of an image."""

NATIVE_SYNTAXES = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED_LITTLE})

COMPRESSED_SYNTAXES: dict[str, str] = {
    "1.2.840.10008.1.2.4.51": "JPEG extended (12 bits)",
    "1.2.840.10008.1.2.4.57": "JPEG lossless (process 14)",
    "1.2.840.10008.1.2.4.70": "JPEG lossless (first-order prediction)",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K lossless",
    "1.2.840.10008.1.2.4.202": "HTJ2K lossless (RPCL)",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
    "1.2.840.10008.1.2.5": "RLE",
}
"""Compressed transfer syntaxes that are read (DICOM PS3.5 annex A.4), and their names."""

RLE_SYNTAX = "1.2.840.10008.1.2.5"
LOSSY_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (51, 81, 91, 203))

_GREY = ("MONOCHROME2", "MONOCHROME1")
_SCREEN_BITS = 8
"""Bits of a pixel of a screen or picture: too few for Hounsfield units."""

_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
_DICOMDIR_STORAGE = "1.2.840.10008.1.3.10"
_OTHER_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.4": "MR image",
    "1.2.840.10008.5.1.4.1.1.4.1": "Enhanced MR",
    "1.2.840.10008.5.1.4.1.1.6.1": "ultrasound image",
    "1.2.840.10008.5.1.4.1.1.7": "secondary capture (a screen or derived picture)",
    "1.2.840.10008.5.1.4.1.1.30": "parametric map",
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.88.22": "enhanced structured report",
    "1.2.840.10008.5.1.4.1.1.88.33": "comprehensive structured report",
    "1.2.840.10008.5.1.4.1.1.88.34": "comprehensive 3D structured report",
    "1.2.840.10008.5.1.4.1.1.88.67": "radiation dose report",
    "1.2.840.10008.5.1.4.1.1.104.1": "encapsulated PDF",
    "1.2.840.10008.5.1.4.1.1.128": "PET image",
    "1.2.840.10008.5.1.4.1.1.481.3": "radiotherapy structure set",
}


def check_kind(values: Values, elements: Elements) -> None:
    """Check by SOP class and modality that a file is a CT image.

    Args:
        values: Header values of the file.
        elements: Header elements of the file, for the fault that reading them ended with.

    Raises:
        NotCT: The file is something else, such as an MR image or a DICOMDIR.
        UnreadableFile: The file states neither SOPClassUID nor Modality.
    """
    media_class = values.text("MediaStorageSOPClassUID")
    if media_class == _DICOMDIR_STORAGE:
        raise NotCT("DICOMDIR: an index, no image; its files are read by themselves")
    sop_class = values.text("SOPClassUID") or media_class
    modality = values.text("Modality")
    is_ct = sop_class in (None, CT_IMAGE_STORAGE, *ENHANCED_STORAGE)
    if not is_ct or modality not in (None, "CT"):
        found = _OTHER_CLASSES.get(sop_class or "", sop_class)
        if found is None or is_ct:
            found = f"Modality {modality}"
        raise NotCT("not a CT image", found=found, expected="CT Image Storage, Modality CT")
    if sop_class is None and modality is None:
        if elements.fault is not None:
            raise UnreadableFile(elements.fault)
        raise UnreadableFile("the file is no image", found="neither SOPClassUID nor Modality")


def check_pixels(values: Values, elements: Elements) -> None:
    """Check that the pixels are 16-bit MONOCHROME2, and a single image unless it is Enhanced CT.

    Args:
        values: Header values of the file.
        elements: Header elements of the file, with the place of its pixels.

    Raises:
        NotCT: The image is in colour or has 8 bits, like a screenshot: no CT slice is lost.
        UnreadableFile: The image may be CT, but its pixels are missing or in a form that is not
            read.
    """
    samples = values.whole("SamplesPerPixel")
    photometric = values.text("PhotometricInterpretation")
    allocated = values.whole("BitsAllocated")
    grey = samples in (None, 1) and photometric in (None, *_GREY)
    if not grey or (allocated is not None and allocated <= _SCREEN_BITS):
        raise NotCT(
            "not a greyscale CT image",
            found=f"{photometric}, {samples or 1} samples a pixel, BitsAllocated {allocated}",
            expected="MONOCHROME2, 1 sample a pixel, BitsAllocated 16",
        )
    if elements.float_pixels is not None:
        raise UnreadableFile(
            "the pixels are floating-point numbers",
            found=elements.float_pixels,
            expected="PixelData",
        )
    frames = values.integer_text("NumberOfFrames")
    if frames not in (None, 1) and not has_groups(elements.values):
        raise UnreadableFile(
            "not a single image", found=f"{frames} frames", expected="Enhanced CT, or one a file"
        )
    if photometric == "MONOCHROME1":
        raise UnreadableFile("dark and bright are swapped", found=photometric, expected=_GREY[0])
    if allocated != 16:
        raise UnreadableFile(
            "pixels of an odd size", found=f"BitsAllocated {allocated}", expected="16"
        )
    if elements.pixel_offset is None:
        raise UnreadableFile("there is no image in the file", expected="PixelData")


def pixel_layout(values: Values, elements: Elements, frames: int = 1) -> PixelLayout:
    """Return the place and coding of the pixel data, checked for consistency and file length.

    Args:
        values: Header values of the file.
        elements: Header elements of the file, with the place of its pixels.
        frames: Number of frames in the pixel data.

    Raises:
        UnreadableFile: Sizes or bits contradict each other or the file's length, or the transfer
            syntax is not supported.
    """
    rows, columns = values.required_whole("Rows"), values.required_whole("Columns")
    if not (MIN_SIDE <= rows <= MAX_SIDE and MIN_SIDE <= columns <= MAX_SIDE):
        raise UnreadableFile(
            "the image has a size that CT does not have",
            found=f"{rows}x{columns} pixels",
            expected=f"{MIN_SIDE} to {MAX_SIDE} a side",
        )
    stored, high_bit = values.required_whole("BitsStored"), values.required_whole("HighBit")
    signed = values.required_whole("PixelRepresentation")
    if not (8 <= stored <= 16 and stored - 1 <= high_bit <= 15 and signed in (0, 1)):
        raise UnreadableFile(
            "the pixel coding makes no sense",
            found=f"BitsStored {stored}, HighBit {high_bit}, PixelRepresentation {signed}",
        )
    syntax = elements.transfer_syntax_uid
    offset, length = elements.pixel_offset or 0, elements.pixel_length
    if syntax in NATIVE_SYNTAXES:
        _check_native_length(frames, rows * columns * 2, length, elements.size - offset)
    elif syntax == _JPEG_BASELINE:
        raise UnreadableFile(
            "JPEG baseline has 8 bits a pixel, too few for Hounsfield units",
            remedy="export the scan again, uncompressed or lossless",
        )
    elif syntax not in COMPRESSED_SYNTAXES:
        raise UnreadableFile(
            "the transfer syntax is not supported",
            found=syntax,
            expected="uncompressed, deflated, RLE, JPEG of 12-16 bits, JPEG-LS, JPEG 2000, HTJ2K",
        )
    elif length is not None:
        raise UnreadableFile(
            "the compressed pixel data is not encapsulated", found=f"{length} bytes"
        )
    return PixelLayout(syntax, offset, length, 16, stored, high_bit, signed)


def _check_native_length(frames: int, image: int, declared: int | None, available: int) -> None:
    """Raise unless the pixel data has its length; of several images some may be cut off."""
    if declared is None:
        raise UnreadableFile("the uncompressed pixel data has no length")
    expected = frames * image
    found = min(declared, available)
    if declared < expected or (frames == 1 and found < expected):
        raise UnreadableFile(
            "the pixel data is short",
            found=f"{found} bytes",
            expected=expected,
            code="short_pixel_data",
        )
    if declared > expected + 1:
        raise UnreadableFile("the pixel data is long", found=f"{declared} bytes", expected=expected)
