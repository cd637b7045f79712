"""Read the label table of a plain folder: labels of files or of folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType

from ichlite.data.audit import Finding
from ichlite.data.readers.label_table import check_any, is_blank, labels_of, merge_rows, read_rows
from ichlite.data.rows import SPLITS
from ichlite.errors import InputError
from ichlite.labels import ANY, NAMES

TABLE = "labels.csv"
COLUMNS = ("path", "patient", *NAMES)
OPTIONAL = (ANY, "study", "series", "image", "split", "lesion_row", "lesion_column")

PHANTOM_NAMES: Mapping[str, str] = MappingProxyType({"path": "file", "image": "instance"})
"""Column names in the table that `ichlite phantom` writes, by the standard name they replace."""

SAME_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FolderRow:
    """One row of a folder's label table, for one path.

    Attributes:
        patient: Name; never empty.
        labels: 0 or 1 for each of `labels.NAMES`.
        any: 0 or 1, any haemorrhage: as the table says, else the highest of `labels`.
        study, series, image: Names of study, series and image; empty where the table has none.
        split: `train`, `validation`, `test` or None.
        lesion: (row, column) in pixels of the image's own matrix, or None.
    """

    patient: str
    labels: tuple[int, ...]
    any: int
    study: str = ""
    series: str = ""
    image: str = ""
    split: str | None = None
    lesion: tuple[float, float] | None = None


def find_folder_table(root: Path) -> Path:
    """Find `labels.csv`, or the only `*.csv` (or `.csv.gz`), at the top of a folder.

    Raises:
        InputError: There is none, or several without that name.
    """
    for name in (TABLE, f"{TABLE}.gz"):
        if (root / name).is_file():
            return root / name
    tables = sorted([*root.glob("*.csv"), *root.glob("*.csv.gz")])
    if len(tables) != 1:
        found = ", ".join(table.name for table in tables) or "no *.csv"
        raise InputError(
            f"{root} has {'several label tables' if tables else 'no label table'}",
            found=found,
            expected=f"{TABLE}, or one *.csv",
        )
    return tables[0]


def read_folder_table(
    table: Path, names: Mapping[str, str] = SAME_NAMES
) -> tuple[dict[str, FolderRow], list[Finding]]:
    """Read a folder's label table: one row for each path, and findings on rows that are unusable.

    Args:
        table: Path of the CSV file.
        names: Column names in this table, by the standard name that they replace.

    Returns:
        Usable rows by relative path with `/`; and findings `path_outside_root`, `missing_patient`,
        `any_disagrees`, `incomplete_labels`, `duplicate_label_rows` and `conflicting_labels`, whose
        item is the path where there is one.

    Raises:
        InputError: No such file, another table, an unknown split, half a lesion position.
    """
    findings: list[Finding] = []
    merged, repeats = merge_rows(_rows(table, names, findings))
    rows: dict[str, FolderRow] = {}
    for path, row in merged.items():
        if row is None:
            detail = "a label is missing or is not 0 or 1"
            findings.append(Finding("incomplete_labels", path, detail))
        else:
            rows[path] = row
            findings += check_any(path, row.labels, row.any)
    return rows, findings + repeats


def path_within(cell: str) -> str | None:
    r"""Return the path that a cell means below the folder; None if absolute, upward or none.

    Example:
        >>> path_within("./a//b.dcm"), path_within("a/../../b.dcm"), path_within(r"C:\b.dcm")
        ('a/b.dcm', None, None)
    """
    for flavour in (PurePosixPath(cell), PureWindowsPath(cell)):
        if flavour.anchor or ".." in flavour.parts or not cell:
            return None
    return PurePosixPath(cell).as_posix()


def _rows(
    table: Path, names: Mapping[str, str], findings: list[Finding]
) -> Iterator[tuple[int, str, FolderRow | None]]:
    """Yield line number, path and what the line says; None where a label is not 0 or 1."""
    ours = {theirs: our for our, theirs in names.items()}
    required = [names.get(column, column) for column in COLUMNS]
    for line, row in read_rows(table, required, kind="label table"):
        cells = {ours.get(name, name): cell for name, cell in row.items()}
        where = f"{table.name} line {line}"
        path = path_within(cells["path"])
        if path is None:
            findings.append(Finding("path_outside_root", where, cells["path"]))
        elif is_blank(cells["patient"]):
            findings.append(Finding("missing_patient", path, where))
        else:
            yield line, path, _row(cells, where)


def _row(cells: Mapping[str, str], where: str) -> FolderRow | None:
    labels = labels_of(cells, NAMES)
    any_bleed = labels_of(cells, [ANY]) if ANY in cells else (max(labels or (0,)),)
    split, lesion = _split(cells, where), _lesion(cells, where)
    if labels is None or any_bleed is None:
        return None
    return FolderRow(
        patient=cells["patient"],
        labels=labels,
        any=any_bleed[0],
        study=cells.get("study", ""),
        series=cells.get("series", ""),
        image=cells.get("image", ""),
        split=split,
        lesion=lesion,
    )


def _split(cells: Mapping[str, str], where: str) -> str | None:
    split = cells.get("split", "")
    if is_blank(split):
        return None
    if split not in SPLITS:
        raise InputError(
            f"{where} names an unknown split, {split!r}", expected=f"one of {', '.join(SPLITS)}"
        )
    return split


def _lesion(cells: Mapping[str, str], where: str) -> tuple[float, float] | None:
    texts = [cells.get("lesion_row", ""), cells.get("lesion_column", "")]
    if all(is_blank(text) for text in texts):
        return None
    try:
        row, column = (float(text) for text in texts)
    except ValueError:
        raise InputError(
            f"{where} gives no lesion position",
            found=" and ".join(texts),
            expected="a row and a column",
        ) from None
    return row, column
