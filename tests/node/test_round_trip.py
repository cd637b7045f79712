"""From a real sender to a real PACS: dcmtk and Orthanc send a head CT, Orthanc gets the results."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts.orthanc import Orthanc, free_port
from tests.node.peers_of_tests import orthanc
from tests.node.running_node import RunningNode, running_node
from tests.write.dicom_tools import faults, run_tool, tool

from ichlite.samples import GE_HEAD

MOST_S = 60.0
"""From the last slice to the result, beyond the quiet time, on any machine."""
QUIET_S = 1.0


@pytest.fixture
def parts(tmp_path) -> Iterator[tuple[RunningNode, Orthanc]]:
    port = free_port()
    with orthanc(tmp_path / "orthanc", node_port=port) as pacs:
        peer = f'[[peer]]\nname = "pacs"\naet = "{pacs.aet}"\nhost = "127.0.0.1"\n'
        with running_node(tmp_path / "node") as node:
            node.stop()
            text = (node.folder / "node.toml").read_text()
            text = text.replace("port = 0", f"port = {port}", 1).replace("0.5", f"{QUIET_S}")
            (node.folder / "node.toml").write_text(f"{text}{peer}port = {pacs.dicom_port}\n")
            node.start()
            yield node, pacs


def _by_orthanc(node: RunningNode, pacs: Orthanc) -> None:
    for path in GE_HEAD.files:
        pacs.post("/instances", path.read_bytes())
    (study,) = pacs.get("/studies")
    sent = pacs.post("/modalities/ichlite/store", json.dumps({"Resources": [study]}).encode())
    assert (sent["InstancesCount"], sent["FailedInstancesCount"]) == (len(GE_HEAD.files), 0)


def _by_storescu(node: RunningNode, pacs: Orthanc) -> None:
    del pacs
    words = ["-xv", "-aec", "ICHLITE", "127.0.0.1", str(node.dicom_port), *map(str, GE_HEAD.files)]
    subprocess.run([tool("storescu"), *words], check=True, timeout=60)


@pytest.mark.long
@pytest.mark.parametrize("send", [_by_orthanc, _by_storescu])
def test_results_of_a_real_study_arrive(parts, tmp_path: Path, send):
    node, pacs = parts
    send(node, pacs)
    began = time.monotonic()
    status = node.wait_for(lambda found: found["done"] == 1 and found["outbox"]["sent"] == 2, 120)
    took = time.monotonic() - began - QUIET_S
    sys.stdout.write(f"{took:.1f} s from the last slice to the results, beyond the quiet time\n")
    assert took < MOST_S
    (study,) = status["studies"]
    assert (study["instances"], study["status"]) == (len(GE_HEAD.files), "analysed")
    results = {}
    for instance in pacs.get("/instances"):
        tags = pacs.get(f"/instances/{instance}/simplified-tags")
        if tags["Modality"] != "CT":
            assert tags["StudyInstanceUID"] == study["study"]
            path = tmp_path / f"{tags['Modality']}.dcm"
            address = f"http://127.0.0.1:{pacs.http_port}/instances/{instance}/file"
            with urllib.request.urlopen(address, timeout=30) as file:
                path.write_bytes(file.read())
            results[tags["Modality"]] = path
    assert set(results) == {"SR", "OT"} or set(results) == {"SR", "SC"}, results
    for path in results.values():
        assert faults(path) == []
    assert "Probability" in run_tool("dsrdump", results["SR"])
