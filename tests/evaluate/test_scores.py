"""Files of scores: what is written reads back exactly; what is damaged is one clear line."""

from __future__ import annotations

import csv
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluate.made_scores import made_scores
from tests.toy import make_store

from ichlite.errors import InputError
from ichlite.evaluate.predictions import BARE, judge_logits
from ichlite.evaluate.scores import (
    COLUMNS,
    ScoreTable,
    join_scores,
    read_scores,
    table_of_store,
    write_scores,
)
from ichlite.infer.decision import Calibration, Rule
from ichlite.labels import NAMES


def same(one: ScoreTable, other: ScoreTable) -> bool:
    return all(
        np.array_equal(getattr(one, f.name), getattr(other, f.name), f.name == "position_mm")
        for f in fields(ScoreTable)
    )


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
logit = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(names, min_size=1, max_size=5, unique=True), st.data())
def test_a_table_reads_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, images: list[str], draw: st.DataObject
) -> None:
    count = len(images)

    def numbers(strategy: st.SearchStrategy[float], columns: int) -> np.ndarray:
        cells = st.lists(strategy, min_size=count * columns, max_size=count * columns)
        return np.array(draw.draw(cells)).reshape(count, columns)

    patient = np.array(draw.draw(st.lists(names, min_size=count, max_size=count)))
    table = ScoreTable(
        image=np.array(images),
        patient=patient,
        study=np.array(draw.draw(st.lists(names | st.just(""), min_size=count, max_size=count))),
        series=patient,
        position_mm=numbers(logit | st.just(np.nan), 1).ravel().astype(np.float32),
        fold=np.full(count, draw.draw(st.sampled_from(["", "0", "12"]))),
        labels=numbers(st.integers(0, 1), 6).astype(np.uint8),
        logits=numbers(logit, 5).astype(np.float32),
        probabilities=numbers(st.floats(0, 1), 6).astype(np.float64),
        by_slice=numbers(st.booleans(), 1).ravel().astype(bool),
        folds=np.full(count, draw.draw(st.sampled_from(["", "5"]))),
        recipe=np.full(count, draw.draw(st.sampled_from(["", "0123456789abcdef"]))),
    )
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    write_scores(path, table)
    assert same(read_scores(path), table)


@given(st.data())
def test_any_other_cell_is_a_line_or_a_number(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject
) -> None:
    """Whatever stands in a cell: the file is read as written, or refused in one line."""
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    write_scores(path, made_scores(patients=4))
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    row = draw.draw(st.integers(0, len(rows) - 1))
    column = draw.draw(st.integers(0, len(COLUMNS) - 1))
    odd = st.sampled_from(["", "nan", "inf", "-1", "2", "1e999", "0x1", "1_0", " 1", "\u0661"])
    rows[row][column] = draw.draw(odd | st.text(max_size=5))
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    try:
        table = read_scores(path)
    except InputError as fault:
        line = str(fault)
    else:
        line = path.name
        assert np.isfinite(table.logits).all()
        assert ((table.probabilities >= 0) & (table.probabilities <= 1)).all()
        assert set(np.unique(table.labels)) <= {0, 1}
    assert line.isprintable()
    assert path.name in line


@pytest.mark.parametrize(
    ("column", "cell", "line"),
    [
        ("any", "2", "line 3 is no row of scores; found any 2; expected 0 or 1"),
        ("logit_epidural", "nan", "found logit_epidural nan; expected a finite number"),
        ("logit_epidural", "1e39", "found logit_epidural 1e39"),
        ("probability_any", "1.01", "expected a number from 0 to 1"),
        ("patient", "", "found no patient"),
        ("fold", "one", "found fold one"),
        ("fold", "", "slices with a fold and slices without"),
        ("label_level", "image", "expected scan or slice"),
        ("folds", "3", "scores of several numbers of folds; found 2, 3"),
        ("recipe", "0123456789abcdef", "scores of several recipes; found none, 0123456789abcdef"),
        ("recipe", "mine", "found recipe mine; expected a hash, or nothing"),
        ("series", "P01", "a series of two patients"),
        ("image", "P00-0", "image P00-0 2 times"),
    ],
)
def test_damage_is_named(tmp_path: Path, column: str, cell: str, line: str) -> None:
    path = tmp_path / "scores.csv"
    write_scores(path, made_scores(patients=4))
    rows = [text.split(",") for text in path.read_text().splitlines()]
    rows[2][COLUMNS.index(column)] = cell
    path.write_text("\n".join(",".join(row) for row in rows))
    with pytest.raises(InputError, match="scores") as fault:
        read_scores(path)
    assert line in str(fault.value)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", r"is not a file of scores; it lacks 26 of the 26 columns: image, patient, …; write"),
        (",".join(COLUMNS[:-1]).encode(), r"it lacks 1 of the 26 columns: recipe; write it with"),
        (",".join(COLUMNS[::-1]).encode(), "the 26 columns are in another order"),
        (",".join(COLUMNS).encode(), "holds no slice"),
        (b"\xff\xfe", "cannot be read"),
        ((",".join(COLUMNS) + "\na,b\n").encode(), "found 2 cells; expected 26"),
        ((",".join(COLUMNS) + '\n"a').encode(), "cannot be read"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, line: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=line):
        read_scores(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_scores(tmp_path / "none.csv")


def test_scores_of_a_store_judge_as_the_store_does(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", patients=6)
    rows = np.random.default_rng(0).permutation(len(store))
    logits = np.random.default_rng(1).normal(size=(len(rows), 5)).astype(np.float32)
    calibration = Calibration(temperature=(2.0,) * len(NAMES))
    table = table_of_store(store, rows, logits, calibration, Rule(), fold="3", folds="4")
    expected = judge_logits(logits, store, rows, calibration, Rule())
    np.testing.assert_array_equal(table.probabilities, expected.slices.probabilities)
    path = tmp_path / "scores.csv"
    write_scores(path, table)
    again = read_scores(path)
    assert same(again, table)
    assert again.fold_numbers == ["3"]
    for rule in (Rule(), BARE):
        found, expected = (
            again.judged(calibration, rule),
            judge_logits(logits, store, rows, calibration, rule),
        )
        for part in ("slices", "scans"):
            one, other = getattr(found, part), getattr(expected, part)
            np.testing.assert_array_equal(one.probabilities, other.probabilities)
            np.testing.assert_array_equal(one.labels, other.labels)
            assert one.patients.tolist() == other.patients.tolist()


def test_labels_of_scans_give_scans_alone() -> None:
    table = made_scores(patients=4)
    some = replace(table, by_slice=table.patient != "P01")
    judged = some.judged(Calibration(), Rule())
    assert len(judged.scans.labels) == 4
    assert "P01" not in judged.slices.patients
    assert len(judged.slices.labels) == (table.patient != "P01").sum()


def test_folds_are_joined() -> None:
    table = made_scores(patients=4)
    parts = [table.take(table.fold == fold) for fold in table.fold_numbers]
    joined = join_scores(parts, "folds")
    assert sorted(joined.image) == sorted(table.image)
    with pytest.raises(InputError, match="folds holds a slice more than once"):
        join_scores([*parts, parts[0]], "folds")
