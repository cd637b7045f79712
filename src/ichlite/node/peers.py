"""Send DICOM files to a peer by C-STORE or STOW-RS, and ask whether it is there."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.status import code_to_category

from ichlite.errors import UnreadableFile
from ichlite.node.deliveries import Parcel
from ichlite.node.http_post import Answer, request
from ichlite.node.outbox import Answers, Send, Unreachable
from ichlite.node.settings import DicomSettings, PeerSettings, load_own_certificate

DUPLICATE = 0x0111
"""C-STORE status of a peer that already has the instance, which counts as sent."""
PROCESSING_FAILURE = 0x0110
"""DICOM status used for a failure for which no reason was given."""
ACSE_SECONDS, DIMSE_SECONDS = 10, 60
_MOST_CONTEXTS = 128
_ALERT_SECONDS = 2.0
"""Time in which a server of TLS 1.3 says that it wants another certificate."""


class ThisNode(PeerSettings, frozen=True):
    """This node as a peer of itself: its certificate is known, whatever name it was made for."""


def peer_sender(peer: PeerSettings, dicom: DicomSettings, results: Path) -> Send:
    """Return the function that sends result files to a peer, by C-STORE or STOW-RS.

    Args:
        peer: Settings of the peer.
        dicom: DICOM settings of this node, for its AE title and certificate.
        results: Folder of the result files. The paths in parcels, the results that wait in the
            outbox, are relative to it.
    """

    def store(parcels: tuple[Parcel, ...]) -> Answers:
        by_path = {results / parcel.file: parcel for parcel in parcels if parcel.file is not None}
        for path, refusal in send_files(peer, dicom, tuple(by_path)):
            yield by_path[path], refusal

    def stow(parcels: tuple[Parcel, ...]) -> Answers:
        for parcel in parcels:
            if parcel.file is not None:
                yield parcel, _stow(peer, results / parcel.file)

    return store if peer.stow_url is None else stow


def send_files(
    peer: PeerSettings, dicom: DicomSettings, files: Sequence[Path]
) -> Iterator[tuple[Path, str | None]]:
    """Send DICOM files to a peer over one association by C-STORE.

    Args:
        peer: Settings of the peer.
        dicom: DICOM settings of this node, for its AE title and certificate.
        files: DICOM files.

    Yields:
        Each file, with None if the peer stored it, else why it was not sent or was refused.

    Raises:
        Unreachable: No association can be made, or it was lost.
    """
    contexts: dict[tuple[str, str], PresentationContext] = {}
    for path in files:
        try:
            meta = dcmread(path, specific_tags=[]).file_meta
            key = str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
        except (OSError, InvalidDicomError, AttributeError):
            continue  # told when it is its turn
        contexts.setdefault(key, build_context(*key))
    offered = list(contexts.values())[:_MOST_CONTEXTS] or [build_context(Verification)]
    with associated(peer, dicom, offered) as association:
        for path in files:
            try:
                yield path, _store(association, path)
            except UnreadableFile as error:
                yield path, str(error)


def echo(peer: PeerSettings, dicom: DicomSettings) -> None:
    """Check that a peer answers, by C-ECHO or, if it receives results over DICOMweb, by HTTP.

    Args:
        peer: Settings of the peer.
        dicom: DICOM settings of this node, for its AE title and certificate.

    Raises:
        Unreachable: The peer does not answer, or answers with an error.
    """
    if peer.stow_url is not None:
        # A body that holds nothing: a server of STOW-RS refuses it, one that is none says 404.
        answer = _post(peer, peer.stow_url, b"")
        if answer.status in (401, 403, 404) or answer.status >= 500:
            raise Unreachable(f"it answers {answer.status}")
        return
    with associated(peer, dicom, [build_context(Verification)]) as association:
        status = association.send_c_echo().get("Status")
    if status != 0:
        raise Unreachable("it does not answer C-ECHO")


@contextmanager
def associated(
    peer: PeerSettings, dicom: DicomSettings, contexts: list[PresentationContext]
) -> Iterator[Association]:
    """Provide an association with a peer and release it when the context ends.

    Args:
        peer: Settings of the peer.
        dicom: DICOM settings of this node, for its AE title and certificate.
        contexts: Presentation contexts to propose.

    Yields:
        The established association.

    Raises:
        Unreachable: The peer cannot be reached or rejects it.
    """
    entity = AE(dicom.aet)
    entity.acse_timeout = entity.connection_timeout = ACSE_SECONDS
    entity.dimse_timeout = entity.network_timeout = DIMSE_SECONDS
    secured: dict[str, Any] = {}
    if peer.tls:
        secured = {"tls_args": (_tls(peer, dicom), peer.host)}
    try:
        association = associate(entity, peer.host, peer.port, peer.aet, contexts, **secured)
    except OSError as error:
        raise Unreachable(f"{peer.host} cannot be reached: {error.strerror or error}") from None
    if association.is_rejected:
        primitive = association.acceptor.primitive
        why = getattr(primitive, "reason_str", "") if primitive is not None else ""
        raise Unreachable(f"{peer.host} port {peer.port} rejects the association: {why}")
    if not association.is_established:
        why = _why_no_tls(peer, dicom) if peer.tls else ""
        raise Unreachable(f"{peer.host} port {peer.port} {why or 'does not answer'}")
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
        else:
            association.abort()


class AwaitedAnswers(DIMSEServiceProvider):
    """DIMSE provider of a requesting association, whose background thread leaves answers alone.

    pynetdicom 3.0 pauses that thread during a request; if it was just about to continue, it takes
    the answer and drops it, and the request waits until its time-out.
    """

    def get_msg(self, block: bool = False) -> Any:
        """Return the next message if the caller blocks for it, otherwise (None, None)."""
        return super().get_msg(block) if block else (None, None)


def associate(
    entity: AE,
    host: str,
    port: int,
    aet: str,
    contexts: list[PresentationContext] | None = None,
    **secured: Any,
) -> Association:
    """Request an association with a peer; the caller checks whether it was established.

    Args:
        entity: Application entity that requests the association.
        host: Host name or address of the peer.
        port: TCP port of the peer.
        aet: AE title of the peer.
        contexts: Presentation contexts to propose; None for those of `entity`.
        secured: TLS options as `pynetdicom.AE.associate` takes them.

    Returns:
        The association, which never loses answers to its requests.
    """
    association = entity.associate(host, port, contexts, ae_title=aet, **secured)
    messages: Any = association.dimse
    messages.__class__ = AwaitedAnswers
    return association


def _why_no_tls(peer: PeerSettings, dicom: DicomSettings) -> str:
    """Return why the handshake of TLS fails, which pynetdicom does not tell; empty if it does not.

    With TLS 1.3 a server that does not like our certificate says so after the handshake.
    """
    context = _tls(peer, dicom)
    try:
        with (
            socket.create_connection((peer.host, peer.port), ACSE_SECONDS) as bare,
            context.wrap_socket(bare, server_hostname=peer.host) as secured,
        ):
            secured.settimeout(_ALERT_SECONDS)
            with suppress(TimeoutError):
                secured.recv(1)
    except ssl.SSLCertVerificationError as error:
        return f"has a certificate that is not trusted: {error.verify_message}"
    except ssl.SSLError as error:
        return f"does not agree on TLS: {error.reason or error}"
    except OSError:
        return ""
    return ""


def _tls(peer: PeerSettings, dicom: DicomSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=peer.tls_authorities)
        if isinstance(peer, ThisNode):
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        load_own_certificate(context, dicom)
    except OSError as error:
        raise Unreachable(f"no TLS to {peer.host}: {error.strerror or error}") from None
    return context


def _store(association: Association, path: Path) -> str | None:
    """Send one file; return None when the peer has it, else why not."""
    try:
        data = dcmread(path)
    except (OSError, InvalidDicomError) as error:
        raise UnreadableFile(f"its file cannot be read: {type(error).__name__}") from None
    try:
        status = association.send_c_store(data).get("Status")
    except ValueError:
        return "the peer does not take this kind of object"
    except (RuntimeError, AttributeError):
        status = None
    if status is None:
        raise Unreachable("the connection was lost")
    if code_to_category(status) in ("Success", "Warning") or status == DUPLICATE:
        return None
    return f"the peer answers {status:04X}"


def _stow(peer: PeerSettings, path: Path) -> str | None:
    """Post one file; return None when the peer has it, else why not.

    Source:
        DICOM PS3.18 section 10.5.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"its file cannot be read: {error.strerror}"
    assert peer.stow_url is not None  # noqa: S101  by the caller
    answer = _post(peer, peer.stow_url, data)
    if answer.status in (401, 403, 404):
        raise Unreachable(f"the peer answers {answer.status}")
    reasons = _failures(answer.body)
    is_there = answer.status in (200, 202) and not reasons
    if is_there or (reasons and reasons <= {DUPLICATE}):
        return None
    named = ", ".join(f"{reason:04X}" for reason in sorted(reasons))
    return f"the peer answers {answer.status}" + (f" and {named}" if named else "")


def _post(peer: PeerSettings, url: str, data: bytes) -> Answer:
    boundary = os.urandom(16).hex()
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = head + data + f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
    }
    if peer.authorization is not None:
        headers["Authorization"] = peer.authorization
    return request("POST", url, body, headers, authorities=peer.tls_authorities)


def _failures(body: bytes) -> set[int]:
    """Return the failure reasons (0008,1197) of an answer to STOW-RS.

    Example:
        >>> _failures(b'{"00081198": {"Value": [{"00081197": {"Value": [273]}}]}}')
        {273}
        >>> _failures(b"<html>")
        set()
    """
    try:
        answer = msgspec.json.decode(body)
        failed = answer.get("00081198", {}).get("Value", [])
    except (msgspec.MsgspecError, AttributeError):
        return set()
    reasons = set()
    for one in failed:
        try:
            reasons.add(int(one["00081197"]["Value"][0]))
        except (KeyError, IndexError, TypeError, ValueError):
            reasons.add(PROCESSING_FAILURE)
    return reasons
