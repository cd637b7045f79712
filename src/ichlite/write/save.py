"""Save what a result in Python shows, under the rules that `ichlite read` has for its outputs."""

from __future__ import annotations

import os
from pathlib import Path

from ichlite.errors import UsageError
from ichlite.infer.results import Analysed, ReadResult
from ichlite.write.lesion_map import write_lesion_map
from ichlite.write.report_page import Report
from ichlite.write.result_files import check_outputs, write_report


def save_page(
    result: ReadResult, path: str | os.PathLike[str], *, identifiers: bool = False
) -> None:
    """Write the HTML report of a result to a file, whole or not at all.

    Args:
        result: Result, read with `keep_pixels`.
        path: File to write; an earlier report of ichlite there is replaced.
        identifiers: Whether the page names patients, dates and UIDs.

    Raises:
        UsageError: See `ReadResult.save_html`.
        IchliteError: The page cannot be written.
    """
    if result.model is None:
        raise UsageError(
            "no page on a result that does not know its bundle", remedy="read by read_paths"
        )
    page = Path(path)
    check_outputs(inputs_of(result), [("save_html", page)])
    report = Report(result.model, identifiers=identifiers)
    for scan in result.studies:
        report.add(scan)
    write_report(page, lambda: report.page(result), result)


def save_lesion_map(
    scan: Analysed, path: str | os.PathLike[str], subtype: str | None = None
) -> None:
    """Write the lesion map of a scan as NIfTI, unless the path is that of an input.

    Args:
        scan: Result, read with `keep_pixels`.
        path: A .nii or .nii.gz file.
        subtype: Name of a subtype; None for all five.

    Raises:
        MissingExtra: nibabel is not installed; it comes with `ichlite[nifti]`.
        UsageError: There is no lesion map, the subtype or kind of file is not known, or the path
            must not be written.
        InputError: The position of the scan is not known.
        IchliteError: The file cannot be written.
    """
    file = Path(path)
    alone = ReadResult("", (scan,), scan.left_out)
    check_outputs(inputs_of(alone), [("save_lesion_map", file)])
    write_lesion_map(scan, file, subtype)


def inputs_of(result: ReadResult) -> list[str]:
    """Return the files that a result was read from and their folders, which outputs must respect.

    No file in these folders may be overwritten, except a report of ichlite.
    """
    files = [file for scan in result.studies for file in scan.files]
    files += [one.file for one in result.skipped]
    return [*files, *dict.fromkeys(str(Path(file).parent) for file in files)]
