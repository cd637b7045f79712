"""Send the DICOM files of a folder to this machine's own node, as a scanner would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from ichlite.errors import UsageError
from ichlite.node.peers import echo, send_files
from ichlite.node.settings import AeTitle, DicomSettings, PeerSettings, read_settings

AET: AeTitle = "ICHLITE-TEST"
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  as it may stand in node.toml


class Sent(msgspec.Struct, frozen=True):
    """What came of sending a folder.

    Attributes:
        aet, port: Who was called, and where.
        sent: Files that the node acknowledged.
        refused: Why, by file.
        skipped: Files that are no DICOM.
    """

    aet: str
    port: int
    sent: int
    refused: dict[str, str]
    skipped: tuple[str, ...]

    @property
    def reasons(self) -> Counter[str]:
        """How often each reason was given."""
        return Counter(self.refused.values())


def send_test(
    folder: Path,
    files_of: Path,
    *,
    port: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Sent:
    """Send every DICOM file below a folder to the node, after a C-ECHO.

    Args:
        folder: Of the node, which runs.
        files_of: Folder with the files to send.
        port: Where the node listens, if its settings leave that open.
        advance: Called with the number of files that were sent.

    Raises:
        UsageError: There is nothing to send, or nobody knows the port.
        Unreachable: The node does not answer.
    """
    settings = read_settings(folder).dicom
    if not files_of.exists():
        raise UsageError(f"{files_of} does not exist", remedy="name a folder with DICOM files")
    port = port or settings.port
    if not port:
        raise UsageError("node.toml leaves the port open", expected="--port N, as `run` printed it")
    files, skipped = _dicom_files(files_of)
    if not files:
        raise UsageError(f"{files_of} holds no DICOM file")
    node, caller = _node_as_peer(settings, port)
    echo(node, caller)
    refused = {}
    for path, why in send_files(node, caller, files):
        if why is not None:
            refused[str(path)] = why
        advance(1)
    return Sent(settings.aet, port, len(files) - len(refused), refused, skipped)


def _node_as_peer(settings: DicomSettings, port: int) -> tuple[PeerSettings, DicomSettings]:
    """Return the node as one that is sent to, and a caller whom it lets in."""
    host = "127.0.0.1" if settings.host in EVERYWHERE else settings.host
    node = PeerSettings(
        name="this node", aet=settings.aet, host=host, port=port,
        tls=settings.tls_certificate is not None, tls_authorities=settings.tls_certificate,
    )  # fmt: skip
    aet = (settings.allow_aets or (AET,))[0]
    return node, msgspec.structs.replace(settings, aet=aet)


def _dicom_files(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    found, skipped = [], []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            dcmread(path, specific_tags=[])
            found.append(path)
        except (InvalidDicomError, OSError, EOFError):
            skipped.append(str(path))
    return found, tuple(skipped)
