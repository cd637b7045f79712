"""Log each epoch to history.csv and TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ichlite.atomic_files import replacing
from ichlite.labels import NAMES

Row = Mapping[str, Any]
"""A value a column; `wait_share` is the share of the training time of an epoch, validation not
counted, in which no batch was ready: the device was busy for the rest, or the host behind it. A row
that was just made also has `steps` and `epochs` of the whole run, and `seconds_left` of it."""

AUC, BCE = "validation_mean_roc_auc", "validation_bce"
COLUMNS: tuple[str, ...] = (
    "step", "epoch", "phase", "learning_rate", "loss", BCE, AUC,
    *(f"validation_roc_auc_{name}" for name in NAMES), "images_per_s", "seconds",
    "wait_share",
)  # fmt: skip


class History:
    """Table of a run's epochs, written to `history.csv` and, as a copy, to `tensorboard/`.

    Args:
        folder: Folder of the run.
        until_step: Rows after this step are dropped, since a run resumed from an older checkpoint
            writes them again.
    """

    def __init__(self, folder: Path, *, until_step: int) -> None:
        from tensorboard.summary import Writer

        self.path = folder / "history.csv"
        self.rows = [row for row in read_history(self.path) if int(row["step"]) <= until_step]
        self._write()
        self._board = Writer(str(folder / "tensorboard"))

    def chosen_by(self) -> str | None:
        """Return the column by which the best epoch is chosen: `AUC`, or `BCE` if AUC is undefined.

        Returns:
            None if neither has a value.
        """
        return next((c for c in (AUC, BCE) if any(map(_has(c), self.rows))), None)

    def best_row(self) -> dict[str, str] | None:
        """Return the row of the best epoch so far, the first among equals; None without scores."""
        column = self.chosen_by()
        if column is None:
            return None
        pick = max if column == AUC else min
        return pick(filter(_has(column), self.rows), key=lambda row: float(row[column]))

    def chosen(self, keep: str) -> tuple[int, str]:
        """Return the last step of the epoch whose weights are kept, and the criterion.

        Args:
            keep: `best` by validation, or `last`; without scores, the last in either case.

        Returns:
            The step, and the name of the column it was chosen by, or `last`.
        """
        best, column = self.best_row(), self.chosen_by()
        if keep == "last" or best is None or column is None:
            return int(self.rows[-1]["step"]), "last"
        return int(best["step"]), column

    def best(self) -> float | None:
        """Return the highest validation mean AUC so far; None without any."""
        row = self.best_row()
        return float(row[AUC]) if row is not None and _has(AUC)(row) else None

    def add(self, row: Row) -> None:
        """Append an epoch's row and write it to disk at once."""
        self.rows.append({column: _text(row.get(column)) for column in COLUMNS})
        self._write()
        for column in COLUMNS:
            if isinstance(row.get(column), float):
                self._board.add_scalar(column, row[column], int(row["step"]))
        self._board.flush()

    def close(self) -> None:
        """Close the TensorBoard file."""
        self._board.close()

    def _write(self) -> None:
        with replacing(self.path) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)


def epoch_line(row: Row) -> str:
    """Return one line of text that reports an epoch to the user.

    Example:
        >>> epoch_line({"epoch": 1, "epochs": 3, "step": 20, "steps": 60, "loss": 0.25,
        ...     AUC: 0.9, "images_per_s": 80.0, "seconds_left": 95.4})
        'epoch 1 of 3, step 20 of 60: loss 0.2500, validation mean AUC 0.9000, 80 images/s,
        95 s left'
    """
    auc = "undefined" if row[AUC] is None else f"{row[AUC]:.4f}"
    crops = " (crops before the first)" if row["epoch"] == 0 else ""
    return (
        f"epoch {row['epoch']} of {row['epochs']}{crops}, step {row['step']} of {row['steps']}: "
        f"loss {row['loss']:.4f}, validation mean AUC {auc}, "
        f"{row['images_per_s']:.0f} images/s, {row['seconds_left']:.0f} s left"
    )


def read_history(path: Path) -> list[dict[str, str]]:
    """Return the rows of a history.csv, oldest first; none when there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _has(column: str) -> Callable[[Row], bool]:
    return lambda row: row[column] not in {"", None}


def _text(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
