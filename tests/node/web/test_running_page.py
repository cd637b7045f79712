"""The page of a node that runs as a site runs it: its numbers, its words, its size."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import urllib.request
import zipfile
from base64 import b64encode
from pathlib import Path

import pytest
from pydicom import dcmread
from tests.dicom_files import write_head_series
from tests.node.running_node import running_node

CANARY = "CANARY^<script>alert(1)</script>"
MOST_IDLE_BYTES = 120e6


def add_user(folder, name, password, *more):
    command = (sys.executable, "-m", "ichlite", "node", "add-user", str(folder), name, *more)
    given = password.encode("latin-1")
    return subprocess.run(command, input=given, capture_output=True)


class Caller:
    def __init__(self, node):
        self.base = f"http://127.0.0.1:{node.http_port}"
        self.password = "Basic " + b64encode(b"ann:correct horse").decode()

    def ask(self, path, body=None, kind="application/zip"):
        headers = {"Authorization": self.password, "Content-Type": kind}
        request = urllib.request.Request(self.base + path, body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "node"
    with running_node(folder) as started:
        done = add_user(folder, "ann", "correct horse\n", "--password-stdin", "--admin")
        assert done.stdout == b"Added ann, admin\n"
        yield started


@pytest.fixture(scope="module")
def study(node, tmp_path_factory):
    """The UID of a study that came as a zip archive and was read."""
    files = write_head_series(
        tmp_path_factory.mktemp("head"), 28, study="77", PatientName=CANARY, PatientID="=CANARY-ID"
    )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        for file in files:
            made.write(file, f"../{file.name}")
    answer = json.loads(Caller(node).ask("/api/uploads", archive.getvalue()))
    assert answer["stored"] == 28
    node.wait_for(lambda found: found["done"] == 1, 120)
    return str(dcmread(files[0]).StudyInstanceUID)


def resident_bytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc: size not measured")
def test_it_is_small_after_every_kind_of_page(node, study):
    ask = Caller(node).ask
    for path in ("/", "/queue", "/drift", "/settings", "/verdicts.csv", "/metrics", "/api/studies"):
        ask(path)
    ask(f"/studies/{study}"), ask(f"/studies/{study}/versions/1/report")
    assert resident_bytes(node.process.pid) < MOST_IDLE_BYTES


def test_numbers_are_those_of_the_reading_and_the_scan_was_measured(node, study):
    reading = json.loads(Caller(node).ask(f"/api/studies/{study}/versions/1/reading"))
    (read,) = [one for one in reading["studies"] if one["status"] == "analysed"]
    detail = json.loads(Caller(node).ask(f"/api/studies/{study}"))
    (version,) = detail["versions"]
    assert version["any"] == detail["study"]["any"] == read["scan"]["any"]
    assert version["urgent"] == read["urgent"]
    assert 0 < version["brain_level_hu"] < 80
    assert 0 < version["noise_hu"] < 20
    drift = json.loads(Caller(node).ask("/api/drift"))
    assert drift["sources"][0]["weeks"][0]["brain_level_hu"] == round(version["brain_level_hu"], 2)
    assert "CANARY" not in json.dumps(reading)


def test_no_patient_is_named_where_none_should_be(node, study):
    for path in ("/health", "/ready", "/metrics", "/settings", "/drift"):
        assert b"CANARY" not in Caller(node).ask(path), path
    log = node.log.read_text()
    assert "study read" in log
    assert "CANARY" not in log
    with pytest.raises(urllib.error.HTTPError) as fault:
        Caller(node).ask(f"/api/studies/{study}/versions/9/reading")
    assert b"CANARY" not in fault.value.read()


@pytest.mark.long
def test_add_user_says_what_is_wrong(node):
    done = add_user(node.folder, "eva", "short\n", "--password-stdin")
    assert done.returncode == 2
    assert b"8 to 200" in done.stderr
    done = add_user(node.folder, "eva", "schöne Welt\n", "--password-stdin")
    assert done.returncode == 2
    assert b"is not UTF-8" in done.stderr
    assert add_user(node.folder, "a/b", "correct horse\n", "--password-stdin").returncode == 2
    assert add_user(node.folder, "eva", "correct horse\n", "--password-stdin").returncode == 0
    again = add_user(node.folder, "eva", "battery staple\n", "--password-stdin", "--admin")
    assert again.stdout == b"Changed eva, admin\n"
    unasked = add_user(node.folder, "eva", "")  # stdin is no terminal
    assert (unasked.returncode, unasked.stderr.count(b"\n")) == (2, 1)
    assert b"--password-stdin" in unasked.stderr
