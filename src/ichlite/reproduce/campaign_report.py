"""Gather everything that a reader is told of a reproduction, and write it into a folder.

Written are report.md, claims.md, report.html, and a CSV a table.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
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
from ichlite.bench.machine import describe_machine
from ichlite.errors import UsageError
from ichlite.evaluate.intervals import Interval
from ichlite.reproduce.campaign import Data, Outcome
from ichlite.reproduce.campaign_facts import data_warning, facts_of, patients_caution, runs_table
from ichlite.reproduce.campaign_plots import Picture, draw_pictures
from ichlite.reproduce.campaign_summary import (
    WORDS,
    Difference,
    KeptGroups,
    Measured,
    differences,
    grid_of,
    summarise_runs,
)
from ichlite.reproduce.cells import Table, csv_rows
from ichlite.reproduce.claims import Judged, judge
from ichlite.reproduce.costs import Costs
from ichlite.reproduce.kept_runs import RESULTS, read_kept, read_pieces
from ichlite.reproduce.noise import TEST, points, told
from ichlite.reproduce.paper_tables import all_tables
from ichlite.reproduce.published import name_of
from ichlite.reproduce.results import results_of
from ichlite.reproduce.rsna_counts import RsnaCounts
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


@dataclass(frozen=True, slots=True)
class Report:
    """Contents of the report on a reproduction.

    Attributes:
        warning: What the results can be compared with, for the top of every page.
        caution: Caution about few test patients, likewise; empty if there are enough.
        facts: Name and text of each fact on data, command and runs.
        tables: The paper's five tables, measured again.
        pictures: Figures 1 and 2, and the plots.
        judged: Judged claims of the paper, on this data.
        beside: Judged claims of other reproductions, shown for comparison.
        differences: Differences between pairs of losses, then of models.
        runs: Header, then one row for each run.
    """

    warning: str
    caution: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    judged: Judged
    beside: tuple[Judged, ...]
    differences: tuple[Difference, ...]
    runs: tuple[tuple[str, ...], ...]


def make_report(
    outcomes: Sequence[Outcome],
    measured: Measured,
    data: Data,
    figures: Path,
    *,
    command: str,
    draws: int,
    beside: Sequence[Judged] = (),
) -> Report:
    """Assemble the report on a reproduction, and draw its figures.

    Args:
        outcomes: States of all planned runs.
        measured: Results of the finished runs.
        data: Data of the reproduction.
        figures: Folder for the pictures; made when missing.
        command: Command that makes this reproduction.
        draws: Resamplings of patients for intervals.
        beside: Judged claims of other reproductions.
    """
    figures.mkdir(parents=True, exist_ok=True)
    summary, costs = measured.summary, measured.costs
    tested = data.pooled()
    return Report(
        warning=data_warning(data.store, data.name),
        caution=patients_caution(tested),
        facts=facts_of(outcomes, measured, data, command=command, draws=draws),
        tables=all_tables(summary, costs, tested, [data.of(fold) for fold in data.folds]),
        pictures=draw_pictures(summary, costs, tested, data.name, figures),
        judged=judge(summary, costs, measured.rsna),
        beside=tuple(beside),
        differences=(*differences(summary.losses), *differences(summary.models)),
        runs=runs_table(outcomes, measured.pieces),
    )


def judge_results(folder: Path, *, draws: int, rsna: RsnaCounts | None = None) -> Judged:
    """Judge the paper's claims by the results of another reproduction, using the current rules.

    Args:
        folder: Folder of that reproduction; only its `results/` is read.
        draws: Resamplings of patients for intervals.
        rsna: Counts of RSNA 2019, used if the folder has none.

    Raises:
        UsageError: The folder has no results.
        InputError: A result is damaged.
    """
    results = folder / RESULTS
    found = results_of(read_pieces(results), draws=draws)
    known = read_kept(KeptGroups, results / "summary.json")
    if not found or known is None:
        raise UsageError(
            f"{folder} holds no reproduction to show beside this one",
            expected=f"a folder with {RESULTS}/ of `ichlite reproduce`",
        )
    costs = read_kept(Costs, results / "costs.json") or Costs(machine=describe_machine())
    counts = read_kept(RsnaCounts, results / "rsna.json") or rsna
    return judge(summarise_runs(found, grid_of(known)), costs, counts)


def write_report(report: Report, out: Path) -> tuple[Path, ...]:
    """Write a report, each file whole or not at all.

    Args:
        report: With its pictures on disk below the folder.
        out: Existing folder to write to.

    Returns:
        The files written: report.md, report.html, claims.md, tables/table1.csv to table5.csv,
        pictures.

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
    """Return a table of differences in percentage points: a header, then one row for each.

    Args:
        found: Differences between pairs of groups.
        few_patients: Whether there are too few patients for conclusions from resampling them.
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
