"""Prepare a sample study as scanners send it, or as the windows that models take."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.series import find_series
from ichlite.ct.tensor import model_input, read_slice
from ichlite.errors import InputError


def write_uncompressed(study: Iterable[Path], folder: Path) -> list[Path]:
    """Take DICOM files; write them to a folder as explicit little endian, and give the new files.

    Raises:
        InputError: No files.
    """
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian

    written = []
    for path in study:
        dataset = dcmread(path)
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            dataset.decompress(generate_instance_uid=False)
        else:
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        target = folder / path.name
        dataset.save_as(target, implicit_vr=False, little_endian=True, enforce_file_format=True)
        written.append(target)
    if not written:
        raise InputError("no files to measure with", expected="the sample study")
    return written


def some_windows(study: Iterable[Path], every: int = 4) -> NDArray[np.float32]:
    """Take DICOM files of one series; give every so-many-th slice as (slice, 256, 256, 3) windows.

    Example:
        >>> from ichlite.samples import GE_HEAD
        >>> some_windows(GE_HEAD.files, every=14).shape
        (2, 256, 256, 3)
    """
    (series,), _ = find_series(study)
    return np.stack([model_input(read_slice(header)[0]) for header in series.slices[::every]])
