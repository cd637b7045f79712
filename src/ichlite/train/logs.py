"""One row an epoch in, history.csv and TensorBoard scalars out."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ichlite.data.whole import replacing
from ichlite.labels import NAMES

Row = Mapping[str, Any]
"""A value a column; `wait_share` is the share of the training time of an epoch, validation not
counted, in which no batch was ready: the device was busy for the rest, or the host behind it."""

COLUMNS: tuple[str, ...] = (
    "step", "epoch", "phase", "learning_rate", "loss", "validation_bce", "validation_mean_roc_auc",
    *(f"validation_roc_auc_{name}" for name in NAMES), "images_per_s", "seconds",
    "wait_share",
)  # fmt: skip


class History:
    """The rows of `history.csv` and their copy in `tensorboard/`.

    Args:
        folder: Of the run.
        until_step: Rows of later steps are dropped: a run that resumes from an older checkpoint
            makes them again.
    """

    def __init__(self, folder: Path, *, until_step: int) -> None:
        from tensorboard.summary import Writer

        self.path = folder / "history.csv"
        self.rows = [row for row in read_history(self.path) if int(row["step"]) <= until_step]
        self._write()
        self._board = Writer(str(folder / "tensorboard"))

    def best(self) -> float | None:
        """Highest validation mean AUC so far; None without any."""
        scores = [float(r["validation_mean_roc_auc"]) for r in self.rows
                  if r["validation_mean_roc_auc"] not in {"", None}]  # fmt: skip
        return max(scores, default=None)

    def add(self, row: Row) -> None:
        """Keep one epoch's row, on disk at once."""
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


def read_history(path: Path) -> list[dict[str, Any]]:
    """history.csv → its rows, oldest first; none when there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _text(value: object) -> object:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value
