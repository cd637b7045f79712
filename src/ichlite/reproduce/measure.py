"""Outcomes of a grid in; its groups' results and the models' costs, measured where missing, out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ichlite.data.store import Store
from ichlite.errors import UsageError
from ichlite.reproduce.campaign import RUNS, Outcome
from ichlite.reproduce.costs import measured_costs
from ichlite.reproduce.plan import PAPER_MODELS, Grid
from ichlite.reproduce.results import RESULTS, Result, measured, read_result, result_path
from ichlite.reproduce.summary import Summary, as_document, summarise_runs
from ichlite.write.files import write_text


def measure_all(
    outcomes: Sequence[Outcome],
    grid: Grid,
    store: Store,
    out: Path,
    *,
    draws: int,
    on_done: Callable[[], None] = lambda: None,
) -> tuple[Summary, dict[str, Any]]:
    """Outcomes → summary and costs; `results/` gets a JSON document a run, costs and summary.

    Args:
        outcomes: Those that are finished are judged.
        grid: They belong to.
        store: Its test split judges.
        out: With `runs/`.
        draws: Redraws of patients.
        on_done: Called after each outcome, and after the costs.

    Returns:
        Summary of the groups, and the costs of the paper's four models and of others in the grid.

    Raises:
        UsageError: A kept result, whose model is not there, has other redraws.
    """
    results: list[Result] = []
    for outcome in outcomes:
        run = outcome.run
        if outcome.state == "measured before":
            results.append(_kept(result_path(out, run), draws))
        elif outcome.finished:
            folder = out / RUNS / run.name
            results.append(measured(run, folder, store, out / RESULTS, draws=draws))
        on_done()
    names = dict.fromkeys([*PAPER_MODELS, *(group.model for group in grid.models)])
    costs = measured_costs(list(names), out / RESULTS / "costs.json")
    on_done()
    summary = summarise_runs(results, grid)
    text = json.dumps(as_document(summary), indent=2, allow_nan=False) + "\n"
    write_text(out / RESULTS / "summary.json", text)
    return summary, costs


def _kept(path: Path, draws: int) -> Result:
    """A result without its model → the result."""
    result = read_result(path)
    if result is None or result.document["inputs"]["draws"] != draws:
        found = "no result" if result is None else f"{result.document['inputs']['draws']} redraws"
        raise UsageError(
            f"{path.name} was measured otherwise, and its model is not here",
            found=found,
            expected=f"{draws} redraws",
            remedy="ask for as many with --bootstrap, or remove it to train again",
        )
    return result
