"""`ichlite read`: read head CT studies into a triage list, JSON, CSV or an HTML report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichlite.commands.options import BundleFolder, PlainJson

if TYPE_CHECKING:
    from collections.abc import Callable

    from ichlite.infer.bundle import Bundle
    from ichlite.infer.results import ReadResult

EPILOG = (
    "Example: ichlite read studies/ --html report.html --csv slices.csv. "
    "Exit codes: 0 each study that may hold a head CT was read as a whole; 1 one was not, is "
    "incomplete or a child's, a file that may be CT cannot be read, no study was read at all, or a "
    "report was not written; 2 wrong usage; 130 interrupted."
)


def read(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="DICOM files or folders to read.")
    ],
    bundle: BundleFolder = None,
    as_json: PlainJson = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV file to write, one row per slice.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="HTML page to write, with a viewer.")
    ] = None,
    sr: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder for a DICOM SR and a picture of each study's result."
        ),
    ] = None,
    identifiers: Annotated[
        bool,
        typer.Option(
            "--identifiers", help="Name patients, dates and UIDs in the page; default: none."
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Judge what the input check refuses, where nothing passes."),
    ] = False,
    every_series: Annotated[
        bool,
        typer.Option("--every-series", help="Read every series, not one for each study."),
    ] = False,
    threads: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Threads, at most one per core; no effect on the result."
        ),
    ] = 1,
    operating_point: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Thresholds to decide by: high_sensitivity, balanced or high_specificity.",
        ),
    ] = "balanced",
) -> None:
    """Read head CT studies: each gets an answer, or a reason why not."""
    from ichlite.errors import UsageError
    from ichlite.infer.bundle import load_bundle
    from ichlite.write.result_files import check_output_folder, check_outputs

    if identifiers and html is None:
        raise UsageError("--identifiers is about a page", remedy="name the page by --html FILE")
    check_outputs(paths, [("--csv", csv), ("--html", html)])
    check_output_folder(paths, "--sr", sr)
    if sr is not None:
        from ichlite.write.structured_report import need_highdicom

        need_highdicom()
    loaded = load_bundle(bundle).at(operating_point)
    result = read_and_write(
        paths,
        loaded,
        as_json=as_json,
        csv=csv,
        html=html,
        sr=sr,
        identifiers=identifiers,
        force=force,
        every_series=every_series,
        threads=threads,
    )
    if not succeeded(result, force=force):
        raise typer.Exit(1)


def read_and_write(
    paths: list[str],
    bundle: Bundle,
    *,
    as_json: bool = False,
    csv: Path | None = None,
    html: Path | None = None,
    sr: Path | None = None,
    identifiers: bool = False,
    force: bool = False,
    every_series: bool = False,
    threads: int = 1,
) -> ReadResult:
    """Read paths, write the reports, print the triage list or JSON, and return the result."""
    from ichlite.commands.console import progress, say
    from ichlite.errors import IchliteError
    from ichlite.infer.pipeline import read_paths
    from ichlite.infer.results import ScanResult
    from ichlite.write.result_files import to_csv

    report, objects = None, None
    if html is not None:
        from ichlite.write.report_page import Report

        report = Report(bundle, identifiers=identifiers)
    if sr is not None:
        from datetime import datetime

        from ichlite.write.result_objects import ResultFolder

        objects = ResultFolder(sr, bundle, datetime.now().astimezone())
    shown = [one.add for one in (report, objects) if one is not None]
    with progress("reading series") as advance:

        def visit(scan: ScanResult) -> None:
            for add in shown:
                add(scan)
            advance(1)

        result = read_paths(
            paths,
            bundle=bundle,
            force=force,
            threads=threads,
            visit=visit,
            pixels_for_visit=bool(shown),
            every_series=every_series,
        )
    # Reports before stdout, whose reader may have gone; what fails must not keep the rest back.
    problems: list[IchliteError] = []
    written: list[Path] = []
    for path, make in (
        (csv, lambda: to_csv(result)),
        (html, lambda: "" if report is None else report.page(result)),
    ):
        if path is not None:
            try:
                _write_report(path, make, result)
                written.append(path)
            except IchliteError as error:
                problems.append(error)
    if objects is not None:
        objects.finish(result)
        written += objects.written
        problems += objects.problems
    _print_result(result, written, as_json=as_json)
    for problem in problems[:-1]:
        say(f"error: {problem}")
    if problems:
        raise problems[-1]
    return result


def _print_result(result: ReadResult, written: list[Path], *, as_json: bool) -> None:
    """Print a result as JSON, or as the triage list and the reports that were written."""
    import sys

    if as_json:
        from ichlite.write.result_files import to_json

        sys.stdout.write(to_json(result))
        return
    from ichlite.commands.console import stdout_console
    from ichlite.write.escaping import printable
    from ichlite.write.triage import print_triage

    console = stdout_console()
    print_triage(result, console)
    for path in written:
        console.print(f"Written: {printable(str(path))}", markup=False, soft_wrap=True)


def _write_report(path: Path, make: Callable[[], str], result: ReadResult) -> None:
    from ichlite.atomic_files import write_text
    from ichlite.errors import IchliteError
    from ichlite.write.result_files import is_input

    if is_input(path, result):
        raise IchliteError(
            f"{path} is one of the input files and was left as it is", remedy="give another name"
        )
    write_text(path, make())


def succeeded(result: ReadResult, *, force: bool = False) -> bool:
    """Return whether each study that may hold a head CT was read as a whole.

    Scouts, reports, series that were not chosen and other parts of the body do not count, so long
    as something was read.

    Args:
        result: What `read_and_write` returned.
        force: Whether `--force` was given: a scan that is not cleared is then no failure.
    """
    answered = {one.study for one in result.studies if one.status == "analysed"}
    may_be_head = {one.study for one in result.studies if one.may_be_head}
    whole = force or not any(one.not_cleared for one in result.studies)
    unread = any(one.may_be_ct for one in result.skipped)
    return bool(answered) and may_be_head <= answered and whole and not unread
