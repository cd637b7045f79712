"""The campaigns against a running node, short; the long ones are run by hand."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="the node needs ichlite[node]")

from scripts.node_fuzz import FuzzedNode, fuzz
from scripts.node_kill import Campaign, instance_path
from scripts.node_siege import besiege
from scripts.node_soak import _growth, soak
from scripts.orthanc import is_here

ROOT = Path(__file__).resolve().parents[2]
RUNS = 4
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def campaign(tmp_path):
    made = Campaign(tmp_path, seed=5, span_s=5)
    yield made
    made.close()


@pytest.mark.long
def test_a_node_that_is_killed_loses_and_doubles_nothing(campaign):
    found = campaign.run(RUNS)
    assert found.faults == []
    assert (found.runs, found.lost, found.duplicates) == (RUNS, 0, 0)
    assert found.studies == RUNS
    assert found.acknowledged == 24 * RUNS
    assert found.results_at_peer >= 2 * RUNS


@pytest.mark.long
def test_a_campaign_sees_what_is_lost_and_doubled(campaign):
    """What it looks for is found where it is put."""
    campaign._unsent += campaign._new_study()
    campaign._send()
    campaign._node.wait_for(lambda status: status["done"] == 1)
    campaign._node.wait_for(lambda status: status["outbox"]["waiting"] == 0)
    with closing(sqlite3.connect(campaign._tables)) as tables:
        digest = tables.execute("SELECT digest FROM instance").fetchone()[0]
        (campaign._tables.parent / instance_path(digest)).unlink()
        tables.execute(
            "INSERT INTO reading (study_id, version, state, queued_at, inputs, folder) "
            "SELECT study_id, 9, state, queued_at, inputs, folder FROM reading"
        )
        tables.commit()
    campaign._finish()
    assert (campaign.result.lost, campaign.result.duplicates) == (1, 1)
    assert len(campaign.result.faults) == 2


@pytest.mark.long
def test_a_soak_notes_memory_descriptors_and_threads(tmp_path):
    found = soak(tmp_path, studies=4, pause_s=5)
    assert found["done"] == 4
    assert len(found["notes"]) == 5
    assert found["growth"]["descriptors"] <= 3
    assert found["growth"]["threads"] <= 3
    assert 30 < found["idle"]["rss_mb"] < 200


def test_growth_is_seen():
    assert _growth([50.0, 60, 60, 60, 60, 60, 60, 60]) == 0
    assert _growth([60.0 + minute for minute in range(40)]) == 20


@pytest.mark.long
@pytest.mark.skipif(not is_here(), reason="no Orthanc here: apt-get install orthanc")
def test_the_demonstration_runs_and_ends(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    demo = subprocess.Popen(
        [sys.executable, "-m", "scripts.demo_node"], cwd=ROOT, env=environment,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert demo.stdout is not None
    lines = []
    while not (lines and "Ctrl-C" in lines[-1]):
        lines.append(demo.stdout.readline())
        assert lines[-1], lines
    demo.send_signal(signal.SIGINT)
    assert demo.wait(90) == 0
    demo.stdout.close()
    said = "".join(lines)
    assert "Orthanc has 4 results" in said
    assert "analysed, urgent" in said
    assert "Worklist: http://127.0.0.1:" in said
    assert list(tmp_path.iterdir()) == []
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(tmp_path) not in running.stdout


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # as a running node does
def test_damaged_files_are_taken_or_refused_and_read():
    counts, faults = fuzz(300, seed=1, read_every=1)
    assert faults == []
    assert min(counts["taken"], counts["refused"]) > 50
    assert counts["studies analysed"] >= 1


def test_a_fuzzed_node_sees_faults(tmp_path, monkeypatch):
    node = FuzzedNode(tmp_path)
    with closing(node.database):
        (tmp_path / "escaped").write_text("")
        node.look()
        monkeypatch.setattr(node, "_intake", None)
        node.take(b"", "one")
    assert node.faults == [
        "1 strays, 0 missing, tables ok",
        "one: AttributeError: 'NoneType' object has no attribute 'take'",
    ]


@pytest.mark.long
def test_a_node_stands_a_short_siege(tmp_path):
    found = besiege(tmp_path, scale=0.02)
    assert found["held"], found
    assert found["slices_sent"] >= 96
