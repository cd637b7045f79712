"""The C++ example compiles, and gives the logits of `ichlite read`, bit for bit.

The library is that of the Python package, which comes without headers: those that the example
includes are replaced by declarations of the part that it uses (`tests/litert_headers`).
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ichlite.ct.brain_level import at_level, brain_level_hu
from ichlite.ct.series import find_series
from ichlite.ct.tensor import read_volume
from ichlite.infer.bundle import EMBEDDED, load_bundle
from ichlite.infer.runtime import Runtime
from ichlite.samples import PHANTOM_BLEED

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "examples" / "cpp" / "read_slice.cpp"
DECLARATIONS = Path(__file__).parent / "litert_headers" / "declarations.h"
BUNDLES = [EMBEDDED, ROOT / "models" / "lesion_fcn-int8"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    package = importlib.util.find_spec("ai_edge_litert")
    assert package is not None
    assert package.submodule_search_locations is not None
    library = Path(package.submodule_search_locations[0]) / "libLiteRt.so"
    if not library.exists():
        pytest.skip("the package of LiteRT has no libLiteRt.so here")
    folder = tmp_path_factory.mktemp("cpp")
    headers = folder / "litert" / "c"
    headers.mkdir(parents=True)
    for line in SOURCE.read_text().splitlines():
        if line.startswith('#include "litert/c/'):
            (headers / line.split("/")[-1].rstrip('"')).write_text(f'#include "{DECLARATIONS}"\n')
    made = folder / "read_slice"
    flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{folder}"]
    link = [str(library), f"-Wl,-rpath,{library.parent}", "-o", str(made)]
    subprocess.run([compiler, *flags, str(SOURCE), *link], check=True)
    return made


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_program_gives_the_logits_of_read(program: Path, bundle: Path, tmp_path: Path) -> None:
    (series,), _ = find_series([str(PHANTOM_BLEED.folder)])
    hu = read_volume(series).hu
    loaded = load_bundle(bundle)
    assert loaded.brain_level_hu is not None
    hu = at_level(hu, brain_level_hu(hu), loaded.brain_level_hu)
    spec = json.loads((bundle / "manifest.json").read_text())["input"]
    numbers = spec["quantization"] or {"scale": 1.0, "zero_point": 0}
    runtime = Runtime(loaded)
    for slice_hu in hu[::9]:
        slice_hu.tofile(tmp_path / "slice.hu")
        words = (spec["dtype"], spec["channels"], numbers["scale"], numbers["zero_point"])
        done = subprocess.run(
            [program, bundle / "model.tflite", tmp_path / "slice.hu", *map(str, words)],
            capture_output=True,
            text=True,
            check=True,
        )
        told = np.array(done.stdout.split(), np.float32)
        assert np.array_equal(told, runtime.run_hu(slice_hu)[0])
