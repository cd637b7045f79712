"""Write a report into a folder: report.md, claims.md, report.html and a CSV a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    pass_eval_context,
    select_autoescape,
)
from jinja2.nodes import EvalContext

from ichlite import __version__
from ichlite.atomic_files import write_text
from ichlite.evaluate.intervals import Interval
from ichlite.reproduce.campaign_report import Report
from ichlite.reproduce.campaign_summary import WORDS, Difference
from ichlite.reproduce.cells import csv_rows
from ichlite.reproduce.noise import TEST, points, told
from ichlite.reproduce.published import name_of
from ichlite.reproduce.verdicts import HOW
from ichlite.write.escaping import printable

TEXTS = ("report.md", "report.html", "claims.md")
"""Files of the report, each with a template of its name."""
TABLES_FOLDER = "tables"
FIGURES_FOLDER = "figures"
TEMPLATES = Path(__file__).resolve().parent / "templates"
DIFFERENCE_HEADER: tuple[str, ...] = (
    "Metric", "Compared", "Difference, points", "95 % over seeds", "Beyond the seeds' noise",
    "95 % over patients", "Beyond the patients' noise",
)  # fmt: skip


def write_report(report: Report, out: Path) -> tuple[Path, ...]:
    """Write a report, each file whole or not at all.

    Args:
        report: With its pictures on disk below the folder.
        out: The folder; must exist.

    Returns:
        report.md, report.html, claims.md, tables/table1.csv to table5.csv and the pictures.

    Raises:
        IchliteError: A file cannot be written.
    """
    texts = {out / name: text for name, text in _texts(report, out).items()}
    (out / TABLES_FOLDER).mkdir(exist_ok=True)
    for table in report.tables:
        text = StringIO()
        csv.writer(text, lineterminator="\n").writerows(csv_rows(table))
        texts[out / TABLES_FOLDER / f"table{table.number}.csv"] = text.getvalue()
    for path, content in texts.items():
        write_text(path, content)
    return (*texts, *(picture.path for picture in report.pictures))


def difference_rows(found: Sequence[Difference], *, few_patients: bool) -> list[list[str]]:
    """Return a header and one row a difference, in percentage points.

    Args:
        found: Pairs.
        few_patients: Too few to tell anything from redraws of them.
    """

    def beyond(interval: Interval | None, too_few: str = "") -> str:
        return too_few or ("no" if told(interval) is None else "yes")

    rows = [list(DIFFERENCE_HEADER)]
    for one in found:
        seeds, patients = one.seeds.interval, one.patients
        rows.append([
            WORDS[one.metric],
            f"{name_of(one.first)} - {name_of(one.second)}",
            f"{one.seeds.difference * 100:+.2f}",
            points(seeds) if seeds else "",
            beyond(seeds, "" if seeds else "too few seeds"),
            points(patients) if patients else "",
            beyond(patients, "too few patients" * few_patients) if patients else "",
        ])  # fmt: skip
    return rows


def _texts(report: Report, out: Path) -> dict[str, str]:
    every = (report.judged, *report.beside)
    values = {
        "report": report,
        "every": every,
        "claims_header": ["Section", "The paper says", *(judged.name for judged in every)],
        "claims": [
            (claim, [(judged.name, judged.claims[place]) for judged in every])
            for place, claim in enumerate(report.judged.claims)
        ],
        "differences": difference_rows(report.differences, few_patients=bool(report.caution)),
        "out": out,
        "how": HOW,
        "test": TEST,
        "version": __version__,
    }
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(),
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return {name: environment.get_template(name).render(values).rstrip() + "\n" for name in TEXTS}


@pass_eval_context
def _shown(context: EvalContext, value: object) -> object:
    """Keep control characters of names and messages out of the page."""
    return printable(value) if context.autoescape and type(value) is str else value
