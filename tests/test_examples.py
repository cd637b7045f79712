"""Every example runs in a fresh process and prints something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.dicom_files import write_ct_slice
from tests.raw_interpreter import LARGEST_DIFFERENCE, largest_difference, load_example

from ichlite.ct.tensor import GRID, HU_MAX, HU_MIN, resize_hu
from ichlite.infer.bundle import EMBEDDED

ROOT = Path(__file__).resolve().parents[1]
SMALL: dict[str, tuple[str, ...]] = {"train_in_python": ("10", "1", "1")}
"""What makes an example quick: subjects, epochs and steps."""
EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.long
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


BUNDLES = [EMBEDDED, *(path.parent for path in sorted(ROOT.glob("models/*/manifest.json")))]


@pytest.mark.long
@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_bare_interpreter_says_what_read_says(bundle: Path):
    assert largest_difference(bundle) <= LARGEST_DIFFERENCE


@pytest.mark.parametrize("shape", [(512, 512), (300, 411), (100, 90), (1024, 1024), (256, 256)])
def test_the_bare_interpreter_resizes_as_read_does(shape: tuple[int, int], tmp_path: Path):
    hu = np.random.default_rng(0).integers(-1024, 3072, shape).astype(np.int16)
    spec = {"hu_min": HU_MIN, "hu_max": HU_MAX, "rows": GRID, "columns": GRID}
    write_ct_slice(tmp_path / "1.dcm", hu)
    assert np.array_equal(load_example().read_hu(tmp_path, spec)[0], resize_hu(hu))
