"""`ichlite prepare` as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Outcome
from tests.toy import make_store

from ichlite.data.store import Store

Ichlite = Callable[..., Outcome]
KEYS = {
    "images", "slices", "patients", "studies", "slices_per_s", "repaired", "quarantined",
    "store_hash",
}  # fmt: skip


@pytest.fixture(scope="module")
def phantom_studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ichlite.phantom.generate import Order
    from ichlite.phantom.studies import write_studies

    out = tmp_path_factory.mktemp("studies") / "dicom"
    write_studies(out, Order(subjects=3, seed=11, balance="training", grid=64))
    return out


@pytest.mark.long
def test_phantom_studies_become_a_store(
    ichlite: Ichlite, phantom_studies: Path, tmp_path: Path
) -> None:
    out = tmp_path / "store"
    done = ichlite("prepare", "phantom", phantom_studies, out, "--json")
    assert done.exit_code == 0, done.err
    made = json.loads(done.out)
    assert set(made) >= KEYS
    store = Store.open(out)
    store.verify()
    assert made["images"] == made["slices"] == len(store)
    assert made["store_hash"] == store.hash
    assert made["patients"] == made["studies"] == 3
    assert made["slices_per_s"] > 0
    again = ichlite("prepare", "phantom", phantom_studies, out, "--json")
    assert again.exit_code == 0
    assert "nothing to do" in again.err
    said = json.loads(again.out)
    assert (said["store_hash"], said["slices_prepared_now"]) == (store.hash, 0)


def test_table_1_is_printed(ichlite: Ichlite, phantom_studies: Path, tmp_path: Path) -> None:
    words = ("--split", "all", "--table1")
    done = ichlite("prepare", "phantom", phantom_studies, tmp_path / "store", *words)
    assert done.exit_code == 0, done.err
    assert "| Patients | 1 | 1 | 1 |" in done.out
    assert "audit.md" in done.out
    again = ichlite("prepare", "phantom", phantom_studies, tmp_path / "store", "--table1")
    assert "nothing to do" not in again.err, "another split is another store"
    assert "audit.md" in again.out


def test_what_is_left_out_is_said_and_exits_1(
    ichlite: Ichlite, phantom_studies: Path, tmp_path: Path
) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(phantom_studies, copy)
    victim = sorted(copy.rglob("*.dcm"))[3]
    victim.write_bytes(victim.read_bytes()[:-50])
    done = ichlite("prepare", "phantom", copy, tmp_path / "store", "--json")
    assert done.exit_code == 1
    made = json.loads(done.out)
    assert made["quarantined"] == {"short_pixel_data": 1}
    assert made["slices"] == len(Store.open(tmp_path / "store"))
    assert "left out: short_pixel_data 1" in done.err
    assert "Traceback" not in done.err


def test_tables_alone_give_a_split(ichlite: Ichlite, tmp_path: Path) -> None:
    lines = ["PatientID,StudyInstanceUID", *(f"p{k // 2},s{k}" for k in range(20))]
    (tmp_path / "studies.csv").write_text("\n".join(lines) + "\n")
    done = ichlite("prepare", "tables", tmp_path, tmp_path / "split.csv", "--json")
    assert done.exit_code == 0, done.err
    assert json.loads(done.out)["studies"] == 20
    assert len((tmp_path / "split.csv").read_text().splitlines()) == 21
    over = ichlite("prepare", "tables", tmp_path, tmp_path / "studies.csv")
    assert (over.exit_code, "is one of the tables that are read" in over.err) == (2, True)
    (tmp_path / "studies.csv").write_text("\n".join([*lines, ",s99"]) + "\n")
    faulty = ichlite("prepare", "tables", tmp_path)
    assert faulty.exit_code == 1
    assert "left out: missing_patient studies.csv line 22" in faulty.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mnist", "SRC", "OUT"), "expected one of rsna, cq500, ct-ich, csv, phantom, tables"),
        (("rsna", "SRC"), "OUT is missing"),
        (("rsna", "SRC", "OUT", "--processes", "0"), "processes"),
        (("rsna", "SRC", "OUT", "--seed", "-1"), "--seed"),
        (("tables", "SRC", "--ray", "auto"), "--ray and --processes do not apply"),
        (
            ("rsna", "SRC", "OUT", "--ray", "auto", "--processes", "2"),
            "combined with --ray",
        ),
        (("tables", "SRC", "--split", "given"), "unknown split"),
    ],
)
def test_wrong_usage_exits_2(
    words: tuple[str, ...], message: str, ichlite: Ichlite, tmp_path: Path
) -> None:
    (tmp_path / "studies.csv").write_text("PatientID,StudyInstanceUID\np,s\n")
    paths = {"SRC": tmp_path, "OUT": tmp_path / "out"}
    done = ichlite("prepare", *(paths.get(word, word) for word in words))
    assert done.exit_code == 2
    assert message in done.err


def test_another_folder_is_no_data_set(ichlite: Ichlite, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    done = ichlite("prepare", "rsna", tmp_path / "src", tmp_path / "out")
    assert done.exit_code == 1
    assert done.err.startswith(f"ichlite: error: {tmp_path / 'src'} has no label table")
    assert "; expected stage_2_train.csv; give" in done.err


def test_a_store_is_no_data_set(ichlite: Ichlite, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", patients=2).path
    done = ichlite("prepare", "csv", store, tmp_path / "out")
    assert (done.exit_code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith(f"ichlite: error: {store} is a prepared store already; expected")
    assert not (tmp_path / "out").exists()
