"""Pick the best trial of a search, compare it with the paper's defaults, write tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial of a hyperparameter search: a row of its table.

    Attributes:
        trial: Name of the trial.
        status: Status that KerasTuner gives it: `completed`, `failed` …
        bracket, round: Hyperband's bracket and round.
        goes_on_from: Name of the shorter trial that it continues; None if it starts anew.
        epochs, epochs_here: Epochs of its run, and how many of these were trained in this trial.
        batch_size, learning_rate, dropout, width, expansion, head_width: Values in its recipe.
        validation_mean_roc_auc: Its score; None if it has none.
        note: What went wrong; empty if nothing did.
    """

    trial: str
    status: str
    bracket: int
    round: int
    goes_on_from: str | None
    epochs: int
    epochs_here: int
    batch_size: int
    learning_rate: float
    dropout: float
    width: int | None
    expansion: int | None
    head_width: int | None
    validation_mean_roc_auc: float | None
    note: str = ""


COLUMNS = tuple(Trial.__dataclass_fields__)


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """Return the completed trial with the highest score, the first among equals; else None."""
    completed = [one for one in trials if one.status == "completed"]
    scored = [one for one in completed if one.validation_mean_roc_auc is not None]
    return max(scored, key=lambda one: _number(one.validation_mean_roc_auc), default=None)


def verdict(
    best: Sequence[float | None], defaults: Sequence[float | None], *, epochs: int, trials: int
) -> tuple[bool, str]:
    """Decide whether a search found better hyperparameters than the paper's defaults.

    If there are runs with other seeds, only they decide, because the search's own score is the
    highest of many on the same images and therefore too high.

    Args:
        best: AUC of the best trial's recipe, first with the search's seed, then with others; None
            where a run diverged.
        defaults: AUC of the paper's defaults, with the same seeds and epochs.
        epochs: Training epochs of each of these runs.
        trials: Trials of the search.

    Returns:
        Whether something better was found, and a sentence that says so.

    Example:
        >>> verdict([0.8], [0.9], epochs=3, trials=4)[1]
        "tuning found nothing better than the paper's defaults: validation mean AUC 0.8000 ..."
    """
    fresh = list(zip(best[1:], defaults[1:], strict=True))
    pairs = fresh or [(best[0], defaults[0])]
    numbers = [(_number(tuned), _number(paper)) for tuned, paper in pairs]
    tuned_mean, paper_mean = (fmean(side) for side in zip(*numbers, strict=True))
    found = tuned_mean > paper_mean
    what = "better hyperparameters" if found else "nothing better"
    than = "than the paper's defaults: validation mean AUC"
    scores = f"{_text(tuned_mean)} against {_text(paper_mean)} of the defaults"
    if fresh:
        wins = sum(tuned > paper for tuned, paper in numbers)
        how = f"mean over {len(fresh)} other seeds, higher in {wins} of them"
    else:
        how = (
            f"one seed; the best of {trials} trials, chosen on the same validation images, so its "
            "own score is too high: repeat with other seeds before believing a small difference"
        )
    line = f"tuning found {what} {than} {scores} after {epochs} epochs ({how})"
    return found, line


def to_csv(trials: Sequence[Trial]) -> str:
    """Return trials as CSV text with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, trials))
    return text.getvalue()


def to_markdown(trials: Sequence[Trial]) -> str:
    """Return trials as a Markdown table of the columns that are used, the best score first."""
    ordered = sorted(trials, key=lambda one: -_number(one.validation_mean_roc_auc))
    rows = [asdict(one) for one in ordered]
    used = [c for c in COLUMNS if any(row[c] not in (None, "") for row in rows)]
    lines = [used, ["---"] * len(used), *([_cell(row[c]) for c in used] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _number(score: float | None) -> float:
    return 0.0 if score is None else float(score)


def _text(score: float) -> str:
    return f"{score:.4f}" if score else "no score (diverged)"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value).replace("|", r"\|").replace("\n", " ")
