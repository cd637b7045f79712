"""`ichlite read`: read head CT studies into a triage list, JSON, CSV or an HTML report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichlite.commands.options import BundleFolder, Force, PlainJson

if TYPE_CHECKING:
    from ichlite.errors import IchliteError
    from ichlite.infer.bundle import Bundle
    from ichlite.infer.results import ReadResult, ScanResult
    from ichlite.write.report_page import Report

EPILOG = (
    "Example: ichlite read studies/ --html report.html --csv slices.csv. "
    "Exit codes: 0 each study that may hold a head CT was read as a whole; 1 one was not, is "
    "incomplete or a child's, a file that may be CT cannot be read, no study was read at all, or a "
    "report was not written; 2 wrong usage; 130 interrupted."
)


def read(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="DICOM files, zip archives, NIfTI volumes or folders to read."
        ),
    ],
    bundle: BundleFolder = None,
    as_json: PlainJson = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV file to write, one row per slice.")
    ] = None,
    studies_csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV file to write, one row per study.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="HTML page to write, with a viewer.")
    ] = None,
    lesion_maps: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for lesion maps, a NIfTI file per scan."),
    ] = None,
    sr: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for a DICOM SR and a picture of each result."),
    ] = None,
    identifiers: Annotated[
        bool,
        typer.Option(
            "--identifiers",
            help="Show patient names, IDs, dates and UIDs in the HTML page; hidden by default.",
        ),
    ] = False,
    force: Force = False,
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
    check_outputs(paths, [("--csv", csv), ("--studies-csv", studies_csv), ("--html", html)])
    check_output_folder(paths, lesion_maps)
    check_output_folder(paths, sr)
    if sr is not None:
        from ichlite.write.structured_report import need_highdicom

        need_highdicom()
    loaded = load_bundle(bundle).at(operating_point)
    result = read_and_write(
        paths,
        loaded,
        Outputs(csv, studies_csv, html, lesion_maps, sr, identifiers),
        as_json=as_json,
        force=force,
        every_series=every_series,
        threads=threads,
    )
    if not succeeded(result, force=force):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is written beside the list, each None where it is not wanted.

    Attributes:
        csv, studies_csv, html: Files, with one row a slice, one row a study, and the page.
        lesion_maps, sr: Folders, of NIfTI files and of DICOM objects.
        identifiers: Whether the page names patients.
    """

    csv: Path | None = None
    studies_csv: Path | None = None
    html: Path | None = None
    lesion_maps: Path | None = None
    sr: Path | None = None
    identifiers: bool = False


def read_and_write(
    paths: list[str],
    bundle: Bundle,
    outputs: Outputs,
    *,
    as_json: bool = False,
    force: bool = False,
    every_series: bool = False,
    threads: int = 1,
) -> ReadResult:
    """Read paths, write the outputs, print the triage list or JSON, and return the result."""
    from ichlite.commands.console import say, study_progress
    from ichlite.infer.pipeline import read_paths

    report = maps = objects = None
    if outputs.html is not None:
        from ichlite.write.report_page import Report

        report = Report(bundle, identifiers=outputs.identifiers)
    if outputs.lesion_maps is not None:
        from ichlite.write.lesion_map import LesionMaps

        maps = LesionMaps(outputs.lesion_maps, bundle)
    if outputs.sr is not None:
        from datetime import datetime

        from ichlite.write.result_objects import ResultFolder

        objects = ResultFolder(outputs.sr, bundle, datetime.now().astimezone())
    keepers = [one.add for one in (report, maps, objects) if one is not None]

    def visit(scan: ScanResult) -> None:
        for keep in keepers:
            keep(scan)

    with study_progress() as begin:
        result = read_paths(
            paths,
            bundle=bundle,
            force=force,
            threads=threads,
            visit=visit,
            progress=begin,
            pixels_for_visit=bool(keepers),
            every_series=every_series,
        )
    # Reports before stdout, whose reader may have gone; what fails must not keep the rest back.
    written, problems = _write_reports(result, outputs, report)
    if maps is not None:
        problems += maps.problems
        if maps.written:
            count = "1 lesion map" if len(maps.written) == 1 else f"{len(maps.written)} lesion maps"
            written.append(f"{maps.folder} ({count})")
    if objects is not None:
        objects.finish(result)
        written += map(str, objects.written)
        problems += objects.problems
    _print(result, written, as_json=as_json)
    for problem in problems[:-1]:
        say(f"error: {problem}")
    if problems:
        raise problems[-1]
    return result


def _write_reports(
    result: ReadResult, outputs: Outputs, report: Report | None
) -> tuple[list[str], list[IchliteError]]:
    """Write the reports, and return which were written and what kept others from it."""
    from ichlite.errors import IchliteError
    from ichlite.write.result_files import to_csv, to_studies_csv, write_report

    written: list[str] = []
    problems: list[IchliteError] = []
    for path, make in (
        (outputs.csv, lambda: to_csv(result)),
        (outputs.studies_csv, lambda: to_studies_csv(result)),
        (outputs.html, lambda: "" if report is None else report.page(result)),
    ):
        if path is not None:
            try:
                write_report(path, make, result)
                written.append(str(path))
            except IchliteError as error:
                problems.append(error)
    return written, problems


def _print(result: ReadResult, written: list[str], *, as_json: bool) -> None:
    """Print the document, or the triage list and what was written."""
    if as_json:
        import sys

        from ichlite.write.result_files import to_json

        sys.stdout.write(to_json(result))
        return
    from ichlite.commands.console import stdout_console
    from ichlite.write.escaping import printable
    from ichlite.write.triage import print_triage

    console = stdout_console()
    print_triage(result, console)
    for what in written:
        console.print(f"Written: {printable(what)}", markup=False, soft_wrap=True)


def succeeded(result: ReadResult, *, force: bool = False) -> bool:
    """Return whether each study that may hold a head CT was read as a whole.

    Scouts, reports, series that were not chosen and other parts of the body do not count, so long
    as something was read.

    Args:
        result: What `read_and_write` returned.
        force: Whether `--force` was given: a scan that is not cleared is then no failure.
    """
    from ichlite.infer.results import study_of

    answered = {study_of(one) for one in result.studies if one.status == "analysed"}
    may_be_head = {study_of(one) for one in result.studies if one.may_be_head}
    whole = force or not any(one.not_cleared for one in result.studies)
    unread = any(one.may_be_ct for one in result.skipped)
    return bool(answered) and may_be_head <= answered and whole and not unread
