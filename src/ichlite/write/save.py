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
    """Write the page on a result; see `ReadResult.save_html`."""
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
    """Write the lesion map of a scan; see `Analysed.save_lesion_map`."""
    file = Path(path)
    alone = ReadResult("", (scan,), scan.left_out)
    check_outputs(inputs_of(alone), [("save_lesion_map", file)])
    write_lesion_map(scan, file, subtype)


def inputs_of(result: ReadResult) -> list[str]:
    """Return the files of a result and the folders that they lie in, in which no other is safe."""
    files = [file for scan in result.studies for file in scan.files]
    files += [one.file for one in result.skipped]
    return [*files, *dict.fromkeys(str(Path(file).parent) for file in files)]
