"""A full disk refuses with the right status, takes nobody down, and is over when it is over."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dsutils import split_dataset
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]
from tests.dicom_files import write_head_series
from tests.node.running_node import SETTINGS, RunningNode, running_node

from ichlite.node import worker as workers
from ichlite.node.database import Database
from ichlite.node.intake import Intake
from ichlite.node.peers import associate
from ichlite.node.settings import Settings, StudySettings
from ichlite.node.store import FileStore, NoSpace
from ichlite.node.worker import Worker

MB = 1 << 20
RESERVE = 8 * MB


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here: full disks are not tested")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _free(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def _fill(place: Path, left: int) -> Path:
    """Fill a disk but for so many bytes."""
    filler = place / "filler"
    with filler.open("wb") as file:
        file.write(bytes(max(0, _free(place) - left)))
    return filler


def _send(node: RunningNode, files: list[Path]) -> dict[Path, int]:
    """Send files, each until it gets a status, and return those."""
    entity = AE("CT1")
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    entity.add_requested_context(Verification)
    opened = associate(entity, "127.0.0.1", node.dicom_port, "ICHLITE")
    assert opened.is_established
    statuses = {path: opened.send_c_store(dcmread(path)).Status for path in files}
    assert getattr(opened.send_c_echo(), "Status", None) == 0, (
        f"the association: established {opened.is_established}, aborted {opened.is_aborted}; "
        f"the node: {node.process.poll()}, {node.log.read_text()[-2000:]}"
    )
    opened.release()
    return statuses


def _data_set(path: Path) -> bytes:
    return path.read_bytes()[split_dataset(path)[1] :]


def _kept(node: RunningNode) -> set[bytes]:
    return {_data_set(path) for path in (node.folder / "store" / "instances").rglob("*.dcm")}


@pytest.mark.long
@pytest.mark.parametrize("reserve", [RESERVE, 0])
def test_a_full_disk_refuses_and_goes_on_by_itself(small_disk, tmp_path, reserve):
    files = write_head_series(tmp_path / "head", 28, side=512)
    settings = SETTINGS.replace("1_000_000", str(reserve)).replace("0.5", "1")
    with running_node(small_disk / "node") as node:
        node.stop()
        (node.folder / "node.toml").write_text(settings)
        node.start()
        filler = _fill(small_disk, reserve + 6 * MB)
        statuses = _send(node, files)
        assert set(statuses.values()) == {0, 0xA700}
        assert list(statuses.values())[-1] == 0xA700
        assert _free(small_disk) >= reserve - MB / 2  # what the tables and the log took
        taken = {_data_set(path) for path, status in statuses.items() if status == 0}
        assert taken <= _kept(node)
        assert set(_send(node, files[-3:]).values()) == {0xA700}
        time.sleep(2)
        filler.unlink()
        rest = [path for path, status in statuses.items() if status]
        assert set(_send(node, rest).values()) == {0}
        (study,) = node.wait_for(lambda s: s["done"] == 1 and s["studies"][0]["instances"] == 28)[
            "studies"
        ]
        assert study["status"] == "analysed"
        assert node.stop() == 0
    assert _kept(node) == {_data_set(path) for path in files}


@pytest.fixture
def parts(small_disk) -> Iterator[tuple[FileStore, Database]]:
    store, database = FileStore(small_disk / "store", 0), Database(small_disk / "store")
    yield store, database
    database.close()


def test_tables_without_space_refuse_and_go_on(parts, tmp_path):
    """There is space for files, and none for rows."""
    store, database = parts
    intake = Intake(database, store, Settings())
    files = write_head_series(tmp_path / "head", 100, side=16)
    limit = "PRAGMA max_page_count = {}"
    database.write(lambda tables: tables.execute(limit.format(1)).fetchone())
    refused = []
    for path in files:
        try:
            intake.take([path.read_bytes()], "CT1")
        except NoSpace:
            refused.append(path)
    assert refused
    database.write(lambda tables: tables.execute(limit.format(100_000)).fetchone())
    for path in refused:
        intake.take([path.read_bytes()], "CT1")
    with database.read() as tables:
        assert tables.execute("SELECT count(*) FROM instance").fetchone()[0] == 100


def test_a_disk_without_a_byte_refuses_and_goes_on(parts, tmp_path, small_disk):
    store, database = parts
    intake = Intake(database, store, Settings())
    files = write_head_series(tmp_path / "head", 20, side=16)
    filler = _fill(small_disk, 0)
    for path in files:
        with pytest.raises(NoSpace):
            intake.take([path.read_bytes()], "CT1")
    filler.unlink()
    for path in files:
        intake.take([path.read_bytes()], "CT1")


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def _readings(database: Database) -> list[tuple[str, int, int]]:
    with database.read() as tables:
        rows = tables.execute("SELECT state, deaths, claims FROM reading").fetchall()
    return [tuple(row) for row in rows]


@pytest.mark.long
@pytest.mark.parametrize("room", [0, workers.ROOM_BYTES])
def test_a_reading_without_space_is_put_back_and_done_later(
    small_disk, parts, tmp_path, monkeypatch, room
):
    """With room asked for it is not begun; without, it is broken off, and no death is counted."""
    monkeypatch.setattr(workers, "ROOM_BYTES", room)
    store, database = parts
    store.reserve_bytes = MB
    settings = Settings(study=StudySettings(quiet_s=0.1))
    intake = Intake(database, store, settings)
    for path in write_head_series(tmp_path / "head", 28, side=128):
        intake.take([path.read_bytes()], "CT1")
    begun: list[int] = []
    keep = Worker._keep

    def full(self: Worker, *words: object) -> object:
        begun.append(1)
        if len(begun) <= 2:
            raise OSError(28, "No space left on device")
        return keep(self, *words)

    if room == 0:
        monkeypatch.setattr(Worker, "_keep", full)
    filler = _fill(small_disk, MB + 64 * 1024) if room else None
    worker = Worker(database, store, settings)
    if filler is not None:
        time.sleep(2)
        assert _readings(database) == []
        filler.unlink()
    _until(lambda: [row[0] for row in _readings(database)] == ["done"])
    worker.close()
    assert _readings(database) == [("done", 0, 1)]
    assert len(begun) == (3 if room == 0 else 0)


def test_a_child_that_dies_on_a_full_disk_is_not_blamed(parts, tmp_path, monkeypatch):
    """The disk fills while it reads; it has space again when the study is read once more."""
    store, database = parts
    settings = Settings(study=StudySettings(quiet_s=0.1))
    intake = Intake(database, store, settings)
    for path in write_head_series(tmp_path / "head", 28, side=128):
        intake.take([path.read_bytes()], "CT1")
    child = Worker._run_child
    begun: list[int] = []

    def fill_and_die(self: Worker, claim: object, scratch: Path) -> object:
        begun.append(1)
        if len(begun) > 1:
            return child(self, claim, scratch)
        store.reserve_bytes = 1 << 60
        return None, "its reading failed: OSError"

    monkeypatch.setattr(Worker, "_run_child", fill_and_die)
    worker = Worker(database, store, settings)
    _until(lambda: bool(begun) and _readings(database)[0][0] != "running")
    assert _readings(database) == [("queued", 0, 0)]
    store.reserve_bytes = 0
    _until(lambda: _readings(database)[0][0] == "done")
    worker.close()
    assert _readings(database) == [("done", 0, 1)]
