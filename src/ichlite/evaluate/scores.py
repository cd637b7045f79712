"""Write and read the scores of every slice as CSV: what a model said, and what is true.

A file of scores is enough for every evaluation: pooled folds, two models beside each other,
calibration and operating points need neither the model nor the images.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.atomic_files import unwritable, write_csv
from ichlite.data.store import Store
from ichlite.errors import InputError
from ichlite.evaluate.predictions import Judged, judge_series
from ichlite.infer.decision import Calibration, Rule
from ichlite.labels import CLASSES, NAMES

PROBABILITY, LOGIT = "probability_", "logit_"
COLUMNS: tuple[str, ...] = (
    "image", "patient", "study", "series", "position_mm", "fold", *CLASSES,
    *(LOGIT + name for name in NAMES), *(PROBABILITY + name for name in CLASSES), "label_level",
    "folds", "recipe",
)  # fmt: skip
LEVELS = ("scan", "slice")
"""Values of the column `label_level`: `slice` for labels of the slice's own, `scan` for those of
its scan."""

_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_FOLD = re.compile(r"0|[1-9]\d{0,3}")
_RECIPE = re.compile(r"[0-9a-f]{16}")
_LARGEST = 3.40282356e38
"""Beyond it a number rounds to infinity as float32."""
_REMEDY = "write it with `ichlite evaluate --scores`"
_LABELS = slice(6, 12)
_LOGITS = slice(12, 17)
_PROBABILITIES = slice(17, 23)


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable:
    """A table of logits, probabilities and labels of slices; every column is (slice, …).

    Attributes:
        image: Unique name of each slice.
        patient, study, series: Names of its patient, study and series; a series has one patient.
        position_mm: Position along the slice normal in mm; NaN where unknown.
        fold: Number of the fold that the slice was left out of, as text; empty where none.
        labels: (slice, 6) 0/1, columns as `labels.CLASSES`.
        logits: (slice, 5) of the model, before calibration.
        probabilities: (slice, 6) in [0, 1], calibrated and smoothed over neighbours.
        by_slice: Whether the labels are the slice's own, not those of its scan.
        folds: Number of folds in all, as text; empty where none.
        recipe: Hash of the recipe that trained the model (`train.run_manifest.recipe_hash`); empty
            where unknown.
    """

    image: NDArray[np.str_]
    patient: NDArray[np.str_]
    study: NDArray[np.str_]
    series: NDArray[np.str_]
    position_mm: NDArray[np.float32]
    fold: NDArray[np.str_]
    labels: NDArray[np.uint8]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    by_slice: NDArray[np.bool_]
    folds: NDArray[np.str_]
    recipe: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.image)

    @property
    def fold_numbers(self) -> list[str]:
        """Numbers, as text, of the folds that the table has scores of, ascending."""
        return sorted({*self.fold.tolist()}, key=lambda fold: int(fold or -1))

    def take(self, rows: NDArray[Any]) -> ScoreTable:
        """Return a table of some of the rows.

        Args:
            rows: (slice,) bool mask, or row numbers.
        """
        return ScoreTable(*(getattr(self, field.name)[rows] for field in fields(self)))

    def judged(self, calibration: Calibration, rule: Rule) -> Judged:
        """Compute probabilities of slices and scans from the logits by a calibration and rule.

        Args:
            calibration: How logits become probabilities.
            rule: How slices become a scan.
        """
        return judge_series(
            self.labels,
            self.logits,
            patients=self.patient,
            series=self.series,
            position_mm=self.position_mm,
            by_slice=self.by_slice,
            calibration=calibration,
            rule=rule,
        )


def table_of_store(
    store: Store,
    rows: NDArray[np.int64],
    logits: NDArray[np.float32],
    calibration: Calibration,
    rule: Rule,
    *,
    fold: str = "",
    folds: str = "",
    recipe: str = "",
) -> ScoreTable:
    """Make the table of scores of slices of a store from a model's logits.

    Args:
        store: Store of the slices, with their names, labels and positions.
        rows: (row,) row numbers of the store.
        logits: (row, 5), subtypes in the order of `labels.SUBTYPES`.
        calibration: How logits become the probabilities of the table.
        rule: How probabilities are smoothed over neighbouring slices.
        fold: Number of the fold that the slices were left out of; empty for none.
        folds: Number of folds in all; empty for none.
        recipe: Hash of the recipe that trained the model; empty where unknown.
    """
    labels = np.column_stack([store.any[rows], store.labels[rows]]).astype(np.uint8)
    series = np.asarray(store.series)[rows].astype(str)
    patient = np.asarray(store.patient)[rows].astype(str)
    position_mm = np.asarray(store.position_mm, np.float32)[rows]
    everything = judge_series(
        labels,
        logits,
        patients=patient,
        series=series,
        position_mm=position_mm,
        by_slice=np.ones(len(rows), bool),
        calibration=calibration,
        rule=rule,
    )
    return ScoreTable(
        image=np.asarray(store.image)[rows].astype(str),
        patient=patient,
        study=np.asarray(store.study)[rows].astype(str),
        series=series,
        position_mm=position_mm,
        fold=np.full(len(rows), fold),
        labels=labels,
        logits=np.asarray(logits, np.float32),
        probabilities=everything.slices.probabilities,
        by_slice=np.full(len(rows), store.label_level == "slice"),
        folds=np.full(len(rows), folds),
        recipe=np.full(len(rows), recipe),
    )


def write_scores(path: Path, table: ScoreTable) -> None:
    """Write a table of scores as CSV, whole or not at all; its numbers read back exactly.

    Args:
        path: File to write.
        table: Scores of slices.

    Raises:
        IchliteError: The file cannot be written.
    """
    position = np.where(np.isnan(table.position_mm), "", table.position_mm.astype(str))
    columns = [
        *(table.image, table.patient, table.study, table.series, position, table.fold),
        *table.labels.astype(str).T,
        *table.logits.astype(str).T,
        *table.probabilities.astype(str).T,
        np.where(table.by_slice, "slice", "scan"),
        *(table.folds, table.recipe),
    ]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    try:
        write_csv(path, COLUMNS, rows)
    except OSError as fault:
        raise unwritable(path, fault) from fault


def read_scores(path: Path) -> ScoreTable:
    """Read a CSV file of scores and check every cell.

    Args:
        path: File that `write_scores` wrote.

    Raises:
        InputError: The file cannot be read, has other columns or no slice; a cell is malformed; an
            image occurs twice; a series has two patients; recipes or numbers of folds differ; or
            some slices have a fold and some have none.
    """
    lines: list[list[str]] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file, strict=True)
            _check_header(path, next(reader, []))
            for line in reader:
                _check_line(path, reader.line_num, line)
                lines.append(line)
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise InputError(f"{path} cannot be read", found=fault, remedy=_REMEDY) from fault
    if not lines:
        raise InputError(f"{path} holds no slice", remedy=_REMEDY)
    cells = np.array(lines, np.str_)
    table = ScoreTable(
        image=cells[:, 0],
        patient=cells[:, 1],
        study=cells[:, 2],
        series=cells[:, 3],
        position_mm=np.where(cells[:, 4] == "", "nan", cells[:, 4]).astype(np.float32),
        fold=cells[:, 5],
        labels=cells[:, _LABELS].astype(np.uint8),
        logits=cells[:, _LOGITS].astype(np.float32),
        probabilities=cells[:, _PROBABILITIES].astype(np.float64),
        by_slice=cells[:, 23] == "slice",
        folds=cells[:, 24],
        recipe=cells[:, 25],
    )
    _check_table(str(path), table)
    return table


def join_scores(tables: Sequence[ScoreTable], name: str) -> ScoreTable:
    """Join the tables of scores of several folds or splits into one.

    Args:
        tables: Tables to join, at least one; each image is in only one of them.
        name: Name of the joined table, for messages.

    Raises:
        InputError: An image is in two tables, or the joined table is invalid (see `read_scores`).
    """
    joined = ScoreTable(
        *(
            np.concatenate([getattr(table, field.name) for table in tables])
            for field in fields(ScoreTable)
        )
    )
    _check_table(name, joined)
    return joined


def _check_header(path: Path, header: list[str]) -> None:
    """Refuse a file of other columns."""
    if tuple(header) == COLUMNS:
        return
    lacks = [name for name in COLUMNS if name not in header]
    named = ", ".join(lacks[:2] + ["…"] * (len(lacks) > 2))
    why = f"it lacks {len(lacks)} of the {len(COLUMNS)} columns: {named}"
    if not lacks:
        why = f"the {len(COLUMNS)} columns are in another order, or others are among them"
    raise InputError(f"{path} is not a file of scores; {why}", remedy=_REMEDY)


def _check_line(path: Path, number: int, line: list[str]) -> None:
    """Refuse a line that is no row of scores."""
    fault = _fault_of(line)
    if fault is not None:
        found, expected = fault
        raise InputError(
            f"{path} line {number} is no row of scores",
            found=found[:120],
            expected=expected,
            remedy=_REMEDY,
        )


def _fault_of(line: list[str]) -> tuple[str, str] | None:
    """Return what is wrong with a line and what should be there; None when it is sound."""
    if len(line) != len(COLUMNS):
        return f"{len(line)} cells", f"{len(COLUMNS)}"
    for name, cell in zip(COLUMNS, line, strict=True):
        check, expected = _CELLS[name]
        if "\0" in cell or not check(cell):
            return f"{name} {cell}" if cell else f"no {name}", expected
    return None


def _check_table(name: str, table: ScoreTable) -> None:
    """Refuse rows that do not fit together."""
    images, counts = np.unique(table.image, return_counts=True)
    if counts.max() > 1:
        raise InputError(
            f"{name} holds a slice more than once",
            found=f"image {images[counts.argmax()]} {counts.max()} times",
            expected="each slice once: one model's scores",
        )
    patients_of: dict[str, str] = {}
    for series, patient in zip(table.series.tolist(), table.patient.tolist(), strict=True):
        if patients_of.setdefault(series, patient) != patient:
            raise InputError(
                f"{name} holds a series of two patients",
                found=f"series {series} of {patients_of[series]} and of {patient}",
                expected="each series of one patient",
            )
    for column, what in (("folds", "numbers of folds"), ("recipe", "recipes")):
        found = np.unique(getattr(table, column))
        if len(found) > 1:
            raise InputError(
                f"{name} holds scores of several {what}",
                found=", ".join(value or "none" for value in found),
                expected="scores of one cross-validation: one recipe, one number of folds",
            )
    if "" in table.fold and (table.fold != "").any():
        image = table.image[table.fold == ""][0]
        raise InputError(
            f"{name} holds slices with a fold and slices without",
            found=f"image {image} without",
            expected="a fold for all of them, or for none",
        )


def _is_number(cell: str, largest: float = _LARGEST) -> bool:
    """Return whether a cell is a finite number, no larger than this."""
    return cell.isascii() and bool(_NUMBER.fullmatch(cell)) and abs(float(cell)) <= largest


def _is_probability(cell: str) -> bool:
    """Return whether a cell is a number from 0 to 1."""
    return not cell.startswith("-") and _is_number(cell, 1.0)


_NAME: tuple[Callable[[str], bool], str] = (bool, "its name")
_CELLS: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "image": _NAME,
    "patient": _NAME,
    "study": (lambda _: True, "a name, or nothing"),
    "series": _NAME,
    "position_mm": (lambda cell: not cell or _is_number(cell), "a number, or nothing"),
    "fold": (lambda cell: not cell or bool(_FOLD.fullmatch(cell)), "a fold's number, or nothing"),
    **dict.fromkeys(CLASSES, (lambda cell: cell in ("0", "1"), "0 or 1")),
    **dict.fromkeys(COLUMNS[_LOGITS], (_is_number, "a finite number")),
    **dict.fromkeys(COLUMNS[_PROBABILITIES], (_is_probability, "a number from 0 to 1")),
    "label_level": (lambda cell: cell in LEVELS, " or ".join(LEVELS)),
    "folds": (lambda cell: not cell or bool(_FOLD.fullmatch(cell)), "how many, or nothing"),
    "recipe": (lambda cell: not cell or bool(_RECIPE.fullmatch(cell)), "a hash, or nothing"),
}
"""What a cell of each column must be."""
