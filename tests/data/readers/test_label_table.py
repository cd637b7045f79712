"""Label tables: what programs do to CSV files is read through, what cannot be is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichlite.data.readers.label_table import (
    binary,
    check_any,
    find_table,
    is_blank,
    labels_of,
    merge_rows,
    read_rows,
)
from ichlite.errors import InputError

ROWS = [(2, {"ID": "a", "Label": "1"}), (3, {"ID": "b", "Label": "0"})]
PLAIN = b"ID,Label\na,1\nb,0\n"


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.replace(b"\n", b"\r\n"),
        b"ID , Label\n a ,1\n b, 0",
        b'"ID","Label"\n"a","1"\n"b","0"\n',
        PLAIN + b"\n,\n\n",
    ],
    ids=["plain", "byte order mark", "CRLF", "spaces", "quotes", "empty rows"],
)
def test_one_table_in_many_dresses(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(data)
    assert list(read_rows(path, ["ID", "Label"])) == ROWS
    packed = tmp_path / "labels.csv.gz"
    packed.write_bytes(gzip.compress(data))
    assert list(read_rows(packed, ["ID", "Label"])) == ROWS


def test_other_columns_and_orders_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("Label,note,ID\n1,,a\n")
    assert list(read_rows(path, ["ID", "Label"])) == [(2, {"Label": "1", "note": "", "ID": "a"})]


def test_the_line_number_counts_lines_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text('ID,Label\n\n"a\nb",1\nc,0\n')
    assert [(line, row["ID"]) for line, row in read_rows(path, ["ID"])] == [(4, "a\nb"), (5, "c")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"not a label table: it has no column ID, Label; found an empty file"),
        (b"ID;Label\na;1\n", r"no column ID, Label; found ID;Label"),
        (b"ID,label\n", r"no column Label"),
        (b"ID,Label,ID\na,1,b\n", r"has these columns twice: ID"),
        (b"ID,Label\na,1\nb\n", r"line 3 does not fit the header; found 1 cells; expected 2"),
        (b"ID,Label\na,1,0\n", r"line 2 does not fit the header; found 3"),
        (b'ID,Label\n"a,1\nb,0\n', r"cannot be read"),
        (b"ID,Label\n\xff,1\n", r"cannot be read"),
    ],
)
def test_other_files_are_refused(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as refused:
        list(read_rows(path, ["ID", "Label"]))
    assert str(refused.value).startswith("labels.csv")


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"ID,Label\n" + b"".join(b"%d,1\n" % n for n in range(9999)))
    damaged = whole[:2000] + bytes(byte ^ 0xFF for byte in whole[2000:2100]) + whole[2100:]
    for data in (b"ID,Label\n", whole[:-2000], damaged):
        (tmp_path / "labels.csv.gz").write_bytes(data)
        with pytest.raises(InputError, match=r"labels\.csv\.gz cannot be read"):
            list(read_rows(tmp_path / "labels.csv.gz", ["ID"]))
    with pytest.raises(InputError, match=r"none\.csv cannot be read"):
        list(read_rows(tmp_path / "none.csv", ["ID"]))


@given(st.text(max_size=6))
def test_a_cell_is_a_label_only_when_it_says_0_or_1(cell: str) -> None:
    assert binary(cell) == {"0": 0, "0.0": 0, "1": 1, "1.0": 1}.get(cell)


def test_blanks() -> None:
    assert all(is_blank(cell) for cell in ("", "NaN", "nan", "NA", "N/A", "None", "NULL"))
    assert not any(is_blank(cell) for cell in ("0", "no", "nano", "-"))


def test_labels_come_in_the_order_asked_for() -> None:
    row = {"a": "1", "b": "0", "c": "NaN"}
    assert labels_of(row, ["b", "a"]) == (0, 1)
    assert labels_of(row, ["a", "c"]) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1)), max_size=12))
def test_keys_that_agree_are_kept_and_others_dropped(rows: list[tuple[str, int]]) -> None:
    merged, findings = merge_rows((n, *row) for n, row in enumerate(rows))
    said = {key: {value for k, value in rows if k == key} for key, _ in rows}
    assert merged == {key: min(values) for key, values in said.items() if len(values) == 1}
    conflicts = {one.item for one in findings if one.kind == "conflicting_labels"}
    assert conflicts == {key for key, values in said.items() if len(values) > 1}
    repeats = [one.item for one in findings if one.kind == "duplicate_label_rows"]
    assert len(repeats) == sum(max(0, [k for k, _ in rows].count(key) - 1) for key in merged)
    assert len(findings) == len(conflicts) + len(repeats)


def test_findings_name_their_lines() -> None:
    rows = [(2, 1, "x"), (3, 1, "x"), (4, 2, "x"), (5, 2, "y"), (6, 2, "x")]
    _, findings = merge_rows(rows, "image {}".format)
    assert [(one.item, one.detail) for one in findings] == [
        ("image 1", "line 3 repeats an earlier one"),
        ("image 2", "line 5, 6 against an earlier one"),
    ]


@pytest.mark.parametrize(("any_bleed", "labels", "odd"), [(0, (0, 0), 0), (1, (0, 0), 1)])
def test_any_against_the_subtypes(any_bleed: int, labels: tuple[int, ...], odd: int) -> None:
    assert len(check_any("a", labels, any_bleed)) == odd
    assert len(check_any("a", (0, 1), any_bleed)) == 1 - odd


def test_the_table_is_found_at_the_top_or_one_folder_below(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no label table; expected t\.csv"):
        find_table(tmp_path, "t.csv")
    below = tmp_path / "unzipped" / "t.csv"
    below.parent.mkdir()
    below.touch()
    assert find_table(tmp_path, "t.csv") == below
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "t.csv").touch()
    with pytest.raises(InputError, match=r"several label tables; .*again/t\.csv, unzipped/t\.cs"):
        find_table(tmp_path, "t.csv")
    (tmp_path / "t.csv.gz").touch()
    assert find_table(tmp_path, "t.csv") == tmp_path / "t.csv.gz"
