"""The light half never loads the training half: proved in a fresh process for each entry."""

import subprocess
import sys

import pytest

HEAVY = {
    *("tensorflow", "keras", "torch", "sklearn", "pandas"),
    *("scipy", "matplotlib", "nilearn", "jax"),
}
LIGHT_MODULES = (
    "ichlite",
    "ichlite.infer",
    "ichlite.infer.pipeline",
    "ichlite.infer.facts",
    "ichlite.infer.heatmap",
    "ichlite.write.json",
    "ichlite.write.csv",
    "ichlite.write.html",
    "ichlite.write.triage",
    "ichlite.bench.document",
    "ichlite.bench.fresh",
    "ichlite.bench.report",
    "ichlite.bench.worker",
    "ichlite.samples",
    "ichlite.cli",
    "ichlite.node",
)


def loaded_after(code: str) -> set[str]:
    program = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(run.stdout.split("\n")[-2].split())


def test_the_light_half_loads_nothing_heavy():
    loaded = loaded_after("import " + ", ".join(LIGHT_MODULES))
    assert "ichlite" in loaded
    assert "ai_edge_litert" not in loaded
    assert loaded.isdisjoint(HEAVY), loaded & HEAVY


def test_reading_a_study_loads_nothing_heavy():
    loaded = loaded_after(
        "import sys\n"
        "from ichlite.samples import GE_HEAD\n"
        "from ichlite.infer.pipeline import read_paths\n"
        "from ichlite.infer.bundle import load_bundle\n"
        "from ichlite.write.html import Report\n"
        "report = Report(load_bundle())\n"
        "read_paths(GE_HEAD.files, visit=report.add, pixels_for_visit=True)\n"
    )
    assert "ai_edge_litert" in loaded
    assert loaded.isdisjoint(HEAVY), loaded & HEAVY


@pytest.mark.parametrize("module", ["ichlite", "ichlite.cli"])
def test_help_needs_neither_numpy_nor_pydicom(module):
    loaded = loaded_after(f"import {module}")
    assert loaded.isdisjoint({"numpy", "pydicom", "PIL", "ai_edge_litert", "rich", *HEAVY})
