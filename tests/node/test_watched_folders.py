"""Files that others put into a folder: taken once they stand still, refused with a reason."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.dicom_files import write_head_series

from ichlite.node.database import Database
from ichlite.node.intake import Intake
from ichlite.node.settings import DicomSettings, Settings, WatchSettings
from ichlite.node.store import FileStore
from ichlite.node.watched_folders import WatchedFolder

SETTLE_S = 0.3


@pytest.fixture
def parts(tmp_path):
    store, database = FileStore(tmp_path / "store", 0), Database(tmp_path / "store")
    watch = WatchSettings(folder="in", settle_s=SETTLE_S)
    watched = WatchedFolder(Intake(database, store, Settings()), watch, DicomSettings(), tmp_path)
    yield database, tmp_path / "in", watched
    watched.close()
    database.close()


def test_a_folder_that_is_not_there_yet_is_watched_once_it_comes(tmp_path, capsys):
    store, database = FileStore(tmp_path / "node" / "store", 0), Database(tmp_path / "node/store")
    share = tmp_path / "share"
    watch = WatchSettings(folder=str(share), settle_s=SETTLE_S)
    intake = Intake(database, store, Settings())
    watched = WatchedFolder(intake, watch, DicomSettings(), tmp_path / "node")
    time.sleep(3 * SETTLE_S)
    assert not share.exists()
    write_head_series(share, 1)
    (share / "letter.txt").write_text("x")
    _until_empty(share, "letter.txt", "letter.txt.why.txt")
    watched.close()
    assert len(_rows(database)) == 1
    database.close()
    said = capsys.readouterr().err
    assert said.index("watched folder is not there") < said.index("watched folder is there")


def _until_empty(folder: Path, *left: str) -> None:
    until = time.monotonic() + 20
    while sorted(one.name for one in folder.rglob("*") if not one.is_dir()) != sorted(left):
        assert time.monotonic() < until, list(folder.rglob("*"))
        time.sleep(0.05)


def _rows(database: Database) -> list[dict]:
    with database.read() as tables:
        return [dict(row) for row in tables.execute("SELECT * FROM instance ORDER BY id")]


def test_files_in_any_sub_folder_are_taken_and_removed(parts):
    database, folder, _ = parts
    write_head_series(folder / "a", 2, study="1")
    write_head_series(folder / "b" / "c", 2, study="2")
    _until_empty(folder)
    rows = _rows(database)
    assert len(rows) == 4
    assert {row["source"] for row in rows} == {"folder in"}


def test_what_is_no_dicom_moves_aside_with_the_reason(parts):
    database, folder, _ = parts
    (folder / "notes.txt").write_text("=cmd")
    _until_empty(folder, "notes.txt", "notes.txt.why.txt")
    (folder / "notes.txt").write_text("once more")
    _until_empty(folder, "notes.txt", "notes.txt.why.txt", "notes-2.txt", "notes-2.txt.why.txt")
    refused = folder / "refused"
    assert (refused / "notes.txt").read_text() == "=cmd"
    assert (refused / "notes.txt.why.txt").read_text() == "not a DICOM file\n"
    assert _rows(database) == []


def test_a_file_that_grows_is_left_alone(parts, tmp_path):
    database, folder, _ = parts
    (made,) = write_head_series(tmp_path / "made", 1)
    data = made.read_bytes()
    with (folder / "slow.dcm").open("wb") as file:
        for start in range(0, len(data), len(data) // 8 + 1):
            file.write(data[start : start + len(data) // 8 + 1])
            file.flush()
            assert (folder / "slow.dcm").exists()
            time.sleep(SETTLE_S * 0.6)
            assert _rows(database) == []
    _until_empty(folder)
    assert [row["bytes"] for row in _rows(database)] == [len(data)]


def test_a_file_that_changes_while_it_is_read_is_not_taken(parts, tmp_path, monkeypatch):
    """Its end comes after its beginning was read: what was read is dropped, the whole is taken."""
    database, folder, _ = parts
    (made,) = write_head_series(tmp_path / "made", 1)
    data = made.read_bytes()
    take = Intake.take
    changes = [True]

    def take_slowly(self: Intake, pieces: Iterator[bytes], source: str) -> object:
        def slowly() -> Iterator[bytes]:
            for piece in pieces:
                yield piece
                if changes:
                    changes.pop()
                    with (folder / "one.dcm").open("ab") as file:
                        file.write(data[-100:])

        return take(self, slowly(), source)

    monkeypatch.setattr(Intake, "take", take_slowly)
    (folder / "one.dcm").write_bytes(data[:-100])
    _until_empty(folder)
    assert not changes
    assert [row["bytes"] for row in _rows(database)] == [len(data)]


def test_links_and_hidden_files_stay(parts, tmp_path):
    database, folder, _ = parts
    write_head_series(tmp_path / "elsewhere", 1)
    (folder / "link").symlink_to(tmp_path / "elsewhere" / "IM0000")
    (folder / "folder").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "pipe")
    (folder / ".part").write_bytes((tmp_path / "elsewhere" / "IM0000").read_bytes())
    time.sleep(4 * SETTLE_S)
    assert _rows(database) == []
    assert (tmp_path / "elsewhere" / "IM0000").exists()
    assert {one.name for one in folder.iterdir()} == {"link", "folder", "pipe", ".part"}


def test_a_folder_that_turns_into_a_link_leads_nowhere(parts, tmp_path):
    database, folder, watched = parts
    write_head_series(folder / "a", 1)
    write_head_series(tmp_path / "elsewhere", 1)
    watched.close()
    (folder / "a").rename(tmp_path / "moved")
    (folder / "a").symlink_to(tmp_path / "elsewhere")
    watched._take(folder / "a" / "IM0000")
    assert _rows(database) == []
    assert (tmp_path / "elsewhere" / "IM0000").exists()


def test_on_a_full_disk_all_of_it_stays(tmp_path):
    store = FileStore(tmp_path / "store", 1 << 60)
    database = Database(tmp_path / "store")
    watch = WatchSettings(folder="in", settle_s=0.1)
    watched = WatchedFolder(Intake(database, store, Settings()), watch, DicomSettings(), tmp_path)
    write_head_series(tmp_path / "in", 3)
    time.sleep(1)
    assert len(list((tmp_path / "in").glob("IM*"))) == 3
    store.reserve_bytes = 0
    _until_empty(tmp_path / "in")
    watched.close()
    database.close()


def test_what_is_too_large_is_refused(tmp_path):
    store, database = FileStore(tmp_path / "store", 0), Database(tmp_path / "store")
    watch = WatchSettings(folder="in", settle_s=0.1)
    dicom = DicomSettings(max_instance_bytes=1 << 20)
    watched = WatchedFolder(Intake(database, store, Settings()), watch, dicom, tmp_path)
    with (tmp_path / "in" / "huge.dcm").open("wb") as file:
        file.truncate((1 << 20) + 1)
    _until_empty(tmp_path / "in", "huge.dcm", "huge.dcm.why.txt")
    watched.close()
    database.close()


def test_a_file_that_cannot_be_taken_holds_up_no_other(parts, tmp_path, monkeypatch):
    database, folder, _ = parts
    take = Intake.take
    first = []

    def fail_on_the_first(self: Intake, pieces: object, source: str) -> object:
        data = b"".join(pieces)
        first.append(data)
        if data == first[0]:
            raise RecursionError
        return take(self, [data], source)

    monkeypatch.setattr(Intake, "take", fail_on_the_first)
    write_head_series(folder, 3)
    _until_empty(folder, "IM0000")
    assert len(_rows(database)) == 2


def test_a_refused_file_of_any_name_holds_up_no_other(parts):
    database, folder, _ = parts
    long = folder / f"{'n' * 250}.dcm"
    for _ in range(2):
        long.write_text("x")
        _until(lambda: not long.exists())
    write_head_series(folder / "zz", 1)
    _until(lambda: len(_rows(database)) == 1)
    assert len(list((folder / "refused").iterdir())) == 4


@pytest.mark.parametrize("link", [False, True])
def test_what_stands_in_the_place_of_refused_is_left_alone(parts, tmp_path, link):
    database, folder, _ = parts
    if link:
        (tmp_path / "elsewhere").mkdir()
        (folder / "refused").symlink_to(tmp_path / "elsewhere")
    else:
        (folder / "refused").write_text("a file")
    (folder / "a.txt").write_text("junk")
    write_head_series(folder / "zz", 1)
    _until(lambda: len(_rows(database)) == 1)
    time.sleep(3 * SETTLE_S)
    assert (folder / "a.txt").exists()
    assert not any((tmp_path / "elsewhere").glob("*"))


def test_what_cannot_be_removed_is_taken_once(parts, monkeypatch, capsys):
    database, folder, watched = parts
    taken = []
    real = watched._intake.take
    monkeypatch.setattr(watched._intake, "take", lambda *a, **n: (taken.append(1), real(*a, **n)))

    unlink = os.unlink

    def not_allowed(path: str, *, dir_fd: int | None = None) -> None:
        if dir_fd is not None:
            raise PermissionError(1, "Operation not permitted")
        unlink(path)

    monkeypatch.setattr("ichlite.node.watched_folders.os.unlink", not_allowed)
    write_head_series(folder / "a", 1)
    _until(lambda: len(_rows(database)) == 1)
    time.sleep(6 * SETTLE_S)
    monkeypatch.undo()
    assert len(taken) == 1
    assert "file not removed" in capsys.readouterr().err


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_cannot_be_moved_is_refused_once(parts, monkeypatch, capsys):
    _, folder, watched = parts
    looked = []
    real = watched._intake.take
    monkeypatch.setattr(watched._intake, "take", lambda *a, **n: (looked.append(1), real(*a, **n)))
    (folder / "refused").write_text("a file")
    (folder / "a.txt").write_text("junk")
    _until(lambda: bool(looked))
    time.sleep(6 * SETTLE_S)
    assert len(looked) <= 2  # itself, and the file that stands in the way
    assert "it cannot be moved: Not a directory" in capsys.readouterr().err
