"""Start an Orthanc of one's own on loopback, with free ports and a folder that it alone uses.

Orthanc is Debian's (`apt-get install orthanc orthanc-dicomweb`). For tests and `make demo-node`.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_S = 60


def is_here() -> bool:
    """Return whether Orthanc is installed."""
    return Path(PROGRAM).exists()


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Orthanc:
    """An Orthanc that runs.

    Args:
        folder: For its files; made.
        node_port: DICOM port of the node that it knows as `ichlite`; None for none.
        node_aet: AE title of that node.

    Attributes:
        dicom_port: Where it takes C-STORE.
        http_port: Where it takes REST and STOW-RS.
    """

    aet = "ORTHANC"

    def __init__(
        self, folder: Path, node_port: int | None = None, node_aet: str = "ICHLITE"
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.dicom_port, self.http_port = free_port(), free_port()
        self._log = folder / "log"
        self._settings = folder / "orthanc.json"
        settings: dict[str, Any] = {
            "Name": "ichlite test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAet": self.aet,
            "DicomPort": self.dicom_port,
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowStore": True,
            "OverwriteInstances": False,
            "StableAge": 1,
        }
        if node_port is not None:
            settings["DicomModalities"] = {"ichlite": [node_aet, "127.0.0.1", node_port]}
        if DICOMWEB.exists():
            settings |= {"Plugins": [str(DICOMWEB)], "DicomWeb": {"Enable": True}}
        self._settings.write_text(json.dumps(settings, indent=1), encoding="utf-8")
        self.start()

    @property
    def stow_url(self) -> str:
        """Address that STOW-RS is posted to."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web/studies"

    def start(self) -> None:
        """Start it, or start it again on the same files, and wait until it answers."""
        self.process = subprocess.Popen(
            [PROGRAM, str(self._settings)], stdout=self._log.open("ab"), stderr=subprocess.STDOUT
        )
        until = time.monotonic() + START_S
        while True:
            try:
                self.get("/system")
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(self._log.read_text()[-2000:]) from None
                time.sleep(0.1)

    def get(self, path: str) -> Any:
        """Return what a REST address answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=30) as said:
            return json.load(said)

    def post(self, path: str, body: bytes) -> Any:
        """Post to a REST address and return the answer."""
        asked = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", body)
        with urllib.request.urlopen(asked, timeout=300) as said:
            return json.load(said)

    def uids(self) -> list[str]:
        """Return the SOP Instance UIDs that it has."""
        there = self.get("/instances?expand")
        return sorted(one["MainDicomTags"]["SOPInstanceUID"] for one in there)

    def stop(self) -> None:
        """End it as the system would; what it acknowledged stays."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
