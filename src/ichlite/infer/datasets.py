"""Read pydicom data sets as the files that they would be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ichlite.errors import UsageError

if TYPE_CHECKING:
    from pydicom import Dataset

    PathOrDataset = str | os.PathLike[str] | Dataset
    Paths = PathOrDataset | Sequence[PathOrDataset]
    """One path or pydicom data set, or several."""


@contextmanager
def as_paths(given: Paths) -> Iterator[list[str]]:
    """Write pydicom data sets to temporary files, so that all inputs are read from paths.

    There is one way from bytes to pixels, and so one result, whoever opened the file. The files are
    named by their place in the list: `dataset-0001` is the first. They are deleted at the end of
    the `with` block.

    Args:
        given: One path or pydicom data set, or a sequence of them.

    Yields:
        The paths, in the order given.

    Raises:
        UsageError: An input is neither a path nor a data set that can be written as DICOM.
    """
    several = cast("Sequence[PathOrDataset]", given if _is_list(given) else [given])
    if all(isinstance(one, str | os.PathLike) for one in several):
        yield [os.fspath(cast("str", one)) for one in several]
        return
    with tempfile.TemporaryDirectory(prefix="ichlite-") as folder:
        paths = []
        for number, one in enumerate(several, 1):
            if isinstance(one, str | os.PathLike):
                paths.append(os.fspath(one))
            else:
                paths.append(str(_written(one, Path(folder) / f"dataset-{number:04d}", number)))
        yield paths


def _is_list(given: object) -> bool:
    """Return whether several things were given; a text is one."""
    return isinstance(given, Sequence) and not isinstance(given, str)


def _written(dataset: Dataset, path: Path, number: int) -> Path:
    """Write a data set as a file."""
    from pydicom import Dataset as PydicomDataset
    from pydicom import dcmwrite
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    if not isinstance(dataset, PydicomDataset):
        raise UsageError(
            f"input {number} cannot be read",
            found=type(dataset).__name__,
            expected="a path or a pydicom Dataset",
        )
    if not getattr(dataset, "file_meta", None):
        dataset = PydicomDataset(dataset)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    try:
        dcmwrite(path, dataset, enforce_file_format=True)
    except (ValueError, AttributeError, TypeError, NotImplementedError) as fault:
        raise UsageError(
            f"data set {number} cannot be written as DICOM", found=str(fault).splitlines()[0]
        ) from fault
    return path
