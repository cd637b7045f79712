"""The DICOM port: what is acknowledged is there; who may speak, and what is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import CTImageStorage, ModalityPerformedProcedureStep, Verification
from tests.dicom_files import write_ct_slice

from ichlite.errors import IchliteError
from ichlite.node.database import Database
from ichlite.node.dicom_server import DicomServer
from ichlite.node.intake import Intake
from ichlite.node.peers import associate
from ichlite.node.settings import DicomSettings, Settings
from ichlite.node.store import FileStore


class Port:
    """A DICOM port and the parts behind it."""

    def __init__(self, folder: Path, reserve_bytes: int = 0, **dicom: object) -> None:
        settings = Settings(dicom=DicomSettings(host="127.0.0.1", port=0, **dicom))
        self.database = Database(folder)
        self.store = FileStore(folder, reserve_bytes)
        self.intake = Intake(self.database, self.store, settings)
        self.server = DicomServer(self.intake, self.database, settings.dicom)

    def close(self) -> None:
        self.server.close()
        self.database.close()

    def rows(self, query: str) -> list[dict]:
        with self.database.read() as tables:
            return [dict(row) for row in tables.execute(query)]


@contextmanager
def port(folder: Path, **settings: object) -> Iterator[Port]:
    """Open a port and close it."""
    opened = Port(folder, **settings)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def association(to: Port, called: str = "ICHLITE", calling: str = "CT1") -> Iterator:
    """Associate with a port, and release."""
    entity = AE(calling)
    for context in (CTImageStorage, Verification, ModalityPerformedProcedureStep):
        entity.add_requested_context(context)
    opened = associate(entity, "127.0.0.1", to.server.port, called)
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()


def _slice(folder: Path, **elements: object) -> Dataset:
    path = folder / f"{generate_uid()}.dcm"
    elements = {"SOPInstanceUID": generate_uid(), **elements}
    write_ct_slice(path, np.zeros((64, 64), np.int16), **elements)
    return dcmread(path)


def test_an_echo_is_answered(tmp_path):
    with port(tmp_path / "store") as opened, association(opened) as sender:
        assert sender.send_c_echo().Status == 0


def test_an_acknowledged_slice_is_kept_as_it_was_sent(tmp_path):
    sent = _slice(tmp_path)
    with port(tmp_path / "store") as opened:
        with association(opened) as sender:
            assert sender.send_c_store(sent).Status == 0
        (row,) = opened.rows("SELECT digest, source FROM instance")
        kept = dcmread(opened.store.path(row["digest"]))
    assert row["source"] == "CT1"
    assert kept.file_meta.TransferSyntaxUID.is_implicit_VR
    assert {e.tag: e.value for e in kept} == {e.tag: e.value for e in sent}


def test_into_the_reserve_is_out_of_resources(tmp_path):
    with port(tmp_path / "store", reserve_bytes=1 << 60) as opened:
        with association(opened) as sender:
            assert sender.send_c_store(_slice(tmp_path)).Status == 0xA700
            assert sender.send_c_echo().Status == 0
        assert opened.rows("SELECT * FROM study") == []


def test_a_data_set_that_is_not_what_was_announced_is_a_mismatch(tmp_path):
    data = _slice(tmp_path)
    with port(tmp_path / "store") as opened, association(opened) as sender:
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CTImageStorage, "1.2.3"
        request.DataSet = BytesIO(encode(data, True, True) or b"")
        context = next(c for c in sender.accepted_contexts if c.abstract_syntax == CTImageStorage)
        sender._reactor_checkpoint.clear()
        sender.dimse.send_msg(request, context.context_id)
        _, answer = sender.dimse.get_msg(block=True)
        sender._reactor_checkpoint.set()
        assert answer.Status == 0xA900
        assert opened.rows("SELECT * FROM study") == []


@pytest.mark.filterwarnings("ignore:Invalid value:UserWarning")
def test_what_is_no_uid_cannot_be_understood_and_is_not_logged(tmp_path, capsys):
    data = _slice(tmp_path)
    data.StudyInstanceUID = "CANARY"
    with port(tmp_path / "store") as opened, association(opened) as sender:
        assert sender.send_c_store(data).Status == 0xC000
    said = capsys.readouterr().err
    assert "instance refused" in said
    assert "CANARY" not in said


@pytest.mark.parametrize(
    ("settings", "called", "calling", "why"),
    [
        ({}, "OTHER", "CT1", "it calls the AE title 'OTHER', and this node is 'ICHLITE'"),
        ({"allow_aets": ("CT1",)}, "ICHLITE", "CT2", "its AE title is not among allow_aets"),
    ],
)
def test_who_calls_another_or_is_not_listed_is_rejected_and_logged(
    tmp_path, capsys, settings, called, calling, why
):
    with (
        port(tmp_path / "store", **settings) as opened,
        association(opened, called, calling) as sender,
    ):
        assert sender.is_rejected
    (line,) = [
        said for said in map(json.loads, capsys.readouterr().err.splitlines()) if "why" in said
    ]
    assert (line["event"], line["source"], line["why"]) == ("connection refused", calling, why)


def test_a_host_that_is_not_listed_does_not_come_in(tmp_path):
    with (
        port(tmp_path / "store", allow_hosts=("10.0.0.0/8",)) as opened,
        association(opened) as sender,
    ):
        assert not sender.is_established
        assert not sender.is_rejected


def test_one_association_too_many_is_told_so_and_the_others_go_on(tmp_path):
    with port(tmp_path / "store", max_associations=3) as opened:
        senders = [association(opened) for _ in range(3)]
        held = [one.__enter__() for one in senders]
        with association(opened) as fourth:
            assert fourth.is_rejected
        assert all(one.send_c_echo().Status == 0 for one in held)
        for one in senders:
            one.__exit__(None, None, None)
        with association(opened) as later:
            assert later.is_established


def test_a_completed_procedure_step_ends_the_wait(tmp_path):
    data = _slice(tmp_path)
    with port(tmp_path / "store") as opened, association(opened) as sender:
        assert sender.send_c_store(data).Status == 0
        assert opened.rows("SELECT due_at FROM study")[0]["due_at"] > 0
        step = Dataset()
        step.PerformedProcedureStepStatus = "IN PROGRESS"
        uid = generate_uid()
        status, _ = sender.send_n_create(step, ModalityPerformedProcedureStep, uid)
        assert status.Status == 0
        step.PerformedProcedureStepStatus = "COMPLETED"
        status, _ = sender.send_n_set(step, ModalityPerformedProcedureStep, uid)
        assert status.Status == 0
        assert opened.rows("SELECT due_at FROM study")[0]["due_at"] == 0


def test_the_audit_log_says_who_sent_what(tmp_path):
    data = _slice(tmp_path)
    with port(tmp_path / "store") as opened:
        with association(opened) as sender:
            sender.send_c_store(data)
        for one in opened.server._server.active_associations:
            one.join(5)
        rows = opened.rows("SELECT actor, action, details FROM audit")
    assert [(row["actor"], row["action"]) for row in rows] == [("CT1", "instances.received")]
    assert str(data.StudyInstanceUID) in rows[0]["details"]


def test_a_port_that_is_taken_is_one_line(tmp_path):
    with port(tmp_path / "a") as opened:
        settings = DicomSettings(host="127.0.0.1", port=opened.server.port)
        with pytest.raises(IchliteError, match="DICOM port cannot be opened"):
            DicomServer(opened.intake, opened.database, settings)
