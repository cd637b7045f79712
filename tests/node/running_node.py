"""A node in a process of its own, as a site runs it, for tests."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SETTINGS = """
[dicom]
host = "127.0.0.1"
port = 0
[http]
port = 0
[study]
quiet_s = 0.5
[store]
reserve_bytes = 1_000_000
"""


class RunningNode:
    """A node that runs, and what a test asks of it.

    Args:
        folder: Of the node; its `node.toml` is there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.start()

    def start(self) -> None:
        """Start the process and wait until its ports listen."""
        command = (sys.executable, "-m", "ichlite", "node", "run", str(self.folder))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        ports = re.search(r"DICOM on port (\d+)(?:.*:(\d+))?", line)
        if ports is None:
            self.process.wait(60)
            self._close()
            raise AssertionError(f"{line!r}, {self.log.read_text()}")
        self.dicom_port = int(ports[1])
        self.http_port = int(ports[2] or 0)

    def status(self) -> dict[str, Any]:
        """Return what `ichlite node status --json` prints."""
        command = (sys.executable, "-m", "ichlite", "node", "status", str(self.folder), "--json")
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    def wait_for(
        self, holds: Callable[[dict[str, Any]], bool], seconds: float = 60
    ) -> dict[str, Any]:
        """Return the first status that holds."""
        until = time.monotonic() + seconds
        while not holds(found := self.status()):
            assert time.monotonic() < until, f"{found}, {self.log.read_text()[-3000:]}"
            time.sleep(0.2)
        return found

    def stop(self) -> int:
        """Tell it to stop, wait, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self._close()
        return code

    def kill(self) -> None:
        """Kill the process and its children, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def running_node(folder: Path, settings: str = "") -> Iterator[RunningNode]:
    """Start a node with the settings of tests and some more; kill what is left of it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "node.toml").write_text(SETTINGS + settings, encoding="utf-8")
    node = RunningNode(folder)
    try:
        yield node
    finally:
        if node.process.poll() is None:
            node.kill()
