"""`ichlite read`: files and folders in; a triage list, JSON, CSV or an HTML report out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ichlite.infer.bundle import Bundle
    from ichlite.records import ReadResult

EPILOG = (
    "Example: ichlite read studies/ --html report.html --csv slices.csv. "
    "Exit code 1 when a file was skipped, a series was not analysed, or a folder mixes patients."
)


def read(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="DICOM files or folders.")],
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Bundle folder; default: the embedded one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="One row a slice.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Report with images.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Judge series that the input check refuses.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Same result for any.")] = 1,
) -> None:
    """Read head CT studies: every series gets a result or a reason why not."""
    from ichlite.infer.bundle import load_bundle

    loaded = load_bundle(bundle)
    result = read_and_write(
        paths, loaded, as_json=as_json, csv=csv, html=html, force=force, threads=threads
    )
    if not succeeded(result):
        raise typer.Exit(1)


def read_and_write(
    paths: list[str],
    bundle: Bundle,
    *,
    as_json: bool = False,
    csv: Path | None = None,
    html: Path | None = None,
    force: bool = False,
    threads: int = 1,
) -> ReadResult:
    """Take paths and where to write; write it all, print the list or JSON, give the result."""
    import sys

    from ichlite.commands.console import progress, stdout_console
    from ichlite.infer.pipeline import read_paths
    from ichlite.records import ScanResult
    from ichlite.write.files import write_text

    report = None
    if html is not None:
        from ichlite.write.html import Report

        report = Report(bundle)
    with progress("reading series") as advance:

        def visit(scan: ScanResult) -> None:
            if report is not None:
                report.add(scan)
            advance(1)

        result = read_paths(
            paths,
            bundle=bundle,
            force=force,
            threads=threads,
            visit=visit,
            pixels_for_visit=report is not None,
        )
    # The result first: a disk that is full must not keep it from the reader.
    if as_json:
        from ichlite.write.json import to_json

        sys.stdout.write(to_json(result))
    else:
        from ichlite.write.triage import print_triage

        print_triage(result, stdout_console())
    if csv is not None:
        from ichlite.write.csv import to_csv

        write_text(csv, to_csv(result))
    if html is not None and report is not None:
        write_text(html, report.page(result))
    return result


def succeeded(result: ReadResult) -> bool:
    """Take a result; say whether every input was analysed and none needs a second look."""
    all_analysed = all(scan.status == "analysed" for scan in result.studies)
    return all_analysed and bool(result.studies) and not result.skipped and not result.warnings
