"""The unit and the image of the node: what they call exists, and how exposed the unit is."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.node.peers_of_tests import REQUIRED

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
UNIT = PACKAGING / "ichlite-node.service"
MOST_EXPOSED = 2.0


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        line = "no systemd-analyze here, and the unit is not judged: apt-get install systemd"
        pytest.fail(line) if REQUIRED else pytest.skip(line)
    return found


def _service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str
    parser.read(UNIT)
    return parser["Service"]


def test_the_unit_is_hardly_exposed(analyze):
    command = [analyze, "security", "--offline=true", UNIT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert level is not None, done.stdout
    assert float(level[1]) <= MOST_EXPOSED
    assert "Unknown" not in done.stderr


def test_systemd_accepts_the_unit(analyze, tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/ichlite/bin/ichlite", "/bin/true"))
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "call", ["unshare", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"]
)
def test_the_unit_lets_a_child_confine_itself(call):
    assert call in UNIT.read_text()
    assert set(_service()["RestrictNamespaces"].split()) == {"user", "net"}
    assert _service().get("ProcSubset", "all") == "all"


def test_the_unit_gives_the_drain_its_time():
    from ichlite.node.outbox import DRAIN_S, LONGEST_CALL_S
    from ichlite.node.worker import DRAIN_S as READING_S

    assert float(_service()["TimeoutStopSec"]) > READING_S + DRAIN_S + LONGEST_CALL_S


@pytest.mark.parametrize("path", [UNIT, PACKAGING / "Containerfile"])
def test_what_they_call_is_a_command(ichlite, path):
    text = path.read_text().replace('", "', " ").replace('"]\nCMD ["', " ")
    assert re.search(r"/opt/ichlite/bin/ichlite node run /var/lib/ichlite\b", text)
    assert ichlite("node", "run", "--help").exit_code == 0


def test_the_image_runs_as_nobody_special():
    lines = (PACKAGING / "Containerfile").read_text().splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM"))
    users = [line for line in lines[last:] if line.startswith("USER")]
    assert users == ["USER 10001:10001"]
    assert all((PACKAGING.parent / name).exists() for name in _copied(lines))


def _copied(lines: list[str]) -> list[str]:
    copied = [line for line in lines if line.startswith("COPY") and "--from" not in line]
    return [name for line in copied for name in line.split()[1:-1]]


def test_without_its_packages_a_command_says_what_to_install(ichlite, monkeypatch, tmp_path):
    monkeypatch.setattr("ichlite.commands.console.find_spec", lambda name: None)
    said = ichlite("node", "init", tmp_path / "node")
    assert (said.exit_code, said.out) == (2, "")
    assert said.err.endswith("in the clone of ichlite, pip install '.[node]'\n")
    assert ichlite("node", "init", "--help").exit_code == 0


def test_help_of_the_node_cuts_no_line(ichlite):
    text = ichlite("node", "--help").out
    assert "..." not in text.split("Commands:")[1]
    assert "restore [OPTIONS] BACKUP FOLDER" in ichlite("node", "restore", "--help").out
    assert " FOLDER STUDY_FOLDER\n" in ichlite("node", "send-test", "--help").out


def test_a_new_node_says_how_to_start_it(ichlite, tmp_path):
    made = ichlite("node", "init", tmp_path / "node")
    assert made.exit_code == 0
    assert made.out.endswith(f"then start the node: ichlite node run {tmp_path / 'node'}\n")
