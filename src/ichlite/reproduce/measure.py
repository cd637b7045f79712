"""Measure what the runs of a grid have left, and the costs of their models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ichlite.atomic_files import write_text
from ichlite.data.store import Store
from ichlite.reproduce.campaign import Outcome
from ichlite.reproduce.campaign_plan import PAPER_MODELS, Grid
from ichlite.reproduce.campaign_summary import Summary, as_document, summarise_runs
from ichlite.reproduce.costs import measured_costs
from ichlite.reproduce.results import RESULTS, Piece, read_piece, result_path, results_of
from ichlite.reproduce.rsna_prediction import RsnaCounts, rsna_counts


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that the tables and claims are made of.

    Attributes:
        pieces: Name of a run → what is kept of it.
        summary: The groups.
        costs: Of the paper's four models and of others in the grid.
        rsna: Studies of RSNA 2019; None where neither the store nor tables tell.
    """

    pieces: Mapping[str, Piece]
    summary: Summary
    costs: Mapping[str, Any]
    rsna: RsnaCounts | None


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
    kept = {one.run.name: read_piece(result_path(out, one.run)) for one in outcomes if one.finished}
    pieces = {name: piece for name, piece in kept.items() if piece is not None}
    names = dict.fromkeys([*PAPER_MODELS, *(group.model for group in grid.models)])
    costs = measured_costs(list(names), results / "costs.json")
    rsna = rsna_counts(store, rsna_tables, results / "rsna.json")
    summary = summarise_runs(results_of(pieces.values(), draws=draws), grid)
    text = json.dumps(as_document(summary), indent=2, allow_nan=False) + "\n"
    write_text(results / "summary.json", text)
    return Measured(pieces, summary, costs, rsna)
