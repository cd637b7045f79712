"""`ichlite demo`: read the sample studies, print their triage list, write an HTML report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ichlite.commands.options import PlainJson

EPILOG = "Example: ichlite demo --out demo-report"

REPORT_FILE = "report.html"
LOOK = "Open it in a browser: each head opens at its largest mark; the wheel scrolls."
"""What to look at, once the page is written."""


def demo(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder to make for report.html.")
    ] = Path("demo-report"),
    as_json: PlainJson = False,
) -> None:
    """Read the sample studies that come with ichlite and write a report on them."""
    from ichlite.atomic_files import check_folder
    from ichlite.commands.console import say, stdout_console
    from ichlite.commands.read import Outputs, read_and_write, succeeded
    from ichlite.infer.bundle import load_bundle
    from ichlite.samples import SAMPLES

    check_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    files = [str(file) for sample in SAMPLES for file in sample.files]
    report = out / REPORT_FILE
    result = read_and_write(files, load_bundle(), Outputs(html=report), as_json=as_json)
    if as_json:
        say(f"report: {report}")
    else:
        stdout_console().print(LOOK, markup=False, soft_wrap=True)
    if not succeeded(result):
        raise typer.Exit(1)
