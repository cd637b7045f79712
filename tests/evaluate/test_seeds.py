"""Scores of a cross-validation: files that belong together are read, others are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluate.made_scores import made_scores

from ichlite.errors import InputError
from ichlite.evaluate.scores import ScoreTable, write_scores
from ichlite.evaluate.seeds import read_seed, read_seeds


def test_a_folder_of_folds_is_one_seed(tmp_path: Path) -> None:
    table = made_scores(folds=3)
    for fold in table.fold_numbers:
        write_scores(tmp_path / f"fold-{fold}.csv", table.take(table.fold == fold))
    whole = read_seed(tmp_path)
    assert sorted(whole.table.image) == whole.table.image.tolist() == sorted(table.image)
    with pytest.raises(InputError, match="holds the scores of one fold alone"):
        read_seed(tmp_path / "fold-1.csv")
    write_scores(tmp_path / "again.csv", table)
    with pytest.raises(InputError, match="holds a slice more than once"):
        read_seed(tmp_path)


def _written(path: Path, table: ScoreTable) -> Path:
    write_scores(path, table)
    return path


def test_files_that_disagree_are_refused(tmp_path: Path) -> None:
    table = made_scores(folds=2)
    first = _written(tmp_path / "a.csv", table)
    shuffled = np.random.default_rng(0).permutation(len(table))
    other = replace(table, logits=table.logits + 1).take(shuffled)
    assert len(read_seeds([first, _written(tmp_path / "b.csv", other)])) == 2

    labels = table.labels.copy()
    labels[7, 3] ^= 1
    other_folds = np.where(table.patient == "P01", "2", table.fold)
    split = np.where(table.image == "P01-0", "2", table.fold)
    for name, changed, line in (
        ("labels", replace(table, labels=labels), "disagree on labels; found image P01-1"),
        ("patient", replace(table, patient=table.patient, series=np.char.add(table.series, "x")),
         "disagree on series"),
        ("fewer", table.take(table.patient != "P02"), "in one of them alone (6 such)"),
        ("folds", replace(table, fold=other_folds), "has other folds than a.csv"),
        ("two", replace(table, fold=split), "patient P01 in 2 and 1"),
        ("none", replace(table, fold=np.full(len(table), "")), "does not say which fold"),
        ("lacking", replace(table, fold=np.where(table.fold == "2", "3", "1")), "lacks a fold"),
        ("last", replace(table, folds=np.full(len(table), "3")), "expected fold 3, too"),
        ("recipe", replace(other, recipe=np.full(len(table), "0" * 16)), "of another recipe"),
        ("again", table.take(shuffled), "are one seed, given twice"),
    ):  # fmt: skip
        with pytest.raises(InputError) as fault:
            read_seeds([first, _written(tmp_path / f"{name}.csv", changed)])
        assert line in str(fault.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no file of scores"):
        read_seed(tmp_path / "empty")
