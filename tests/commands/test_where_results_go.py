"""One rule for all commands that write: what no machine could do is 2, what this one forbids 1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ichlite.app import app

Run = Callable[..., Any]
OUT = "OUT"
WRITING: dict[str, tuple[str, ...]] = {
    "demo": ("demo", "--out", OUT),
    "read --html": ("read", ".", "--html", f"{OUT}/report.html"),
    "read --csv": ("read", ".", "--csv", f"{OUT}/slices.csv"),
    "bench": ("bench", "--out", OUT),
    "phantom": ("phantom", OUT, "--subjects", "1"),
    "phantom --format dicom": ("phantom", OUT, "--subjects", "1", "--format", "dicom"),
    "implant": ("implant", "store", OUT),
    "prepare": ("prepare", "rsna", ".", OUT),
    "prepare tables": ("prepare", "tables", ".", f"{OUT}/split.csv"),
    "train": ("train", "store", OUT),
    "tune": ("tune", "store", OUT),
    "evaluate --out": ("evaluate", "embedded", "store", "--out", OUT),
    "evaluate --scores": ("evaluate", "embedded", "store", "--scores", f"{OUT}/scores.csv"),
    "compress": ("compress", "run", "store", OUT),
    "pareto": ("pareto", "embedded", "--out", OUT),
    "score": ("score", "archive", OUT),
    "reproduce": ("reproduce", "store", OUT),
}
"""Every command with somewhere to write to; what else it is given need not be there."""
NOTHING_TO_WRITE = {"info", "models"}


def test_every_command_is_here() -> None:
    named = {words[0] for words in WRITING.values()}
    assert named | NOTHING_TO_WRITE == {one.name for one in app.registered_commands}


@pytest.fixture
def run_at(
    ichlite: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Run:
    """Run a command of `WRITING` in an empty folder, with this for OUT."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(name: str, out: Path) -> Any:
        return ichlite(*(word.replace(OUT, str(out)) for word in WRITING[name]))

    return run


@pytest.mark.parametrize("name", WRITING)
def test_a_place_that_cannot_be_written_is_1(run_at: Run, read_only: Path, name: str) -> None:
    for out in (read_only, read_only / "new") if "/" not in WRITING[name][-1] else (read_only,):
        done = run_at(name, out)
        assert (done.exit_code, done.out, done.err.count("\n")) == (1, "", 1), done.err
        why = (
            f"no file can be created in {read_only}: Permission denied; name a folder that you may"
        )
        assert why in done.err
    assert list(read_only.iterdir()) == []


@pytest.mark.parametrize("name", WRITING)
def test_a_file_where_a_folder_is_to_be_is_2(run_at: Run, tmp_path: Path, name: str) -> None:
    file = tmp_path / "a-file"
    file.write_text("mine")
    done = run_at(name, file)
    assert (done.exit_code, done.out, done.err.count("\n")) == (2, "", 1), done.err
    assert str(file) in done.err
    assert file.read_text() == "mine"
