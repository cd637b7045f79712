"""Guard a DICOM port against peers that lie about lengths, stall, or come in crowds.

pynetdicom trusts the declared length of a PDU and waits for ever for its bytes: one peer that
declares 300 MB makes the process hold them, before anybody asked who it is. Here a PDU has a
largest length and a deadline, an instance a largest size, and connections an upper bound; a
handshake of TLS waits in a thread of its own, not in the one that accepts. And two threads of each
association would look for work a thousand times a second, and see it a millisecond late; here they
wait for it.

This leans on names of pynetdicom 3.0 that it does not promise; its version is pinned, and
`tests/node/test_dicom_guard.py` fails when they change.
"""

from __future__ import annotations

import queue
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from socketserver import TCPServer
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from ichlite.node.dicom_stores import WAIT_SECONDS, Store, serve_stores
from ichlite.node.settings import DicomSettings, networks

MAX_PDU_BYTES = 1 << 20
PDU_SECONDS = 10.0
"""Time allowed for all bytes of one PDU."""
READ_SECONDS = 5.0
"""Time allowed for the next bytes of one PDU."""
SPARE_CONNECTIONS = 8
"""Connections accepted beyond the allowed associations, so that they are rejected in DICOM."""

MOST_WAITING_MESSAGES = 4
"""Most messages of one association that may wait; a sender normally waits for each answer."""

_POLL_SECONDS = 0.001
"""Pause between two checks of a socket where there is nothing to wait for."""

_PDU_HEADER_BYTES = 6
_LEAST_VALUE_BYTES = 2  # number of the context, control byte
_DATA, _DATA_TRANSFER = b"\4", "Sta6"
"""PDU type P-DATA-TF, and the state of an association in which it is expected (PS3.8, 9.2, 9.3)."""


class GuardedSocket(AssociationSocket):
    """Socket that limits the length of each PDU and the time to receive it."""

    max_instance_bytes: int
    instance_bytes: int
    """Bytes received since the last complete message."""
    answered: threading.Event
    """Event that is clear from a complete message until its answer is queued for sending."""
    unread: bytearray
    """PDU header that was read ahead, which the next `recv` returns again; else empty."""

    def guard(self, max_instance_bytes: int) -> None:
        """Set up the limits of a socket of pynetdicom; a new socket would be announced twice.

        Args:
            max_instance_bytes: Largest message that is received.
        """
        self.max_instance_bytes = max_instance_bytes
        self.instance_bytes = 0
        self.answered = threading.Event()
        self.answered.set()
        self.unread = bytearray()

    @property
    def ready(self) -> bool:
        """Whether bytes can be read; waits up to `WAIT_SECONDS` for them or for an answer."""
        if self.socket is None or not self._is_connected:
            time.sleep(_POLL_SECONDS)
            return False
        if not self.answered.is_set():
            if super().ready:
                return True
            self.answered.wait(WAIT_SECONDS)
        else:
            wait_s = WAIT_SECONDS if self.assoc.is_established else _POLL_SECONDS
            with suppress(OSError, ValueError):  # closed meanwhile, which the base class notes
                select.select([self.socket], [], [], wait_s)
        return super().ready

    def message_ended(self) -> None:
        """Record that a message is complete: count the bytes of the next one from zero."""
        self.instance_bytes = 0
        self.answered.clear()

    def recv(self, nr_bytes: int) -> bytearray:
        """Read a number of bytes.

        Raises:
            OSError: They are too many, or do not come in time; the connection is then closed.
        """
        if self.unread:
            received, self.unread = self.unread, bytearray()
            return received
        self.instance_bytes += nr_bytes
        if nr_bytes > MAX_PDU_BYTES:
            self._give_up(f"a PDU of {nr_bytes} bytes; at most {MAX_PDU_BYTES} are read")
        if self.instance_bytes > self.max_instance_bytes:
            self._give_up(f"an instance of more than {self.max_instance_bytes} bytes")
        if self.assoc.dimse.msg_queue.qsize() > MOST_WAITING_MESSAGES:
            self._give_up("messages faster than they are answered")
        connection = self.socket
        if connection is None:
            raise ConnectionError("the connection is closed")
        received = bytearray(nr_bytes)
        left = memoryview(received)
        until = time.monotonic() + PDU_SECONDS
        while left:
            left_s = until - time.monotonic()
            if left_s <= 0:
                self._give_up(f"a PDU that took longer than {PDU_SECONDS:g} s")
            connection.settimeout(min(left_s, READ_SECONDS))
            count = connection.recv_into(left)
            if not count:
                self._peer_left()
                return received[: nr_bytes - len(left)]
            left = left[count:]
        return received

    def _peer_left(self) -> None:
        """Wake the thread that waits for the request of an association, which will not come."""
        if not self.assoc.is_established:
            waiting: queue.Queue[Any] = self.assoc.dul.to_user_queue
            waiting.put(None)

    def _shutdown_socket(self) -> None:
        """Close the connection, also where the peer is gone: the base class then leaves it open."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    def _give_up(self, why: str) -> None:
        self._shutdown_socket()
        self._peer_left()
        raise ConnectionAbortedError(why)


class DirectData(DULServiceProvider):
    """Upper-layer provider that passes received data directly to the message being assembled.

    The base class copies each byte seven times on the way, and runs its state machine for each PDU.
    """

    def _read_pdu_data(self) -> None:
        connection: Any = self.socket
        if self.state_machine.current_state != _DATA_TRANSFER:
            super()._read_pdu_data()
            return
        try:
            header = connection.recv(_PDU_HEADER_BYTES)
            if header[:1] != _DATA:
                connection.unread = header
                super()._read_pdu_data()
                return
            length = int.from_bytes(header[2:], "big")
            received = connection.recv(length)
        except OSError:
            received = header = bytearray()
        if len(header) < _PDU_HEADER_BYTES or len(received) < length:
            self.event_queue.put("Evt17")  # the connection is closed
            return
        try:
            data = P_DATA()
            values: list[Any] = data.presentation_data_value_list
            values.extend(data_values(received))
        except ValueError:
            self.event_queue.put("Evt19")  # not a PDU
            return
        self.assoc.dimse.receive_primitive(data)


def data_values(received: bytearray) -> Iterator[tuple[int, memoryview]]:
    r"""Split a P-DATA-TF PDU into its presentation data values.

    Args:
        received: PDU without its header.

    Yields:
        Presentation context ID, and the value with its control byte as a view of `received`.

    Raises:
        ValueError: The PDU is cut short, or a value has no control byte.

    Source:
        DICOM PS3.8 section 9.3.5.

    Example:
        >>> [(number, bytes(value)) for number, value in data_values(bytearray(b"\0\0\0\3\1\2a"))]
        [(1, b'\x02a')]
    """
    view = memoryview(received)
    while view:
        length = int.from_bytes(view[:4], "big")
        if length < _LEAST_VALUE_BYTES or len(view) < 4 + length:
            raise ValueError("a presentation data value is cut short")
        yield view[4], view[5 : 4 + length]
        view = view[4 + length :]


class SharedContexts(list[PresentationContext]):
    """The presentation contexts that the port accepts, as one list that all associations share.

    They only read it; a copy, which pynetdicom would make, costs an association 60 ms.
    """

    def __deepcopy__(self, memo: object) -> SharedContexts:
        return self


class GuardedHandler(RequestHandler):
    """Starts an association on a guarded socket."""

    server: GuardedServer

    def handle(self) -> None:
        """Do the handshake of TLS, if there is one, and start the association."""
        context = self.server.tls
        if context is None:
            super().handle()
            return
        try:
            self.request.settimeout(PDU_SECONDS)
            try:
                self.request = context.wrap_socket(self.request, server_side=True)
            except OSError as error:
                self.request.close()
                why = getattr(error, "reason", None) or type(error).__name__
                self.server.say_refused(self.client_address[0], f"no TLS: {why}")
                return
            super().handle()
        finally:
            self.server.handshake_ended()

    def _create_association(self) -> Association:
        association = super()._create_association()
        guarded: Any = association.dul.socket
        guarded.__class__ = GuardedSocket
        guarded.guard(self.server.settings.max_instance_bytes)
        layer: Any = association.dul
        layer.__class__ = DirectData
        layer._run_loop_delay = 0  # the socket waits
        serve_stores(association, self.server.store)
        return association


class GuardedServer(ThreadedAssociationServer):
    """A server that lets in the hosts that it should, and no more connections than it can hold."""

    request_queue_size = 128

    def __init__(
        self,
        *args: Any,
        settings: DicomSettings,
        store: Store,
        refused: Callable[[str, str], None],
        **names: Any,
    ) -> None:
        self.settings = settings
        self.store = store
        self._networks = networks(settings.allow_hosts)
        self.say_refused = refused
        self._handshakes = 0
        self._counting = threading.Lock()
        names["request_handler"] = GuardedHandler
        super().__init__(*args, **names)
        self.tls, self.ssl_context = self.ssl_context, None
        self.contexts = SharedContexts(self.contexts)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether a connection may go on."""
        del request
        host = client_address[0]
        if self._networks and not any(ip_address(host) in one for one in self._networks):
            self.say_refused(host, "its address is not in allow_hosts")
            return False
        most = self.settings.max_associations + SPARE_CONNECTIONS
        with self._counting:
            room = len(self.active_associations) + self._handshakes < most
            self._handshakes += room and self.tls is not None
        if not room:
            self.say_refused(host, "too many connections")
        return room

    def handshake_ended(self) -> None:
        """Count a connection no more as one whose handshake of TLS is not done."""
        with self._counting:
            self._handshakes -= 1

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle a connection in a thread of its own."""
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started
            if self.tls is not None:
                self.handshake_ended()
            raise

    def service_actions(self) -> None:
        """Do nothing: the base class would collect all garbage every twelve seconds.

        That held up every association for tenths of a second. What an association leaves is
        collected as any other garbage; `scripts.node_siege` looks at what is left.
        """

    def shutdown(self) -> None:
        """Accept no more; the base class would also look for itself among servers of `AE`."""
        TCPServer.shutdown(self)
        self.server_close()
