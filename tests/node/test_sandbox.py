"""The confinement of a child, tried from inside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_CHILD = """
import socket, sys
from pathlib import Path
from ichlite.node.sandbox import confine
missing = confine(Path({inside!r}), 512, 30)
if {need!r} in " ".join(missing):
    print("missing:", *missing)
    sys.exit()
{work}
print("done")
"""


def _run(folder: Path, work: str, need: str = "nothing") -> str:
    inside = folder / "inside"
    inside.mkdir(exist_ok=True)
    code = _CHILD.format(inside=str(inside), need=need, work=work)
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    if "missing:" in child.stdout:
        pytest.skip(child.stdout)
    return child.stdout + child.stderr


def test_its_own_folder_can_be_written_and_renamed_in(tmp_path):
    work = f"""
a = Path({str(tmp_path / "inside")!r})
(a / "x").write_text("1"); (a / "x").rename(a / "y"); (a / "z").mkdir(); (a / "y").unlink()
open("/dev/null", "w").write("x")
"""
    assert _run(tmp_path, work) == "done\n"


@pytest.mark.parametrize(
    "work",
    [
        *("open({0!r}, 'w')", "open({1!r}, 'w')", "open({1!r}, 'a')", "Path({1!r}).unlink()"),
        *("Path({0!r}).mkdir()", "Path({1!r}).rename({0!r})", "Path({0!r}).symlink_to('/')"),
    ],
)
def test_nothing_else_can_be_changed(tmp_path, work):
    there = tmp_path / "there"
    there.write_text("kept")
    said = _run(tmp_path, work.format(str(tmp_path / "new"), str(there)), "Landlock")
    assert "PermissionError" in said or "Invalid cross-device" in said
    assert there.read_text() == "kept"
    assert not (tmp_path / "new").exists()


def test_there_is_no_network(tmp_path):
    with __import__("socket").create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = _run(tmp_path, f"socket.create_connection(('127.0.0.1', {port}), 5)", "namespaces")
    assert "OSError" in said or "Error" in said
    assert "done" not in said


def test_memory_has_an_end(tmp_path):
    assert "MemoryError" in _run(tmp_path, "bytearray(2 << 30)")


def test_threads_that_come_later_are_confined_too(tmp_path):
    work = f"""
import threading
def write():
    try:
        open({str(tmp_path / "new")!r}, "w")
    except PermissionError:
        print("refused")
t = threading.Thread(target=write); t.start(); t.join()
"""
    assert _run(tmp_path, work, "Landlock") == "refused\ndone\n"
