"""Start a node and an Orthanc on loopback, send the sample studies, leave the worklist open.

    make demo-node

The scanner's part is played by `ichlite node send-test`, the PACS' by Orthanc, which gets the
results. Ctrl-C ends all; nothing is left. Without Orthanc (`apt-get install orthanc`) the node runs
alone.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.orthanc import Orthanc, free_port, is_here

from ichlite.samples import SAMPLES

ICHLITE = (sys.executable, "-m", "ichlite", "node")
READ_S = 300


def main() -> None:
    """Run the demonstration until Ctrl-C or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as ending:
        place = Path(ending.enter_context(TemporaryDirectory(prefix="ichlite-node-")))
        dicom_port, http_port = free_port(), free_port()
        peer = ""
        orthanc: Orthanc | None = None
        if is_here():
            orthanc = Orthanc(place / "orthanc", dicom_port)
            ending.callback(orthanc.stop)
            peer = (
                f'[[peer]]\nname = "orthanc"\naet = "{orthanc.aet}"\nhost = "127.0.0.1"\n'
                f"port = {orthanc.dicom_port}\n"
            )
            _say(f"Orthanc at http://127.0.0.1:{orthanc.http_port}/app/explorer.html")
        else:
            _say("No Orthanc here (apt-get install orthanc): results stay in the node")
        folder = place / "node"
        folder.mkdir()
        (folder / "node.toml").write_text(
            f'[dicom]\nhost = "127.0.0.1"\nport = {dicom_port}\n[http]\nport = {http_port}\n'
            f"[study]\nquiet_s = 2\n[store]\nreserve_bytes = 0\n{peer}",
            encoding="utf-8",
        )
        node = subprocess.Popen(
            [*ICHLITE, "run", str(folder)], stdout=subprocess.PIPE,
            stderr=(place / "node.log").open("wb"), start_new_session=True,
        )  # fmt: skip
        ending.callback(_end, node)
        assert node.stdout is not None
        line = node.stdout.readline().decode().strip()
        if not line:
            sys.exit((place / "node.log").read_text()[-2000:])
        _say(line)
        for sample in SAMPLES:
            subprocess.run([*ICHLITE, "send-test", str(folder), str(sample.folder)], check=True)
        _wait_for_results(folder, stop)
        if orthanc is not None:
            _say(f"Orthanc has {len(orthanc.uids())} results")
        page = re.search(r"http://\S+", line)
        _say(f"Worklist: {page[0] if page else f'http://127.0.0.1:{http_port}/'}")
        _say("Ctrl-C ends all")
        stop.wait()


def _wait_for_results(folder: Path, stop: threading.Event) -> None:
    """Wait until every sample is read and delivered, and print the result of each."""
    for _ in range(READ_S):
        said = subprocess.run(
            [*ICHLITE, "status", str(folder), "--json"], capture_output=True, check=True
        )
        status = json.loads(said.stdout)
        if status["done"] == len(SAMPLES) and not status["outbox"]["waiting"]:
            break
        if stop.wait(1):
            return
    for study in status["studies"]:
        urgent = {True: "urgent", False: "not urgent", None: "no call"}[study["urgent"]]
        _say(f"{study['study']}: {study['status']}, {urgent}, any {study['any']}")


def _end(node: subprocess.Popen[bytes]) -> None:
    node.terminate()
    try:
        node.wait(60)
    except subprocess.TimeoutExpired:
        node.kill()
        node.wait()
    if node.stdout is not None:
        node.stdout.close()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
