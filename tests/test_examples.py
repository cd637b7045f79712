"""Every example runs in a fresh process and prints something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SMALL: dict[str, tuple[str, ...]] = {"train_in_python": ("10", "1", "1")}
"""What makes an example quick: subjects, epochs and steps."""
EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, example, *SMALL.get(example.stem, ())],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
