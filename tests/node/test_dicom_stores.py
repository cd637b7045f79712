"""C-STORE requests are read as pynetdicom writes them, and answered as pynetdicom answers."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.sop_class import CTImageStorage
from tests.node.test_dicom_server import _slice, association, port

from ichlite.node.dicom_stores import StoreRequest, read_store_request, store_answer

UID = st.from_regex(r"[12](\.[1-9][0-9]{0,9}){1,5}", fullmatch=True)
NUMBER = st.integers(0, 0xFFFF)


def _request(number, uids) -> C_STORE:
    asked = C_STORE()
    asked.MessageID, asked.Priority = number, 2
    asked.AffectedSOPClassUID, asked.AffectedSOPInstanceUID = uids
    return asked


def _command(asked, kind=C_STORE_RQ) -> bytes:
    message = kind()
    message.primitive_to_message(asked)
    first = next(iter(message.encode_msg(1, 16_382)))
    return first.presentation_data_value_list[0][1][1:]


@given(number=NUMBER, uids=st.tuples(UID, UID))
def test_a_request_is_read_as_it_was_written(number, uids):
    asked = _request(number, uids)
    asked.DataSet = BytesIO(b"ab")
    read = read_store_request(5, _command(asked))
    assert read == StoreRequest(5, number, *uids, data=read.data)
    assert read.data.getvalue() == b""


@given(st.binary(max_size=200))
def test_what_is_no_request_is_left_to_others(command):
    assert read_store_request(1, command) is None


def test_a_request_without_a_data_set_is_left_to_others():
    assert read_store_request(1, _command(_request(1, ("1.2", "1.3")))) is None


@given(
    number=NUMBER,
    status=st.sampled_from([0, 0x0110, 0xA700, 0xA900, 0xB000, 0xC000]),
    uids=st.tuples(UID, UID),
)
def test_answers_are_those_that_pynetdicom_writes(number, status, uids):
    answer = _request(number, uids)
    answer.MessageIDBeingRespondedTo, answer.Status = number, status
    written = _command(answer, C_STORE_RSP)
    assert written == store_answer(StoreRequest(1, number, *uids), status)


def _send(sender, context_id, values) -> None:
    data = P_DATA()
    data.presentation_data_value_list.extend((context_id, value) for value in values)
    sender.dul.send_pdu(data)


def _encoded(tmp_path, sender) -> tuple[int, bytes, bytes]:
    """Context, command and data set of a slice, as they are sent."""
    context = next(c for c in sender.accepted_contexts if c.abstract_syntax == CTImageStorage)
    data = _slice(tmp_path)
    asked = _request(9, (data.SOPClassUID, data.SOPInstanceUID))
    syntax = context.transfer_syntax[0]
    content = encode(data, syntax.is_implicit_VR, syntax.is_little_endian)
    asked.DataSet = BytesIO(content)
    return context.context_id, _command(asked), content


def _answer(sender) -> int:
    _, answer = sender.dimse.get_msg(block=True)
    return answer.Status


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_commands_and_data_in_pieces_are_put_together(piece, tmp_path):
    with port(tmp_path / "store") as opened, association(opened) as sender:
        context, command, content = _encoded(tmp_path, sender)
        for whole, bit in ((command, 1), (content, 0)):
            size = piece if bit else max(piece, 100)
            values = [
                bytes([bit | 2 * (at + size >= len(whole))]) + whole[at : at + size]
                for at in range(0, len(whole), size)
            ]
            _send(sender, context, values)
        assert _answer(sender) == 0
        assert sender.send_c_echo().Status == 0


def test_a_command_within_a_data_set_ends_the_association(tmp_path):
    with port(tmp_path / "store") as opened, association(opened) as other:
        with association(opened) as sender:
            context, command, content = _encoded(tmp_path, sender)
            _send(sender, context, [b"\3" + command, b"\0" + content[:9], b"\3" + command])
            sender.join(20)
            assert not sender.is_established
        assert other.send_c_echo().Status == 0


def test_a_request_without_a_data_set_is_refused(tmp_path):
    with port(tmp_path / "store") as opened, association(opened) as sender:
        context, _, _ = _encoded(tmp_path, sender)
        bare = _command(_request(9, (CTImageStorage, "1.2.3")))
        _send(sender, context, [b"\3" + bare])
        assert _answer(sender) >= 0xA700
        assert sender.send_c_echo().Status == 0
