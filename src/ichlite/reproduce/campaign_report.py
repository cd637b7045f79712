"""Gather everything that a reader is told of a reproduction in one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ichlite.data.join import Fold
from ichlite.errors import UsageError
from ichlite.reproduce.campaign import Data, Outcome
from ichlite.reproduce.campaign_facts import data_warning, facts_of, patients_caution, runs_table
from ichlite.reproduce.campaign_plots import Picture, draw_pictures
from ichlite.reproduce.campaign_summary import (
    Difference,
    Measured,
    differences,
    grid_of,
    summarise_runs,
)
from ichlite.reproduce.cells import Table
from ichlite.reproduce.claims import Judged, judge
from ichlite.reproduce.paper_tables import all_tables
from ichlite.reproduce.results import RESULTS, read_document, read_pieces, results_of
from ichlite.reproduce.rsna_counts import RsnaCounts, read_counts


@dataclass(frozen=True, slots=True)
class Report:
    """What was done and found.

    Attributes:
        warning: Of the data, for the top of every page.
        caution: Of the few patients that were judged on, likewise; empty where they are enough.
        facts: Name and words, for the reader.
        tables: The paper's five.
        pictures: Figures 1 and 2, and the plots.
        judged: The claims here.
        beside: The claims of other reproductions, to be shown beside these.
        differences: Pairs of losses, then pairs of models.
        runs: Header and one row a run.
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
    folds: Sequence[Fold],
    figures: Path,
    *,
    command: str,
    draws: int,
    beside: Sequence[Judged] = (),
) -> Report:
    """Gather everything that was measured in a report; its figures are drawn on the way.

    Args:
        outcomes: Of all planned runs.
        measured: Those that are finished.
        data: That was trained and tested on.
        folds: Of the patients; empty: the store's own splits.
        figures: Folder for the pictures; made when missing.
        command: That makes all this.
        draws: Redraws of patients.
        beside: Claims of other reproductions.
    """
    figures.mkdir(parents=True, exist_ok=True)
    summary, costs = measured.summary, measured.costs
    tested = data.pooled(folds)
    return Report(
        warning=data_warning(data.store, data.name),
        caution=patients_caution(tested),
        facts=facts_of(outcomes, measured, data, folds, command=command, draws=draws),
        tables=all_tables(summary, costs, tested, [data.of(fold) for fold in folds]),
        pictures=draw_pictures(summary, costs, tested, data.name, figures),
        judged=judge(summary, costs, measured.rsna),
        beside=tuple(beside),
        differences=(*differences(summary.losses), *differences(summary.models)),
        runs=runs_table(outcomes, measured.pieces),
    )


def judge_results(folder: Path, *, draws: int, rsna: RsnaCounts | None = None) -> Judged:
    """Judge another reproduction by today's rules, from its `results/` alone.

    Args:
        folder: Of the reproduction.
        draws: Redraws of patients.
        rsna: Counts of RSNA 2019, where the folder has none.

    Raises:
        UsageError: It has no results.
        InputError: They are damaged.
    """
    results = folder / RESULTS
    found = results_of(read_pieces(results), draws=draws)
    known = read_document(results / "summary.json")
    if not found or known is None:
        raise UsageError(
            f"{folder} holds no reproduction to show beside this one",
            expected=f"a folder with {RESULTS}/ of `ichlite reproduce`",
        )
    costs = read_document(results / "costs.json") or {"models": {}}
    counts = read_counts(results / "rsna.json") or rsna
    return judge(summarise_runs(found, grid_of(known)), costs, counts)
