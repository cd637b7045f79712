"""Measure what the runs of a grid have left, and gather all that a reader is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ichlite.data.atomic_files import write_json
from ichlite.data.join import Fold
from ichlite.data.store import Store
from ichlite.errors import UsageError
from ichlite.reproduce.campaign import Data, Outcome
from ichlite.reproduce.campaign_facts import data_warning, facts_of, patients_caution, runs_table
from ichlite.reproduce.campaign_plan import PAPER_MODELS, Grid
from ichlite.reproduce.campaign_plots import Picture, draw_pictures
from ichlite.reproduce.campaign_summary import (
    Difference,
    Summary,
    as_document,
    differences,
    grid_of,
    summarise_runs,
)
from ichlite.reproduce.cells import Table
from ichlite.reproduce.claims import Judged, judge
from ichlite.reproduce.costs import measured_costs
from ichlite.reproduce.paper_tables import all_tables
from ichlite.reproduce.results import (
    RESULTS,
    Piece,
    read_document,
    read_piece,
    read_pieces,
    result_path,
    results_of,
)
from ichlite.reproduce.rsna_counts import RsnaCounts, read_counts, rsna_counts


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that the tables and claims are made of.

    Attributes:
        pieces: What is kept of each run, by its name.
        summary: The groups.
        costs: Of the paper's four models and of others in the grid.
        rsna: Studies of RSNA 2019; None where neither the store nor tables tell.
    """

    pieces: Mapping[str, Piece]
    summary: Summary
    costs: Mapping[str, Any]
    rsna: RsnaCounts | None


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


def measure_all(
    outcomes: Sequence[Outcome],
    grid: Grid,
    store: Store,
    out: Path,
    *,
    draws: int,
    rsna_tables: Path | None = None,
) -> Measured:
    """Measure a reproduction; `results/` gets the costs, the counts of RSNA 2019 and a summary.

    Args:
        outcomes: Those that are finished are measured.
        grid: They belong to.
        store: That was trained on.
        out: With `results/`.
        draws: Redraws of patients.
        rsna_tables: Folder of tables with RSNA 2019's studies.
    """
    results = out / RESULTS
    results.mkdir(parents=True, exist_ok=True)
    kept = {one.run.name: read_piece(result_path(out, one.run)) for one in outcomes if one.finished}
    pieces = {name: piece for name, piece in kept.items() if piece is not None}
    names = dict.fromkeys([*PAPER_MODELS, *(group.model for group in grid.models)])
    costs = measured_costs(list(names), results / "costs.json")
    rsna = rsna_counts(store, rsna_tables, results / "rsna.json")
    summary = summarise_runs(results_of(pieces.values(), draws=draws), grid)
    write_json(results / "summary.json", as_document(summary))
    return Measured(pieces, summary, costs, rsna)


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
    pieces, summary, costs = measured.pieces, measured.summary, measured.costs
    seeds, machine = sorted({result.seed for result in summary.results()}), costs["machine"]
    tested = data.pooled(folds)
    return Report(
        warning=data_warning(data.store, data.name),
        caution=patients_caution(tested),
        facts=facts_of(
            outcomes, pieces, machine, data, folds, command=command, seeds=seeds, draws=draws
        ),
        tables=all_tables(summary, costs, tested, [data.of(fold) for fold in folds]),
        pictures=draw_pictures(summary, costs, tested, data.name, figures),
        judged=judge(summary, costs, measured.rsna),
        beside=tuple(beside),
        differences=(*differences(summary.losses), *differences(summary.models)),
        runs=runs_table(outcomes, pieces),
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
