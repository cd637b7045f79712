"""Take C-STORE requests from an association and answer them.

pynetdicom makes five objects of each request and its answer, and checks their values each time with
regular expressions: a quarter of the time of an instance. What a node needs of a request is six
elements, which are checked when the instance is taken. All other messages are left to pynetdicom.

This leans on names of pynetdicom that it does not promise, as `dicom_guard` does.
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
"""At most, for a message, an answer or bytes: so much later an abort or release is seen."""

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
    """A request to store an instance.

    Attributes:
        context_id: Number of its presentation context.
        number: MessageID, which the answer repeats.
        class_uid, instance_uid: UIDs that the sender announces; not checked yet.
        data: The data set as it came, in the transfer syntax of the context.
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
"""Stores an instance and returns the status to answer; raises nothing."""


def serve_stores(association: Association, store: Store) -> None:
    """Have an association that is not started yet hand its C-STORE requests to `store`."""
    serving: Any = association
    serving.__class__ = _StoringAssociation
    serving.store = store
    serving.dimse.__class__ = _Messages
    serving.dimse.coming, serving.dimse.command = None, bytearray()


def read_store_request(context_id: int, command: bytes) -> StoreRequest | None:
    """Read the command set of a C-STORE request that a data set follows.

    Args:
        context_id: Number of the presentation context that it came in.
        command: Whole, in implicit little endian.

    Returns:
        The request, its data set to come; None for any other message, and what is none.

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
    """Return the command set of the answer to a C-STORE request, in implicit little endian.

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
    """The messages of an association, of which the next is waited for."""

    coming: StoreRequest | None
    """The request whose data set has not come to its end."""
    command: bytearray
    """What has come of a command."""

    def get_msg(self, block: bool = False) -> Any:
        """Return the next message, and its context, when it is there or after a moment."""
        with suppress(queue.Empty):
            return self.msg_queue.get(timeout=self.dimse_timeout if block else WAIT_SECONDS)
        return None, None

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take what came: parts of a C-STORE request here, all else by the base class."""
        for context_id, value in primitive.presentation_data_value_list:
            last = value[0] & _LAST
            if value[0] & _COMMAND:
                if self.coming is not None:
                    raise ValueError("a command within a data set")  # ends the association
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
        """Send the answer to a request."""
        data = P_DATA()
        command = bytes([_COMMAND | _LAST]) + store_answer(request, status)
        data.presentation_data_value_list.append((request.context_id, command))
        self.dul.send_pdu(data)
        connection: Any = self.assoc.dul.socket
        if connection is not None:
            connection.answered.set()


class _StoringAssociation(Association):
    """An association that hands C-STORE requests on by itself."""

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
