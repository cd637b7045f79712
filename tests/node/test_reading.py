"""From a sender to a result, with a node in a process of its own."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage
from tests.dicom_files import write_ct_slice, write_head_series
from tests.node.running_node import SETTINGS, RunningNode, running_node

from ichlite.errors import StoreError
from ichlite.infer.pipeline import read_scan
from ichlite.node.database import FILE as TABLES
from ichlite.node.peers import associate
from ichlite.node.run import open_database
from ichlite.node.settings import read_settings
from ichlite.node.study_child import NICENESS
from ichlite.samples import SAMPLES

_NUMBERS = itertools.count(100)


def send(node: RunningNode, files: list[Path], calling: str = "CT1") -> None:
    """Send files over one association; each must be acknowledged."""
    entity = AE(calling)
    for syntax in {dcmread(file).file_meta.TransferSyntaxUID for file in files}:
        entity.add_requested_context(CTImageStorage, syntax)
    opened = associate(entity, "127.0.0.1", node.dicom_port, "ICHLITE")
    assert opened.is_established
    for file in files:
        data = dcmread(file)
        assert opened.send_c_store(data).Status == 0
    opened.release()


def _head(folder: Path, **elements: object) -> list[Path]:
    write_head_series(folder, 28, study=str(next(_NUMBERS)), side=128, **elements)
    return sorted(folder.iterdir())


def test_a_study_is_read_as_read_reads_it(tmp_path, monkeypatch):
    files = sorted(path for path in Path(SAMPLES[0].folder).iterdir() if path.is_file())
    monkeypatch.chdir(tmp_path)
    with running_node(Path("node")) as node:  # as a person names it, from the folder above
        send(node, files)
        status = node.wait_for(lambda s: s["done"] == 1)
        assert node.stop() == 0
    (study,) = status["studies"]
    alone = read_scan(SAMPLES[0].folder)
    assert study["any"] == pytest.approx(alone.scan["any"], abs=1e-6)
    assert study["urgent"] == alone.urgent
    assert (study["status"], study["instances"], study["version"]) == ("analysed", len(files), 1)


@pytest.mark.long
def test_slices_that_come_late_make_a_new_version(tmp_path):
    files = _head(tmp_path / "head")
    with running_node(tmp_path / "node") as node:
        send(node, files[:20])
        early = node.wait_for(lambda s: s["done"] == 1)["studies"][0]
        send(node, files[20:])
        late = node.wait_for(lambda s: s["done"] == 1 and s["studies"][0]["version"] == 2)
        folders = list((tmp_path / "node" / "store" / "results").glob("*/*/*"))
    assert (early["instances"], late["studies"][0]["instances"]) == (20, 28)
    assert sorted(folder.name for folder in folders) == ["1", "2"]


@pytest.mark.long
def test_the_order_of_slices_changes_nothing(tmp_path):
    files = _head(tmp_path / "head")
    found = []
    for order in (files, files[::-1], files[::2] + files[1::2]):
        with running_node(tmp_path / "node") as node:
            send(node, order)
            found.append(node.wait_for(lambda s: s["done"] == 1)["studies"])
        shutil.rmtree(tmp_path / "node")
    assert found[0] == found[1] == found[2]


def test_what_is_no_head_ct_is_not_analysed_and_says_why(tmp_path):
    path = tmp_path / "one.dcm"
    write_ct_slice(path, np.zeros((64, 64), np.int16), BodyPartExamined="CHEST")
    with running_node(tmp_path / "node") as node:
        send(node, [path])
        (study,) = node.wait_for(lambda s: s["done"] == 1)["studies"]
    assert (study["status"], study["urgent"], study["any"]) == ("not_analysed", None, None)
    assert study["reasons"]


@pytest.mark.long
def test_a_study_that_kills_its_reader_twice_is_parked_and_the_queue_goes_on(tmp_path):
    good, bad = _head(tmp_path / "good"), _head(tmp_path / "bad")
    with running_node(tmp_path / "node", "[read]\nchild_seconds = 0.05\n") as node:
        send(node, bad)
        parked = node.wait_for(lambda s: s["parked"] == 1)
        node.stop()
    (study,) = parked["studies"]
    assert study["state"] == "parked"
    assert "longer than" in study["reasons"][0]
    with running_node(tmp_path / "node") as node:
        send(node, good)
        node.wait_for(lambda s: s["done"] == 1 and s["parked"] == 1)


def test_what_was_acknowledged_survives_a_kill_and_is_read(tmp_path):
    files = _head(tmp_path / "head")
    with running_node(tmp_path / "node", "") as node:
        send(node, files)
        node.kill()
        (store := tmp_path / "node" / "store" / "incoming" / "left.part").write_bytes(b"half")
        node.start()
        (study,) = node.wait_for(lambda s: s["done"] == 1)["studies"]
        assert study["instances"] == len(files)
        assert not store.exists()


@pytest.mark.long
def test_a_reading_yields_to_what_a_scanner_sends(tmp_path):
    files = _head(tmp_path / "head")
    with running_node(tmp_path / "node") as node:
        send(node, files)
        until = time.monotonic() + 60
        while _niceness_of_a_reader(node) != NICENESS:
            assert time.monotonic() < until
        assert os.getpriority(os.PRIO_PROCESS, node.process.pid) < NICENESS
        node.wait_for(lambda s: s["done"] == 1)


def _niceness_of_a_reader(node):
    """The niceness of the process that reads a study; None while there is none."""
    for listed in Path(f"/proc/{node.process.pid}/task").glob("*/children"):
        with suppress(OSError):  # it may end meanwhile
            for child in map(int, listed.read_text().split()):
                if b"study_child" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return os.getpriority(os.PRIO_PROCESS, child)
    return None


def test_one_folder_has_one_node(tmp_path):
    another = pytest.raises(AssertionError, match="a node already runs in")
    with running_node(tmp_path / "node"), another:
        RunningNode(tmp_path / "node")


def test_one_store_has_one_node(tmp_path):
    settings = SETTINGS.replace("[store]", '[store]\npath = "../node/store"')
    other = tmp_path / "other"
    other.mkdir()
    (other / "node.toml").write_text(settings)
    another = pytest.raises(AssertionError, match="a node already runs with the store")
    with running_node(tmp_path / "node"), another:
        RunningNode(other)


def test_a_node_whose_database_is_gone_does_not_start_and_keeps_its_images(tmp_path):
    folder = tmp_path / "node"
    with running_node(folder) as node:
        send(node, _head(tmp_path / "head"))
        node.stop()
        tables = folder / "store" / TABLES
        tables.rename(tmp_path / "aside")
        for left in ("", "empty"):
            if left:
                tables.touch()
            with pytest.raises(AssertionError, match="holds images but no database"):
                node.start()
        assert _images(folder) == 28


def test_a_folder_of_something_else_becomes_no_store(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").touch()
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "node.toml").write_text('[store]\npath = "../home"\n')
    with pytest.raises(StoreError, match=r"is no store of a node; found letter\.txt"):
        open_database(tmp_path / "node", read_settings(tmp_path / "node"))
    assert [one.name for one in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_images_that_an_older_database_does_not_know_are_taken_in_again(tmp_path):
    folder = tmp_path / "node"
    with running_node(folder) as node:
        tables = folder / "store" / TABLES
        node.stop()
        shutil.copyfile(tables, tmp_path / "older")
        node.start()
        send(node, _head(tmp_path / "head"))
        node.stop()
        for path in tables.parent.glob(f"{TABLES}*"):
            path.unlink()
        shutil.copyfile(tmp_path / "older", tables)
        node.start()
        found = node.wait_for(lambda s: s["done"] == 1)
        assert found["up"]
        assert [one["instances"] for one in found["studies"]] == [28]
        assert _images(folder) == 28
        assert '"files_taken_in_again": 28' in node.log.read_text()


def test_a_node_does_not_start_with_an_operating_point_that_the_model_lacks(tmp_path):
    with (
        pytest.raises(AssertionError, match="unknown operating point"),
        running_node(tmp_path / "node", '[read]\noperating_point = "brave"\n'),
    ):
        pass


def test_others_cannot_read_what_a_node_writes(tmp_path):
    folder = tmp_path / "node"
    with running_node(folder) as node:
        send(node, _head(tmp_path / "head"))
        node.stop()
        written = [folder / "store", *(folder / "store").rglob("*")]
        assert len(written) > 28
        assert [path for path in written if path.stat().st_mode & 0o077] == []


def _images(node: Path) -> int:
    return sum(1 for _ in (node / "store" / "instances").glob("*/*.dcm"))


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # in the sender
def test_no_line_of_the_log_names_a_patient(tmp_path):
    marks = {"PatientName": "CANARY^NAME", "PatientID": "CANARY-ID"}
    files = _head(tmp_path / "head", **marks, SpecificCharacterSet="ISO_IR 100")
    for path in files[:2]:  # a fault that pydicom warns of, in words of the file
        path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b"CANARY 100"))
        assert b"CANARY 100" in path.read_bytes()
    with running_node(tmp_path / "node") as node:
        send(node, files)
        node.wait_for(lambda s: s["done"] == 1)
        node.stop()
        assert "CANARY" not in node.log.read_text()
        assert "study read" in node.log.read_text()
