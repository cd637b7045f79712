"""Write the first `node.toml` of a node."""

from __future__ import annotations

from pathlib import Path

from ichlite.atomic_files import write_text
from ichlite.errors import IchliteError, UsageError
from ichlite.node.settings import FILE, DicomSettings, HttpSettings, settings_of


def write_initial_settings(
    folder: Path,
    *,
    dicom_port: int = DicomSettings().port,
    http_port: int = HttpSettings().port,
    aet: str = DicomSettings().aet,
) -> None:
    """Write the `node.toml` of a new node.

    Args:
        folder: Folder of the node; made when missing.
        dicom_port: Port for DICOM.
        http_port: Port for web pages and DICOMweb.
        aet: AE title of the node.

    Raises:
        UsageError: The folder already holds a node, or a value is out of range.
        IchliteError: The folder cannot be written.
    """
    path = folder / FILE
    if path.exists():
        raise UsageError(f"{folder} holds a node already", remedy="name another folder")
    text = _INITIAL.format(dicom_port=dicom_port, http_port=http_port, aet=aet)
    try:
        settings_of(text)
    except ValueError as error:
        raise UsageError(f"no node can have these settings: {error}") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IchliteError(f"cannot make {folder}: {error.strerror}") from None
    write_text(path, text)


_INITIAL = """\
# Settings of an ichlite node; docs/node.md explains each. Changes take effect at the next start.

[dicom]
host = "0.0.0.0"          # all networks of this machine; "127.0.0.1" for this machine alone
port = {dicom_port}
aet = "{aet}"
allow_aets = []           # calling AE titles that are let in; empty: all
allow_hosts = []          # such as "192.168.1.0/24"; empty: all
max_associations = 25

[http]
host = "127.0.0.1"        # the page is for this machine alone until you say otherwise
port = {http_port}

[study]
quiet_s = 60              # a study is complete when nothing came for it for so many seconds

[store]
path = "store"
reserve_bytes = 2_000_000_000
retention_days = 30       # 0: keep all

[read]
operating_point = "balanced"
child_memory_mb = 2048
child_seconds = 300

# [[source]]
# aet = "CT1"
# quiet_s = 30

# [[peer]]
# name = "pacs"
# aet = "ORTHANC"
# host = "192.168.1.10"
# port = 4242
"""
