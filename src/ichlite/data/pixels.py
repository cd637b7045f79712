"""Read the sources of one part to HU slices, and note what each turned out to be.

This is all of `prepare` that touches pixels, so it is what runs in other processes and machines. A
part is made whole or not at all, and the same sources give the same part wherever it is made.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichlite.atomic_files import write_json
from ichlite.ct.header import Refusal, read_header
from ichlite.ct.hounsfield import LOSSY_NOTE, OFFSET_NOTE, PADDING_NOTE
from ichlite.ct.tensor import read_slice, resize_hu
from ichlite.data.readers.nifti import read_nifti_slice
from ichlite.data.rows import pixel_sha256
from ichlite.data.store_parts import part_path, write_part
from ichlite.data.windowed import hu_of_grey, parse_picture_source, read_grey
from ichlite.errors import InputError

_NOTES = {
    OFFSET_NOTE: "twelve_bit_offset",
    LOSSY_NOTE: "lossy_pixels",
    PADDING_NOTE: "padding_in_tissue",
}
_OWN_KINDS = ("short_pixel_data", "missing_rescale", "signed_12_bit")
_NIFTI_SLICE = re.compile(r"(?P<file>.+\.nii(\.gz)?)#(?P<slice>\d+)")


@dataclass(frozen=True, slots=True)
class PartTask:
    """Description of one part of a store to be made from source files.

    Attributes:
        folder: Folder that the part is written to.
        number: Number of the part, from 0.
        root: Folder of the data set.
        sources: Sources relative to `root`, in the order of the part's slices.
    """

    folder: Path
    number: int
    root: Path
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PixelResult:
    """Outcome of reading one source.

    Attributes:
        source_sha256: SHA-256 of the file's bytes; empty when it could not be read.
        pixel_sha256: `rows.pixel_sha256` of the slice; None when the source gave none.
        findings: Pairs of a kind, a key of `audit.KINDS`, and a detail.
    """

    source_sha256: str
    pixel_sha256: str | None
    findings: tuple[tuple[str, str], ...] = ()


def result_path(folder: Path, number: int) -> Path:
    """Return the path of the file whose presence shows that a part is finished.

    Args:
        folder: Folder of the parts.
        number: Number of the part, from 0.
    """
    return folder / f"{number:05d}.json"


def make_part(task: PartTask) -> int:
    """Write one part of a store from its sources, unless it is finished already.

    Slices that could be read are stored in the order of their sources, without gaps.

    Returns:
        The number of sources of the part.
    """
    if is_whole(task.folder, task.number):
        return len(task.sources)
    results, slices = [], []
    for source in task.sources:
        result, hu = read_source(task.root, source)
        results.append(result)
        if hu is not None:
            slices.append(hu)
    part = part_path(task.folder, task.number)
    if slices:
        write_part(part, np.stack(slices))
    written = part.stat().st_size if slices else 0
    document = {"bytes": written, "sources": [asdict(one) for one in results]}
    write_json(result_path(task.folder, task.number), document)
    return len(task.sources)


def is_whole(folder: Path, number: int) -> bool:
    """Return whether a part is finished: its results are there and its file has the size noted."""
    try:
        wanted = json.loads(result_path(folder, number).read_bytes())["bytes"]
        return not wanted or part_path(folder, number).stat().st_size == wanted
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_results(folder: Path, number: int) -> list[PixelResult]:
    """Return the outcome of each source of a part, as `make_part` wrote it."""
    lines = json.loads(result_path(folder, number).read_text(encoding="utf-8"))["sources"]
    return [PixelResult(**one | {"findings": tuple(map(tuple, one["findings"]))}) for one in lines]


def read_source(root: Path, source: str) -> tuple[PixelResult, NDArray[np.int16] | None]:
    """Read one source of a data set to HU on the 256x256 grid.

    Args:
        root: Folder of the data set.
        source: Source relative to `root`, as in `StoreRow.source`.

    Returns:
        The outcome, and the slice as (256, 256) int16 HU, or None if it cannot be read.
    """
    path = root / source
    findings: tuple[tuple[str, str], ...] = ()
    whole = path.exists()  # a file of that very name is a file
    volume = None if whole else _NIFTI_SLICE.fullmatch(source)
    picture = None if whole else parse_picture_source(source)
    try:
        if picture is not None:
            path = root / picture[0]
            hu = resize_hu(hu_of_grey(read_grey(path), picture[1]))
            digest = _file_sha256(path)
        elif volume is not None:
            path = root / volume["file"]
            hu = read_nifti_slice(path, int(volume["slice"]))
            digest = _volume_sha256(path)
        else:
            hu, findings, digest = _from_dicom(path)
    except (InputError, OSError) as fault:
        code = getattr(fault, "code", None)
        kind = code if code in _OWN_KINDS else "undecodable_pixels"
        # The path is the item of the finding; the detail is without it, to be the same anywhere.
        detail = str(fault).replace(f"{path}: ", "").replace(str(path), "it")
        return PixelResult("", None, ((kind, detail),)), None
    return PixelResult(digest, pixel_sha256(hu), findings), hu


def _from_dicom(path: Path) -> tuple[NDArray[np.int16], tuple[tuple[str, str], ...], str]:
    header = read_header(str(path))
    if isinstance(header, Refusal):
        raise InputError(header.reason, code=header.code)
    hu, note = read_slice(header)
    findings = tuple((kind, "") for text, kind in _NOTES.items() if note and text in note)
    return hu, findings, _file_sha256(path)


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_volume_sha256 = lru_cache(maxsize=4)(_file_sha256)
