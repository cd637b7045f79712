"""Receive and answer C-STORE requests without pynetdicom's message objects.

pynetdicom makes five objects for each request and its answer and checks their values each time with
regular expressions, which takes much of the time of an instance (ADR 27). A node needs six elements
of a request, and checks them when it stores the instance. pynetdicom handles all other messages.

Like `dicom_guard`, this uses names of pynetdicom 3.0 that are not part of its public interface.
"""

from __future__ import annotations

import queue
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

WAIT_SECONDS = 0.02
"""Longest wait for a message, an answer or bytes: how late an abort or release is noticed."""

_C_STORE_REQUEST, _C_STORE_ANSWER, _NO_DATA_SET = 0x0001, 0x8001, 0x0101
_COMMAND, _LAST = 1, 2
"""Bits of the control byte of a presentation data value (DICOM PS3.8 annex E.2)."""
_CLASS, _KIND, _NUMBER, _ANSWERED, _DATA_SET, _STATUS, _INSTANCE = (
    0x0002, 0x0100, 0x0110, 0x0120, 0x0800, 0x0900, 0x1000
)  # fmt: skip
"""Elements of a command set, all of group 0000 (DICOM PS3.7 annex E)."""
_ELEMENT = struct.Struct("<HHL")  # group, element, length of the value
_SHORT_BYTES = 2


@dataclass(slots=True)
class StoreRequest:
    """C-STORE request.

    Attributes:
        context_id: Presentation context ID.
        number: MessageID, which the answer repeats.
        class_uid, instance_uid: Affected SOP Class UID and SOP Instance UID, not checked yet.
        data: Data set as received, in the transfer syntax of the presentation context.
    """

    context_id: int
    number: int
    class_uid: str
    instance_uid: str
    data: BytesIO = field(default_factory=BytesIO)

    @property
    def msg_type(self) -> str:
        """Name of the message, for pynetdicom's log."""
        return "C-STORE"


Store = Callable[[Association, StoreRequest], int]
"""Function that stores the instance of a request and returns the DICOM status to answer with."""


def serve_stores(association: Association, store: Store) -> None:
    """Make an association, before it starts, pass its C-STORE requests to a function.

    Args:
        association: Association of an acceptor.
        store: Function that stores an instance; it must not raise.
    """
    serving: Any = association
    serving.__class__ = _StoringAssociation
    serving.store = store
    serving.dimse.__class__ = _Messages
    serving.dimse.coming, serving.dimse.command = None, bytearray()


def read_store_request(context_id: int, command: bytes) -> StoreRequest | None:
    """Read the command set of a C-STORE request that a data set follows.

    Args:
        context_id: Presentation context ID of the command.
        command: Complete command set, in implicit VR little endian.

    Returns:
        The request, with an empty data set; None for any other message or a malformed one.

    Source:
        DICOM PS3.7 section 9.3.1.1.
    """
    found: dict[int, bytes] = {}
    at, end = 0, len(command)
    while at < end:
        if end - at < _ELEMENT.size:
            return None
        group, element, length = _ELEMENT.unpack_from(command, at)
        at += _ELEMENT.size
        if group or length > end - at:
            return None
        found[element] = command[at : at + length]
        at += length
    numbers = [found.get(one, b"") for one in (_KIND, _NUMBER, _DATA_SET)]
    if any(len(one) != _SHORT_BYTES for one in numbers):
        return None
    kind, number, data_set = (int.from_bytes(one, "little") for one in numbers)
    if kind != _C_STORE_REQUEST or data_set == _NO_DATA_SET:
        return None
    class_uid, instance_uid = (
        found.get(one, b"").rstrip(b"\0 ").decode("latin-1") for one in (_CLASS, _INSTANCE)
    )
    return StoreRequest(context_id, number, class_uid, instance_uid)


def store_answer(request: StoreRequest, status: int) -> bytes:
    """Return the command set of a C-STORE response, in implicit VR little endian.

    Args:
        request: Request that is answered.
        status: DICOM status.

    Source:
        DICOM PS3.7 table 9.3-2.
    """
    numbers = {
        _KIND: _C_STORE_ANSWER,
        _ANSWERED: request.number,
        _DATA_SET: _NO_DATA_SET,
        _STATUS: status,
    }
    values = {element: struct.pack("<H", number) for element, number in numbers.items()}
    for element, uid in ((_CLASS, request.class_uid), (_INSTANCE, request.instance_uid)):
        text = uid.encode("latin-1")
        values[element] = text + b"\0" * (len(text) % 2)
    body = b"".join(
        _ELEMENT.pack(0, element, len(value)) + value for element, value in sorted(values.items())
    )
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(body)) + body


class _Messages(DIMSEServiceProvider):
    """DIMSE provider that assembles C-STORE requests and waits for messages instead of polling."""

    coming: StoreRequest | None
    """Request whose data set is incomplete; None if there is none."""
    command: bytearray
    """Received part of an incomplete command set."""

    def get_msg(self, block: bool = False) -> Any:
        """Return context ID and message of the next message; a pair of None if none arrives."""
        with suppress(queue.Empty):
            return self.msg_queue.get(timeout=self.dimse_timeout if block else WAIT_SECONDS)
        return None, None

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Add received data to the C-STORE request that they belong to; pass on all other data.

        Raises:
            ValueError: A command set begins within a data set; pynetdicom then aborts.
        """
        for context_id, value in primitive.presentation_data_value_list:
            last = value[0] & _LAST
            if value[0] & _COMMAND:
                if self.coming is not None:
                    raise ValueError("a command within a data set")
                self.command += value[1:]
                if last:
                    command, self.command = bytes(self.command), bytearray()
                    self.coming = read_store_request(context_id, command)
                    if self.coming is None:
                        self._leave(context_id, bytes([value[0]]) + command)
            elif self.coming is None:
                self._leave(context_id, value)
            else:
                self.coming.data.write(value[1:])
                if last:
                    self._ended(self.coming)

    def _leave(self, context_id: int, value: bytes) -> None:
        data = P_DATA()
        data.presentation_data_value_list.append((context_id, value))
        super().receive_primitive(data)

    def _ended(self, request: StoreRequest) -> None:
        self.coming = None
        connection: Any = self.assoc.dul.socket
        if connection is not None:
            connection.message_ended()
        waiting: queue.Queue[Any] = self.msg_queue
        waiting.put((request.context_id, request))

    def answer(self, request: StoreRequest, status: int) -> None:
        """Send the response to a C-STORE request with a DICOM status."""
        data = P_DATA()
        command = bytes([_COMMAND | _LAST]) + store_answer(request, status)
        data.presentation_data_value_list.append((request.context_id, command))
        self.dul.send_pdu(data)
        connection: Any = self.assoc.dul.socket
        if connection is not None:
            connection.answered.set()


class _StoringAssociation(Association):
    """Association that passes C-STORE requests to `store` and sends the response."""

    store: Store

    def _serve_request(self, msg: Any, context_id: int) -> None:
        if not isinstance(msg, StoreRequest) or self._sent_release:
            super()._serve_request(msg, context_id)
            return
        if context_id not in self._accepted_cx:
            self.abort()
            return
        status = self.store(self, msg)
        if self.is_established:
            messages: Any = self.dimse
            messages.answer(msg, status)
