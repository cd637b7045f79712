"""The light half never loads the training half: proved in a fresh process for each entry."""

import inspect
import subprocess
import sys

import pytest

import ichlite
from ichlite import errors

HEAVY = {
    *("tensorflow", "keras", "torch", "sklearn", "pandas"),
    *("scipy", "matplotlib", "nilearn", "jax", "nibabel"),
}
LIGHT_MODULES = (
    "ichlite",
    "ichlite.infer",
    "ichlite.infer.pipeline",
    "ichlite.infer.bundle_facts",
    "ichlite.infer.heatmap",
    "ichlite.write.result_files",
    "ichlite.write.result_files",
    "ichlite.write.report_page",
    "ichlite.write.result_objects",
    "ichlite.write.triage",
    "ichlite.bench.bench_document",
    "ichlite.bench.peak_memory",
    "ichlite.bench.bench_report",
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
        "from ichlite.write.report_page import Report\n"
        "report = Report(load_bundle())\n"
        "read_paths(GE_HEAD.files, visit=report.add, pixels_for_visit=True)\n"
    )
    assert "ai_edge_litert" in loaded
    assert loaded.isdisjoint(HEAVY), loaded & HEAVY


@pytest.mark.parametrize("words", [["--help"], ["read", "--help"], ["--version"]])
def test_help_loads_next_to_nothing(words):
    """What makes it slow, rather than how slow it is here: benchmarks/help_speed.py measures."""
    loaded = loaded_after(
        "import sys\n"
        f"sys.argv = ['ichlite', *{words}]\n"
        "from ichlite.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert stop.code == 0\n"
    )
    assert "typer" in loaded
    assert loaded.isdisjoint(
        {"numpy", "pydicom", "PIL", "ai_edge_litert", "rich", "pydantic", "asyncio", *HEAVY}
    )


def test_the_package_itself_loads_next_to_nothing():
    loaded = loaded_after("import ichlite")
    assert loaded.isdisjoint({"numpy", "pydicom", "typer", *HEAVY})


def output_without_keras(code):
    run = subprocess.run(
        [sys.executable, "-c", f"import sys\nsys.modules['keras'] = None\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def test_star_import_works_without_the_training_half():
    code = "from ichlite import *\nprint(read_paths.__name__, Analysed.__name__)"
    assert output_without_keras(code) == "read_paths Analysed\n"


def test_help_works_without_the_training_half():
    shown = output_without_keras("import ichlite\nhelp(ichlite)")
    for name in ("class Analysed(", "class BundleError(", "read_paths(paths", "ScanResult = "):
        assert name in shown


def test_results_and_every_error_are_public():
    classes = inspect.getmembers(errors, inspect.isclass)
    found = {name for name, one in classes if issubclass(one, errors.IchliteError)}
    assert len(found) > 9
    assert found <= set(ichlite.__all__)
    for name in ("ScanResult", "Analysed", "NotAnalysed", "ReadResult"):
        assert name in ichlite.__all__
    for name in ichlite.__all__:
        assert getattr(ichlite, name) is not None
    assert ichlite.UnreadableFile is errors.UnreadableFile
