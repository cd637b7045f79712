"""Synthetic results → the five tables, each number in its place beside the published one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from tests.reproduce.synthetic import costs, grid, result, summary
from tests.toy import make_store

from ichlite.data.store import Store
from ichlite.reproduce.campaign_facts import patients_caution
from ichlite.reproduce.campaign_report import difference_rows
from ichlite.reproduce.campaign_summary import differences, summarise_runs
from ichlite.reproduce.cells import Cell, Table, csv_rows
from ichlite.reproduce.kept_runs import Training, training_facts
from ichlite.reproduce.noise import told
from ichlite.reproduce.paper_tables import all_tables, table_1, table_5
from ichlite.reproduce.published import TABLES
from ichlite.train.recipe import Recipe


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "toys", patients=10)


def cell(table: Table, row: tuple[str, ...], column: str) -> Cell:
    at = next(i for i, title in enumerate(table.columns) if title.startswith(column))
    return next(cells for words, cells in table.rows if words == row)[at]


def texts(table: Table) -> set[str]:
    return {cell.value_text for _, cells in table.rows for cell in cells}


def test_table_1_counts_the_store(store: Store) -> None:
    table = table_1(store)
    train = store.rows("train")
    assert cell(table, ("Patients",), "Train").value == len(set(store.patient[train]))
    assert cell(table, ("Slices",), "Train").value == len(train)
    bleeding = int(store.labels[train].any(axis=1).sum())
    shown = cell(table, ("With haemorrhage",), "Train")
    assert shown.value == bleeding
    assert shown.published == 89227
    assert shown.note == f"{bleeding / len(train) * 100:.1f} %, paper 33.4 %"
    assert cell(table, ("Subdural",), "Test").value == store.labels[store.rows("test"), 4].sum()


def test_every_published_cell_has_its_place(store: Store) -> None:
    tables = all_tables(summary(), costs(), store)
    for table in tables:
        shown = sorted(
            c.published for _, cells in table.rows for c in cells if c.published is not None
        )
        printed = TABLES[table.number].rows.values()
        assert shown == sorted(number for row in printed for number in row), table.number


def test_missing_runs_say_so(store: Store) -> None:
    for table in all_tables(summary(), costs(), store)[1:]:
        assert ("not run" in texts(table)) == (table.number != 4)
    models = {name: one for name, one in costs().models.items() if name != "sfcn"}
    only = structs.replace(costs(), models=models)
    assert "not measured" in texts(all_tables(summary(), only, store)[3])


def test_means_over_seeds_intervals_and_differences(store: Store) -> None:
    found = summary(
        losses={"bce": {"roc_auc": 0.9}, "ldam": {"roc_auc": 0.95}}, noise=0.01, draws=200
    )
    shown = cell(table_5(found), ("LDAM",), "ROC AUC")
    assert shown.value == pytest.approx(95.0)
    assert shown.seeds == 3
    assert shown.published == 91.22
    assert shown.difference_text == "+3.78"
    assert shown.interval is not None
    # The noise of the draws is 1 point, alike in all seeds, so it does not average out.
    assert shown.interval == pytest.approx((93.0, 97.0), abs=0.6)
    assert found.losses["bce"].seeds == (1, 2, 3)


def test_balanced_accuracy_stands_under_the_papers_auc(store: Store) -> None:
    found = summary(models={"sfcn": {"balanced_accuracy": 0.7, "roc_auc": 0.9}})
    tables = all_tables(found, costs(), store)
    for table, row, published in (
        (tables[1], ("SFCN",), 74.72),
        (tables[2], ("SFCN", "subdural"), 70.10),
    ):
        named = cell(table, row, "Balanced accuracy % (the paper's AUC)")
        assert (named.value, named.published) == (pytest.approx(70.0), published)
        assert cell(table, row, "ROC AUC %").published is None
    assert any("accuracy of 90.00 %" in note for note in tables[1].notes)
    assert any("89.90 %" in note for note in tables[1].notes)


def test_undefined_is_said_and_kept_out_of_the_mean(store: Store) -> None:
    one = result(Recipe(seed=1, epochs=6), {"roc_auc": None})
    two = result(Recipe(seed=2, epochs=6), {"roc_auc": 0.9})
    mean = structs.replace(one.test.mean, undefined={"roc_auc": "undefined for epidural"})
    one = replace(one, test=structs.replace(one.test, mean=mean))
    found = summarise_runs([one, two], grid((1, 2)))
    table = table_5(found)
    assert cell(table, ("BCE",), "ROC AUC").value == pytest.approx(90.0)
    assert cell(table, ("BCE",), "ROC AUC").seeds == 1
    assert any("ROC AUC undefined for epidural" in note for note in table.notes)
    alone = table_5(summarise_runs([one], grid((1, 2))))
    assert cell(alone, ("BCE",), "ROC AUC").value_text == "undefined"


def test_csv_has_every_cell_in_full(store: Store) -> None:
    for table in all_tables(summary(models={"sfcn": {}}), costs(), store):
        header, *rows = csv_rows(table)
        assert len(rows) == len(table.rows) * len(table.columns)
        assert all(len(row) == len(header) for row in rows)
    rows = csv_rows(all_tables(summary(), costs(), store)[3])
    params = next(row for row in rows if row[1:3] == ["LightFCN", "Parameters"])
    assert params[4] == "86853"
    assert params[8:10] == ["86800", "53"]


def test_differences_of_pairs_over_seeds_and_patients() -> None:
    found = summary(losses={"bce": {}, "focal": {}, "ldam": {"sensitivity": 0.9}}, draws=50)
    pairs = {(d.first, d.second): d for d in differences(found.losses, ["sensitivity"])}
    assert set(pairs) == {("bce", "focal"), ("bce", "ldam"), ("focal", "ldam")}
    for pair, below in ((("bce", "ldam"), False), (("bce", "focal"), None)):
        assert told(pairs[pair].seeds.interval) is below
        assert told(pairs[pair].patients) is below
    assert differences(summary(losses={"bce": {}}).losses) == ()


def test_too_few_patients_tell_nothing() -> None:
    found = differences(summary(losses={"bce": {}, "ldam": {"sensitivity": 0.9}}, draws=20).losses)
    last = [row[-1] for row in difference_rows(found, few_patients=False)[1:]]
    assert set(last) == {"yes", "no"}
    few = [row[-1] for row in difference_rows(found, few_patients=True)[1:]]
    assert set(few) == {"too few patients"}


@pytest.mark.parametrize(("patients", "few"), [(5, True), (45, True), (50, False)])
def test_a_caution_on_few_test_patients(tmp_path: Path, patients: int, few: bool) -> None:
    caution = patients_caution(make_store(tmp_path / "toys", patients=patients))
    assert ("say little" in caution) is few
    assert ("only 1 patient." in caution) is (patients == 5)


def test_training_facts_with_and_without_waiting() -> None:
    row = {"seconds": "10", "images_per_s": "50", "wait_share": "0.25"}
    old = {"seconds": "30", "images_per_s": "70"}
    assert training_facts([row]).wait_share == 0.25
    both = training_facts([row, old])
    assert (both.seconds, both.images_per_s, both.wait_share) == (40.0, 60.0, 0.25)
    assert training_facts([old]).wait_share is None


def test_training_facts_say_which_epoch_is_judged() -> None:
    crops = {"seconds": "1", "images_per_s": "9", "phase": "crops", "epoch": "0", "step": "7"}
    rows = [crops, *({**crops, "phase": "frames", "epoch": n, "step": n * 2} for n in ("8", "9"))]
    assert training_facts(rows, 7).judged_epoch == "crops"
    assert training_facts(rows, 99).judged_epoch == "9"
    assert training_facts(rows).judged_epoch is None
    assert training_facts(rows).epochs == 2


def test_training_facts_of_no_history() -> None:
    assert training_facts([]) == Training(
        epochs=0, judged_epoch=None, seconds=0, hours=0.0, images_per_s=None, wait_share=None
    )
