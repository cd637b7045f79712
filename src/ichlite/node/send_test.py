"""Send the DICOM files of a folder to this machine's own node, as a scanner would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from ichlite.errors import UsageError
from ichlite.node.peers import ThisNode, echo, send_files
from ichlite.node.settings import AeTitle, DicomSettings, read_settings

AET: AeTitle = "ICHLITE-TEST"
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  as it may stand in node.toml


class Sent(msgspec.Struct, frozen=True):
    """Result of sending a folder of DICOM files to the node.

    Attributes:
        aet, port: AE title and port that the files were sent to.
        sent: Number of files that the node acknowledged.
        refused: Reason for each file that was refused, by file.
        skipped: Files that are not DICOM.
    """

    aet: str
    port: int
    sent: int
    refused: dict[str, str]
    skipped: tuple[str, ...]

    @property
    def reasons(self) -> Counter[str]:
        """Number of refused files for each reason."""
        return Counter(self.refused.values())


def send_test(
    folder: Path,
    files_of: Path,
    *,
    port: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Sent:
    """Send every DICOM file below a folder to a node on this machine, after a C-ECHO.

    Args:
        folder: Folder of the node, which must be running.
        files_of: Folder with the files to send.
        port: Port that the node listens on, if its settings leave it open (0).
        advance: Progress callback, called with the number of files just sent.

    Raises:
        UsageError: There is nothing to send, or the port is unknown.
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
        raise UsageError(
            f"{files_of} holds no DICOM file",
            found=f"{len(skipped)} other files",
            remedy="name a folder with DICOM files",
        )
    node, caller = _node_as_peer(settings, port)
    echo(node, caller)
    refused = {}
    for path, why in send_files(node, caller, files):
        if why is not None:
            refused[str(path)] = why
        advance(1)
    return Sent(settings.aet, port, len(files) - len(refused), refused, skipped)


def _node_as_peer(settings: DicomSettings, port: int) -> tuple[ThisNode, DicomSettings]:
    """Return the node as one that is sent to, and a caller whom it lets in."""
    host = "127.0.0.1" if settings.host in EVERYWHERE else settings.host
    node = ThisNode(
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
