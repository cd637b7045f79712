"""The one door: what is taken is filed and on disk, what is refused leaves nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from tests.dicom_files import write_ct_slice, write_head_series

from ichlite.errors import IchliteError, UnreadableFile
from ichlite.node import studies
from ichlite.node.database import Database
from ichlite.node.intake import Intake, Mismatch, complete_now, without_preamble
from ichlite.node.settings import Settings, SourceSettings, StudySettings
from ichlite.node.store import FileStore


@pytest.fixture
def parts(tmp_path):
    database = Database(tmp_path)
    store = FileStore(tmp_path, reserve_bytes=0)
    source = SourceSettings(aet="CT1", complete_after=("HEAD",))
    settings = Settings(study=StudySettings(quiet_s=60), source=(source,))
    yield database, store, Intake(database, store, settings)
    database.close()


def _slice(folder: Path, **elements: object) -> bytes:
    path = folder / "made.dcm"
    write_ct_slice(path, np.zeros((64, 64), np.int16), **elements)
    return path.read_bytes()


def _kept(store: FileStore) -> list[Path]:
    return list((store.folder / "instances").rglob("*.dcm"))


def _rows(database: Database, query: str) -> list[dict]:
    with database.read() as tables:
        return [dict(row) for row in tables.execute(query)]


def test_an_instance_is_on_disk_with_a_preamble_of_zeros(parts, tmp_path):
    database, store, intake = parts
    raw = b"MZ" + bytes(126) + _slice(tmp_path)[128:]
    assert intake.take([raw], "CT1").new
    (row,) = _rows(database, "SELECT digest, bytes, source FROM instance")
    kept = store.path(row["digest"]).read_bytes()
    assert kept == bytes(128) + raw[128:]
    assert (row["bytes"], row["source"]) == (len(raw), "CT1")


def test_the_same_again_is_taken_and_changes_nothing(parts, tmp_path):
    database, _, intake = parts
    raw = _slice(tmp_path)
    intake.take([raw], "CT1")
    before = _rows(database, "SELECT * FROM study")
    assert not intake.take([raw], "CT2").new
    assert _rows(database, "SELECT * FROM study") == before
    assert len(_rows(database, "SELECT * FROM instance")) == 1


def test_a_study_stays_with_its_first_sender(parts, tmp_path):
    database, _, intake = parts
    intake.take([_slice(tmp_path)], "CT1")
    intake.take([_slice(tmp_path, SOPInstanceUID="1.9")], "folder in")
    assert _rows(database, "SELECT source FROM study") == [{"source": "CT1"}]


def test_a_corrected_instance_is_kept_beside_the_first(parts, tmp_path):
    database, _, intake = parts
    intake.take([_slice(tmp_path)], "CT1")
    intake.take([_slice(tmp_path, RescaleIntercept="-1024")], "CT1")
    assert len({row["digest"] for row in _rows(database, "SELECT digest FROM instance")}) == 2


def test_of_several_contents_the_last_that_came_counts(parts, tmp_path):
    database, store, intake = parts
    good, other = _slice(tmp_path), _slice(tmp_path, RescaleIntercept="-1000")
    for raw, repeated in ((good, 0), (other, 1), (good, 1)):
        assert intake.take([raw], "CT1").new
        taken = database.write(_read_when_complete)
        assert store.path(taken.digests[0]).read_bytes() == bytes(128) + raw[128:]
        assert taken.repeated == repeated
    assert not intake.take([good], "CT1").new
    assert database.write(_read_when_complete) is None


def _read_when_complete(tables):
    """Queue, take and end the reading of the only study, if it is due again."""
    complete_now(tables, tables.execute("SELECT uid FROM study").fetchone()["uid"])
    studies.queue_due(tables, 1.0)
    taken = studies.claim(tables, 1.0)
    if taken is not None:
        studies.park(tables, taken.reading_id, "read by a test")
    return taken


def test_a_file_that_is_cut_short_is_refused(parts, tmp_path):
    _, store, intake = parts
    raw = _slice(tmp_path)
    with pytest.raises(UnreadableFile, match="cut short"):
        intake.take([raw[:-1]], "CT1")
    assert _kept(store) == []


def test_a_file_without_a_row_is_taken_in_again(parts, tmp_path):
    database, store, intake = parts
    intake.take([_slice(tmp_path)], "CT1")
    before = _rows(database, "SELECT uid, digest, bytes FROM instance")
    database.write(lambda tables: tables.execute("DELETE FROM study").rowcount)
    (path,) = _kept(store)
    assert intake.adopt(path)
    assert _rows(database, "SELECT uid, digest, bytes FROM instance") == before
    assert not intake.adopt(path)
    assert _rows(database, "SELECT source FROM study") == [{"source": "recovered"}]
    intake.take([_slice(tmp_path, SOPInstanceUID="1.9")], "CT1")
    assert _rows(database, "SELECT source FROM study") == [{"source": "CT1"}]
    path.write_bytes(b"damaged")
    assert not intake.adopt(path)
    assert path.exists()


def test_names_in_any_character_set_are_shown(parts, tmp_path):
    database, _, intake = parts
    names = {"ISO_IR 192": "山田^太郎", "ISO_IR 100": "Müller^Jörg", "ISO_IR 144": "Жук^Яна"}
    for number, (charset, name) in enumerate(names.items()):
        path = tmp_path / "named.dcm"
        write_ct_slice(path, np.zeros((64, 64), np.int16), StudyInstanceUID=f"1.{number}")
        data = dcmread(path)
        data.SpecificCharacterSet = charset
        data.PatientName = name
        data.save_as(path)
        intake.take([path.read_bytes()], "CT1")
    found = _rows(database, "SELECT patient_name FROM study ORDER BY id")
    assert [row["patient_name"] for row in found] == list(names.values())


def test_an_announced_instance_must_be_that_one(parts, tmp_path):
    database, store, intake = parts
    with pytest.raises(Mismatch):
        intake.take([_slice(tmp_path)], "CT1", expected=("1.2", "1.3"))
    assert _rows(database, "SELECT * FROM study") == []
    assert _kept(store) == []


@pytest.mark.parametrize(
    "raw_uid", [b"1.2/../../etc/pwd", b"1.2.x.4.5.6.7.8.9", bytes(17), b"../1.2.3.4.5.6.7\0"]
)
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_what_is_no_uid_is_refused(parts, tmp_path, keyword, raw_uid):
    database, store, intake = parts
    raw = _slice(tmp_path, **{keyword: "1.2.3.4.5.6.7.8.9"})
    with pytest.raises(UnreadableFile, match=keyword):
        intake.take([raw.replace(b"1.2.3.4.5.6.7.8.9", raw_uid)], "CT1")
    assert _rows(database, "SELECT * FROM study") == []
    assert _kept(store) == []


@pytest.mark.filterwarnings(
    "ignore:Invalid value:UserWarning", "ignore:The value length:UserWarning"
)
def test_a_uid_of_65_characters_is_refused(parts, tmp_path):
    _, store, intake = parts
    with pytest.raises(UnreadableFile, match="64 digits"):
        intake.take([_slice(tmp_path, StudyInstanceUID="1." + "2" * 63)], "CT1")
    assert _kept(store) == []


def test_no_cut_of_a_file_stops_the_door(parts, tmp_path):
    database, _, intake = parts
    raw = _slice(tmp_path)
    taken = 0
    for size in range(0, len(raw), 64):
        try:
            intake.take([raw[:size]], "CT1")
            taken += 1
        except IchliteError as error:
            assert "\n" not in str(error)  # noqa: PT017
    assert len(_rows(database, "SELECT * FROM instance")) == taken > 0


@given(st.lists(st.binary(max_size=100), max_size=8))
def test_only_the_preamble_is_blanked_however_a_file_is_cut(pieces):
    whole = b"".join(pieces)
    blanked = b"".join(bytes(piece) for piece in without_preamble(pieces))
    assert blanked == bytes(min(128, len(whole))) + whole[128:]


def test_a_known_protocol_is_complete_when_its_sender_leaves(parts, tmp_path):
    database, _, intake = parts
    write_head_series(tmp_path / "head", 3, SeriesDescription="SCOUT")
    files = sorted((tmp_path / "head").iterdir())
    study = str(dcmread(files[0]).StudyInstanceUID)
    intake.take([files[0].read_bytes()], "CT1")
    intake.sender_left("CT1", [study])
    assert _rows(database, "SELECT due_at FROM study")[0]["due_at"] > 0
    intake.take([_slice(tmp_path, StudyInstanceUID=study, SeriesDescription="HEAD")], "CT1")
    intake.sender_left("CT2", [study])
    assert _rows(database, "SELECT due_at FROM study")[0]["due_at"] > 0
    intake.sender_left("CT1", [study])
    assert _rows(database, "SELECT due_at FROM study")[0]["due_at"] == 0


def test_a_clock_that_was_set_back_delays_no_study(parts, tmp_path):
    database, _, intake = parts
    intake.take([_slice(tmp_path)], "CT1")
    (due_at,) = [row["due_at"] for row in _rows(database, "SELECT due_at FROM study")]
    queue = partial(studies.queue_due, longest_s=60.0)
    assert database.write(lambda tables: queue(tables, due_at - 59)) == 0
    assert database.write(lambda tables: queue(tables, due_at - 61)) == 1
