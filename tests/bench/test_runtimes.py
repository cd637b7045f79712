"""Every runtime says of the same weights what LiteRT says; those that are not installed skip."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ichlite.bench.architectures import architecture_contenders
from ichlite.bench.interleaved_timing import AGREEMENT, differences_to_litert, sample_windows
from ichlite.bench.runtimes import LITERT, RUNTIMES, Contender
from ichlite.bench.worker import started
from ichlite.models import MODELS, light_fcn
from ichlite.samples import PHANTOM_BLEED


def installed(runtime: str) -> bool:
    return all(find_spec(module) is not None for module in RUNTIMES[runtime].needs)


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slices") / "slices.npy"
    np.save(path, sample_windows(PHANTOM_BLEED, every=16))
    return path


@pytest.fixture(scope="module")
def contenders(slices: Path) -> dict[tuple[str, str], Contender]:
    def small(**hyperparameters: Any) -> Any:
        return light_fcn(expansions=(8, 8), width=8, head_width=8, **hyperparameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "light_fcn", small)  # type: ignore[arg-type]
        names = [name for name in RUNTIMES if installed(name)]
        made = architecture_contenders("light_fcn", names, np.load(slices), slices.parent)
        return {(one.runtime, one.precision): one for one in made}


def logits_of(contender: Contender, slices: Path) -> np.ndarray:
    with started(contender, 1, slices) as worker:
        assert min(worker.times_ms(2)) > 0
        return worker.logits


@pytest.mark.long
@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name != LITERT])
def test_a_runtime_says_what_litert_says(
    contenders: dict[tuple[str, str], Contender], slices: Path, runtime: str
) -> None:
    if not installed(runtime):
        pytest.skip(f"{runtime} is not installed; it comes with ichlite[bench]")
    light = contenders[LITERT, "float32"]
    expected = logits_of(light, slices)
    other = contenders[runtime, "float32"]
    told = logits_of(other, slices)
    assert differences_to_litert({(light, 1): expected, (other, 1): told})[other, 1] is not None
    # Slices differ by far more than runtimes may: the agreement means something.
    assert np.ptp(expected, axis=0).min() > 100 * AGREEMENT


def test_int8_is_litert_alone_and_near_float32(
    contenders: dict[tuple[str, str], Contender], slices: Path
) -> None:
    assert [runtime for runtime, precision in contenders if precision == "int8"] == [LITERT]
    exact = logits_of(contenders[LITERT, "float32"], slices)
    near = logits_of(contenders[LITERT, "int8"], slices)
    assert 0 < np.abs(near - exact).max() < 0.3


def test_params_and_operations_are_those_of_the_model(
    contenders: dict[tuple[str, str], Contender],
) -> None:
    assert len({(one.params, one.flops) for one in contenders.values()}) == 1
    assert contenders[LITERT, "float32"].path.suffix == ".tflite"


def test_every_precision_that_is_written_can_be_measured_and_drawn() -> None:
    from ichlite.bench.bench_plots import KINDS
    from ichlite.compress.quantize import PRECISIONS

    assert set(PRECISIONS) == set(RUNTIMES[LITERT].precisions)
    assert {(LITERT, precision) for precision in PRECISIONS} <= set(KINDS)
