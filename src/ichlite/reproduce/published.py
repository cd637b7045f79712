"""Read what the paper says: the numbers of its tables, and the sentences that state a result.

All of it was typed into paper.toml, and nowhere else; a test reads it again from the paper's text.
The figures are the paper's own, errors and all: the AUC of Tables 2 and 3 is a balanced accuracy.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """Numbers of one table as printed in the paper.

    Attributes:
        title: What the table shows, not quoted.
        columns: Keys of the columns, in the paper's order.
        rows: Numbers of each row, in the order of `columns`.
        notes: Remarks on the numbers.
    """

    title: str
    columns: tuple[str, ...]
    rows: Mapping[Row, tuple[float, ...]]
    notes: tuple[str, ...]

    def value(self, row: Row, column: str | None) -> float | None:
        """Return the number of a cell; None where the paper has no such cell.

        Example:
            >>> TABLES[5].value(("ldam",), "sensitivity")
            65.34
            >>> TABLES[5].value(("asl",), "sensitivity") is None
            True
        """
        if row not in self.rows or column not in self.columns:
            return None
        return self.rows[row][self.columns.index(column)]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the paper that states a result, with the rule to judge it.

    Attributes:
        section: Section of the paper.
        sentence: Quoted as short as needed, or paraphrased.
        rule: Rule that decides whether it holds; names in braces stand for `RULES` and numbers.
        stated: Numbers that the sentence states.
    """

    section: str
    sentence: str
    rule: str
    stated: tuple[float, ...] = ()


def name_of(key: str) -> str:
    """Return the paper's name for a model or loss; the key itself if the paper has none.

    Example:
        >>> name_of("ldam")
        'LDAM'
    """
    return PAPER_NAMES.get(key, key)


def _rows(found: Mapping[str, Any], *above: str) -> Iterator[tuple[Row, tuple[float, ...]]]:
    for name, one in found.items():
        if isinstance(one, Mapping):
            yield from _rows(one, *above, name)
        else:
            yield (*above, name), tuple(one)


_PAPER = tomllib.loads(Path(__file__).with_name("paper.toml").read_text(encoding="utf-8"))
PAPER_NAMES: Mapping[str, str] = _PAPER["names"]
"""Our keys, each with its name in the paper's tables."""
TABLES: Mapping[int, PublishedTable] = {
    int(number): PublishedTable(
        one["title"], tuple(one["columns"]), dict(_rows(one["rows"])), tuple(one["notes"])
    )
    for number, one in _PAPER["tables"].items()
}
"""The paper's tables by number."""
RULES: Mapping[str, str] = _PAPER["rules"]
"""Rules that several sentences share, by name."""
SENTENCES: Mapping[str, Sentence] = {key: Sentence(**one) for key, one in _PAPER["claims"].items()}
"""Sentences by a stable key, in the order of the paper's sections."""
