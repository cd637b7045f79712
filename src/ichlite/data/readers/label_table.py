"""Read a label table (CSV) by column name, and say what is wrong with its labels.

What all data sets' tables share stands here: byte order marks, gzip, checked headers, line numbers
in messages, rows that stand twice.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO, TypeVar, cast

from ichlite.data.archives import FOLDER as UNPACKED
from ichlite.data.audit import Finding
from ichlite.errors import InputError

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_ZERO = frozenset({"0", "0.0"})
_ONE = frozenset({"1", "1.0"})
_NOTHING = frozenset({"", "nan", "na", "n/a", "none", "null"})


def find_table(root: Path, *names: str) -> Path:
    """Find the label table in a folder, or in the one below it that unzipping left there.

    Args:
        root: Folder of the data set.
        names: File names that the table may have, the usual one first; each with .gz will do.

    Raises:
        InputError: There is none, or there are several.
    """
    endings = ("{}", "{}.gz", "*/{}", "*/{}.gz")
    for pattern in (ending.format(name) for name in names for ending in endings):
        tables = sorted(root.glob(pattern))
        if len(tables) == 1:
            return tables[0]
        if tables:
            several = ", ".join(table.relative_to(root).as_posix() for table in tables)
            raise InputError(f"{root} has several label tables", found=several, expected="one")
    data_set = "the data set, with its archives," if root.name == UNPACKED else root
    raise InputError(
        f"{data_set} has no label table",
        expected=" or ".join(names),
        remedy="give the folder of the data set, as it was published",
    )


def read_rows(
    path: Path, required: Sequence[str], *, kind: str = "label table"
) -> Iterator[tuple[int, dict[str, str]]]:
    r"""Yield the rows of a CSV file (.csv, .csv.gz) with their line numbers, as it is read.

    A byte order mark, spaces around cells, empty lines and rows of empty cells are passed over.

    Args:
        path: Path of the file.
        required: Columns that the file must have; others may be present, in any order.
        kind: What the file is meant to be, for error messages.

    Yields:
        The row's (last) line number, from 1, and its cells by column.

    Raises:
        InputError: No such file, not CSV, not UTF-8, damaged gzip, a missing or doubled column, a
            row with more or fewer cells than the header.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels.csv"
        >>> _ = path.write_text("ID, Label\na, 1\n")
        >>> list(read_rows(path, ["ID", "Label"]))
        [(2, {'ID': 'a', 'Label': '1'})]
    """
    try:
        with _open(path) as file:
            lines = csv.reader(file, strict=True)
            header = [cell.strip() for cell in next(lines, [])]
            _check_header(header, required, path, kind)
            for line in lines:
                cells = [cell.strip() for cell in line]
                if not any(cells):
                    continue
                if len(cells) != len(header):
                    raise InputError(
                        f"{path.name} line {lines.line_num} does not fit the header",
                        found=f"{len(cells)} cells",
                        expected=f"{len(header)}",
                    )
                yield lines.line_num, dict(zip(header, cells, strict=True))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as failure:
        why = failure.strerror if isinstance(failure, OSError) and failure.strerror else failure
        raise InputError(f"{path.name} cannot be read: {why}") from failure


def binary(cell: str) -> int | None:
    """Return the label that the text of a table cell stands for, 0 or 1; None for other text.

    Example:
        >>> [binary(cell) for cell in ("0", "1.0", "", "NaN", "2")]
        [0, 1, None, None, None]
    """
    return 0 if cell in _ZERO else 1 if cell in _ONE else None


def is_blank(cell: str) -> bool:
    """Return whether the text of a table cell is empty or stands for a missing value, such as NaN.

    Example:
        >>> is_blank("NaN"), is_blank("0")
        (True, False)
    """
    return cell.lower() in _NOTHING


def labels_of(row: Mapping[str, str], columns: Iterable[str]) -> tuple[int, ...] | None:
    """Return the labels, 0 or 1, in some columns of a row; None if one is neither.

    Args:
        row: Text of each cell by column name.
        columns: Names of the columns, in the order wanted.

    Example:
        >>> labels_of({"a": "1", "b": "0"}, ["b", "a"])
        (0, 1)
    """
    labels = [binary(row[column]) for column in columns]
    return None if None in labels else tuple(cast("list[int]", labels))


def merge_rows(
    rows: Iterable[tuple[int, Key, Value]], name: Callable[[Key], str] = str
) -> tuple[dict[Key, Value], list[Finding]]:
    """Merge rows of the same key, and report keys that occur more than once.

    Args:
        rows: (line number, key, value), in the order of the file.
        name: Function that turns a key into the item of a finding.

    Returns:
        The value of each key in order of first appearance, without keys whose rows differ; a
        finding `duplicate_label_rows` for each row that repeats, and one `conflicting_labels` for
        each key that was dropped.

    Example:
        >>> labels, findings = merge_rows([(2, "a", 1), (3, "b", 0), (4, "a", 1), (5, "b", 1)])
        >>> labels, [(one.kind, one.item) for one in findings]
        ({'a': 1}, [('duplicate_label_rows', 'a'), ('conflicting_labels', 'b')])
    """
    merged: dict[Key, Value] = {}
    repeats: dict[Key, list[int]] = {}
    differing: set[Key] = set()
    for line, key, value in rows:
        if key not in merged:
            merged[key] = value
            continue
        repeats.setdefault(key, []).append(line)
        if merged[key] != value:
            differing.add(key)
    findings = []
    for key, lines in repeats.items():
        if key in differing:
            del merged[key]
            said = f"line {', '.join(map(str, lines))} against an earlier one"
            findings.append(Finding("conflicting_labels", name(key), said))
        else:
            said = "repeats an earlier one"
            findings += [
                Finding("duplicate_label_rows", name(key), f"line {n} {said}") for n in lines
            ]
    return merged, findings


def check_any(item: str, labels: Sequence[int], any_bleed: int) -> list[Finding]:
    """Return a finding if a label for any haemorrhage contradicts the labels of the subtypes.

    Args:
        item: Name of the slice or scan, for the finding.
        labels: 0 or 1 for each subtype.
        any_bleed: 0 or 1 for any haemorrhage.

    Returns:
        One finding `any_disagrees`, or none; the data set keeps the label `any`.

    Example:
        >>> [one.detail for one in check_any("scan 1", (0, 0, 0, 0, 1), 0)]
        ['any 0, highest subtype 1']
        >>> check_any("scan 1", (0, 0, 0, 0, 1), 1)
        []
    """
    if any_bleed == max(labels):
        return []
    return [Finding("any_disagrees", item, f"any {any_bleed}, highest subtype {max(labels)}")]


def _open(path: Path) -> TextIO:
    """Open a table, plain or gzipped, as text without a byte order mark."""
    if path.suffix == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def _check_header(header: Sequence[str], required: Sequence[str], path: Path, kind: str) -> None:
    missing = [column for column in required if column not in header]
    if missing:
        raise InputError(
            f"{path.name} is not a {kind}: it has no column {', '.join(missing)}",
            found=",".join(header) or "an empty file",
            expected=",".join(required),
        )
    doubled = sorted({column for column in header if column and header.count(column) > 1})
    if doubled:
        raise InputError(f"{path.name} has these columns twice: {', '.join(doubled)}")
