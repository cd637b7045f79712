"""Guard a DICOM port against peers that lie about lengths, stall, or come in crowds.

pynetdicom trusts the declared length of a PDU and waits for ever for its bytes: one peer that
declares 300 MB makes the process hold them, before anybody asked who it is. Here a PDU has a
largest length and a deadline, an instance a largest size, and connections an upper bound; a
handshake of TLS waits in a thread of its own, not in the one that accepts.

This leans on names of pynetdicom 3.0 that it does not promise; its version is pinned, and
`tests/node/test_dicom_guard.py` fails when they change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import ip_address
from socketserver import TCPServer
from typing import Any

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from ichlite.node.settings import DicomSettings, networks

MAX_PDU_BYTES = 1 << 20
PDU_SECONDS = 10.0
"""For all bytes of one PDU."""
READ_SECONDS = 3.0
"""For the next bytes of one PDU."""
SPARE_CONNECTIONS = 8
"""Beyond the associations that are allowed, so that one too many is told so in DICOM."""

MOST_WAITING_MESSAGES = 4
"""On one association; a sender waits for each answer unless more was agreed on."""

_CHUNK_BYTES = 1 << 16


class GuardedSocket(AssociationSocket):
    """A socket of which a PDU is read with a largest length and a deadline."""

    max_instance_bytes = 1 << 28
    instance_bytes = 0
    """Read since the last instance was handled."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Read a number of bytes.

        Raises:
            OSError: They are too many, or do not come in time; the connection is then closed.
        """
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
        received = bytearray()
        until = time.monotonic() + PDU_SECONDS
        while len(received) < nr_bytes:
            left = until - time.monotonic()
            if left <= 0:
                self._give_up(f"a PDU that took longer than {PDU_SECONDS:g} s")
            connection.settimeout(min(left, READ_SECONDS))
            piece = connection.recv(min(nr_bytes - len(received), _CHUNK_BYTES))
            if not piece:
                break
            received += piece
        return received

    def _give_up(self, why: str) -> None:
        if self.socket is not None:
            self._shutdown_socket()
        raise ConnectionAbortedError(why)


class GuardedHandler(RequestHandler):
    """Starts an association on a guarded socket."""

    server: GuardedServer

    def handle(self) -> None:
        """Do the handshake of TLS, if there is one, and start the association."""
        context = self.server.tls
        if context is not None:
            self.request.settimeout(PDU_SECONDS)
            try:
                self.request = context.wrap_socket(self.request, server_side=True)
            except OSError:
                self.request.close()
                return
        super().handle()

    def _create_association(self) -> Association:
        association = super()._create_association()
        guarded: Any = association.dul.socket
        guarded.__class__ = GuardedSocket  # making one anew would announce the connection twice
        guarded.max_instance_bytes = self.server.settings.max_instance_bytes
        return association


class GuardedServer(ThreadedAssociationServer):
    """A server that lets in the hosts that it should, and no more connections than it can hold."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(
        self, *args: Any, settings: DicomSettings, refused: Callable[[str, str], None], **names: Any
    ) -> None:
        self.settings = settings
        self._networks = networks(settings.allow_hosts)
        self._refused = refused
        names["request_handler"] = GuardedHandler
        super().__init__(*args, **names)
        self.tls, self.ssl_context = self.ssl_context, None

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether a connection may go on."""
        del request
        host = client_address[0]
        if self._networks and not any(ip_address(host) in one for one in self._networks):
            self._refused(host, "its address is not in allow_hosts")
            return False
        if len(self.active_associations) >= self.settings.max_associations + SPARE_CONNECTIONS:
            self._refused(host, "too many connections")
            return False
        return True

    def shutdown(self) -> None:
        """Accept no more; the base class would also look for itself among servers of `AE`."""
        TCPServer.shutdown(self)
        self.server_close()
