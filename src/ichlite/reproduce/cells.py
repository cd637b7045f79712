"""Set measured and published numbers beside each other: cells, and tables of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ichlite.evaluate.intervals import Interval

Unit = Literal["count", "flops", "percent", "bytes", "ms"]
NOT_RUN = "not run"
FAR = 2.0
"""Ratio from which two numbers are compared as a factor instead of in per cent."""
CSV_HEADER: tuple[str, ...] = (
    "table", "row", "column", "unit", "value", "low_95", "high_95", "seeds", "published",
    "difference", "note",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """One measured number together with the paper's.

    Attributes:
        value: Mean over seeds of the measured number; None if it was not run, or is undefined.
        unit: Unit of value, interval and published number.
        interval: 95 % interval over patients.
        seeds: Number of seeds that were averaged; 0 where seeds play no part.
        published: Number in the paper; None if it has no such cell.
        note: Remark shown beside the number.
        missing: Text shown instead of a value that is None.
    """

    value: float | None
    unit: Unit
    interval: Interval | None = None
    seeds: int = 0
    published: float | None = None
    note: str = ""
    missing: str = NOT_RUN

    @property
    def value_text(self) -> str:
        """Text of the measured number, or the reason why there is none.

        Example:
            >>> Cell(91.234, "percent").value_text, Cell(None, "ms").value_text
            ('91.23', 'not run')
        """
        return number_text(self.value, self.unit, self.missing)

    @property
    def interval_text(self) -> str:
        """Text of the interval; empty when there is none."""
        return " to ".join(number_text(end, self.unit) for end in self.interval or ())

    @property
    def published_text(self) -> str:
        """Text of the published number; empty when there is none."""
        return number_text(self.published, self.unit)

    @property
    def difference_text(self) -> str:
        """Text of the difference: in points for per cent, else in per cent or as a factor.

        Example:
            >>> Cell(92.0, "percent", published=90.5).difference_text
            '+1.50'
            >>> Cell(1.23, "ms", published=61.5).difference_text
            'x 0.02'
        """
        if self.value is None or self.published is None:
            return ""
        if self.unit == "percent":
            return f"{self.value - self.published:+.2f}"
        ratio = self.value / self.published
        near = 1 / FAR < ratio < FAR
        return f"{(ratio - 1) * 100:+.1f} %" if near else f"x {ratio:.2g}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the paper, measured again.

    Attributes:
        number: Number of the table in the paper.
        title: What it shows.
        row_titles: Titles of the leading columns, which hold words.
        columns: Titles of the columns that hold numbers.
        rows: Words and numbers of each row.
        notes: Notes below the table.
    """

    number: int
    title: str
    row_titles: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[Cell, ...]], ...]
    notes: tuple[str, ...] = ()


def number_text(value: float | None, unit: Unit, missing: str = "") -> str:
    """Return a number as text with its unit, rounded sensibly.

    Args:
        value: Number; None for a missing one.
        unit: Unit of the number.
        missing: Text for a missing number.

    Example:
        >>> number_text(316632, "bytes"), number_text(187862789, "flops")
        ('317 KB', '187.9 M')
    """
    if value is None:
        return missing
    if unit == "percent":
        return f"{value:.2f}"
    if unit == "ms":
        return f"{value:.2f} ms"
    if unit == "bytes":
        return f"{value / 1e6:.2f} MB" if value >= 1e6 else f"{value / 1e3:.0f} KB"
    if unit == "flops":
        return f"{value / 1e6:,.1f} M"
    return f"{value:,.0f}"


def csv_rows(table: Table) -> list[list[str]]:
    """Return a table for CSV: a header, then one row for each cell, with unrounded numbers."""

    def full(value: float | None) -> str:
        return "" if value is None else f"{value:.10g}"

    rows = [list(CSV_HEADER)]
    for words, cells in table.rows:
        for column, cell in zip(table.columns, cells, strict=True):
            both = (
                None
                if cell.value is None or cell.published is None
                else (cell.value - cell.published)
            )
            rows.append([
                str(table.number), " / ".join(words), column, cell.unit, full(cell.value),
                *map(full, cell.interval or (None, None)), str(cell.seeds or ""),
                full(cell.published), full(both),
                cell.missing if cell.value is None else cell.note,
            ])  # fmt: skip
    return rows
