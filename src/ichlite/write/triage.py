"""Order results by urgency, put each in words, and print the triage list on a terminal."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Container, Iterable
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from ichlite.infer.results import (
    Analysed,
    ReadResult,
    ScanResult,
    by_urgency,
    not_analysed,
    not_chosen,
    objections,
    shown_any,
    shown_threshold,
    verdict,
)
from ichlite.labels import ANY, SUBTYPES
from ichlite.records import image_name
from ichlite.write.escaping import printable

if TYPE_CHECKING:
    from rich.console import Console

DISCLAIMER = "Research use only. Not a medical device."
MOST_SKIPPED_LINES = 20
"""Most skipped files that are listed one by one; more are counted by reason (`--json` has all)."""

_EXAMPLES = 3


def remarks(scan: Analysed) -> tuple[str, ...]:
    """Return the remarks on an analysed scan, one line each.

    They are the objections that `force` overruled, why the scan is not cleared, and its notes.
    """
    forced = (f"judged by force, although {reason}" for reason in objections(scan))
    return (*forced, *scan.not_cleared, *scan.notes)


def decided_at(studies: Iterable[Analysed]) -> str:
    """Return in words the operating point and threshold of the first result; empty for none.

    Args:
        studies: Results of one reading, which share their operating point.

    Example:
        >>> decided_at([])
        ''
    """
    for scan in studies:
        name = scan.operating_point.replace("_", " ")
        return f"operating point {name}: urgent from {shown_threshold(scan.threshold)} on"
    return ""


def shared_folders(studies: Iterable[ScanResult]) -> frozenset[str]:
    """Return the folders that are the common folder of more than one series.

    Args:
        studies: Results of all series of a reading.
    """
    count = Counter(common_folder(one) for one in studies)
    return frozenset(folder for folder, series in count.items() if series > 1)


def common_folder(scan: ScanResult, shared: Container[str] = ()) -> str:
    """Return the folder that holds a result's files, as the caller named it.

    Args:
        scan: Result of a series; of a single file its own path is returned.
        shared: Folders of several series, from `shared_folders`: the path of the first file and
            `…` stand for these.

    Example:
        >>> from ichlite.infer.results import NotAnalysed
        >>> files = ("a/x/1", "a/y/2")
        >>> common_folder(NotAnalysed(study="1", series="2", files=files, reasons=("a chest",)))
        'a'
    """
    if len(scan.files) < 2:
        return "".join(scan.files)
    folders = [str(Path(file).parent) for file in scan.files]
    try:
        folder = os.path.commonpath(folders) or "."
    except ValueError:
        # Absolute and relative paths, or two drives, have nothing in common.
        folder = folders[0]
    return f"{scan.files[0]} …" if folder in shared else folder


def print_triage(result: ReadResult, console: Console) -> None:
    """Print the triage list of a result: series by urgency, those not analysed, skipped files.

    Args:
        result: Result of a reading.
        console: rich console to print on.
    """
    from rich.text import Text

    analysed = by_urgency(result.studies)
    shared = shared_folders(result.studies)
    if analysed:
        _print_table(analysed, result.bundle, shared, console)
    _print_remarks(analysed, result.warnings, console, shared)
    rest = not_analysed(result.studies)
    if rest:
        console.print(Text("\nNot analysed (this is not a negative)", style="bold"))
        for series in rest:
            _print_item(console, _place(series, shared), series.reasons)
    others = not_chosen(result.studies)
    if others:
        console.print(Text("\nNot chosen (another series of the study was read)", style="bold"))
        for series in others:
            _print_item(console, _place(series, shared), series.reasons)
    if result.skipped:
        console.print(Text(f"\nSkipped files: {len(result.skipped)}", style="bold"))
        for place, reason in _skipped_lines(result):
            _print_item(console, place, (reason,))
    if result.warnings:
        console.print(Text("\nWarnings", style="bold"))
        for line in result.warnings:
            _print_wrapped(console, printable(line), "  ")
    if not analysed:
        console.print(Text("\nNo study was read.", style="bold"))
    console.print(Text(f"\n{DISCLAIMER}", style="dim"))


def _print_table(
    analysed: list[Analysed], bundle: str, shared: Container[str], console: Console
) -> None:
    """Print a row for each analysed scan, most urgent first; its place below where there is none.

    No row is folded: numbers would come apart from their heads.
    """
    from rich.text import Text

    point = decided_at(analysed)
    title = f"Triage by {bundle}" + (f", {point}" if point else "")
    console.print(Text(title, style="italic"))
    calls = [verdict(scan).replace("urgent", "URGENT", 1) for scan in analysed]
    wide = max(map(len, calls))
    names = "".join(f"{name:>6}" for name in (ANY, *(one.abbreviation for one in SUBTYPES)))
    head = f" {'':{wide}}{names}  slices"
    places = [_place(scan, shared) for scan in analysed]
    beside = len(head) + 2 + max(map(len, places)) <= console.width
    console.print(Text(head + ("  series" if beside else ""), style="bold"), soft_wrap=True)
    for scan, call, place in zip(analysed, calls, places, strict=True):
        row = Text(" ")
        row.append(f"{call:{wide}}", style=_call_style(scan))
        row.append(f"{shown_any(scan.scan[ANY], scan.threshold):>6}", style="bold")
        for one in SUBTYPES:
            value = scan.scan[one.name]
            row.append(f"{value:6.2f}", style=_shade(value))
        row.append(f"{len(scan.slices):8}")
        row.append(f"  {place}" if beside else f"\n   {place}")
        console.print(row, soft_wrap=True)


def _call_style(scan: Analysed) -> str:
    if scan.urgent:
        return "bold red"
    return "yellow" if scan.urgent is None else ""


def _shade(probability: float) -> str:
    return "bold" if probability >= 0.5 else "dim"


def _print_remarks(
    analysed: Iterable[Analysed],
    warnings: Collection[str],
    console: Console,
    shared: Container[str],
) -> None:
    """Print the remarks on each scan; warnings on all the input are printed once, below."""
    for scan in analysed:
        lines = [line for line in remarks(scan) if line not in warnings]
        _print_item(console, _place(scan, shared), lines)


def _print_item(console: Console, place: str, lines: Iterable[str]) -> None:
    """Print what is said of a place: beside it where that is one short line, else below, wrapped.

    Only words are wrapped: a path stays whole, to be copied.
    """
    from rich.text import Text

    said = [printable(line) for line in lines]
    if len(said) == 1 and len(f"  {place}: {said[0]}") <= console.width:
        console.print(Text(f"  {place}: {said[0]}"), soft_wrap=True)
        return
    if said:
        console.print(Text(f"  {place}:"), soft_wrap=True)
    for line in said:
        _print_wrapped(console, line, "    ")


def _print_wrapped(console: Console, line: str, indent: str) -> None:
    from rich.text import Text

    parts = wrap(
        line, console.width - len(indent) - 2, break_long_words=False, break_on_hyphens=False
    )
    for number, part in enumerate(parts):
        console.print(Text(f"{indent}{'  ' if number else ''}{part}"), soft_wrap=True)


def _skipped_lines(result: ReadResult) -> list[tuple[str, str]]:
    if len(result.skipped) <= MOST_SKIPPED_LINES:
        return [
            (printable(image_name(file.file, file.frame)), file.reason) for file in result.skipped
        ]
    by_reason: dict[str, list[str]] = {}
    for file in result.skipped:
        by_reason.setdefault(file.reason, []).append(image_name(file.file, file.frame))
    lines = []
    for reason, files in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        examples = ", ".join(printable(file) for file in files[:_EXAMPLES])
        more = " …" if len(files) > _EXAMPLES else ""
        count = "1 file" if len(files) == 1 else f"{len(files)} files"
        lines.append((f"{count} ({examples}{more})", reason))
    return lines


def _place(scan: ScanResult, shared: Container[str]) -> str:
    return printable(common_folder(scan, shared) or scan.series)
