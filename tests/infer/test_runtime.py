import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichlite.ct.tensor import model_input
from ichlite.errors import BundleError, UsageError
from ichlite.infer.bundle import load_bundle
from ichlite.infer.runtime import Quantization, Runtime, dequantise, quantise, stored_input


@pytest.fixture(scope="module")
def runtime():
    return Runtime(load_bundle())


def some_hu(seed=0):
    rng = np.random.default_rng(seed)
    hu = rng.normal(30, 200, (256, 256)).clip(-1024, 3071).astype(np.int16)
    hu[:2, :2] = [[-1024, 3071], [0, 80]]
    return hu


def test_the_table_is_the_one_preprocessing_path_for_every_hu(runtime):
    """All 4096 HU, looked up, equal windows and quantization computed by the training path."""
    every_hu = np.tile(np.arange(-1024, 3072, dtype=np.int16), 16).reshape(256, 256)
    runtime.load(every_hu)
    looked_up = runtime._interpreter.tensor(runtime._input["index"])()[0].copy()
    computed = stored_input(model_input(every_hu), runtime._input)
    assert looked_up.dtype == computed.dtype
    assert np.array_equal(looked_up, computed)


@pytest.mark.parametrize("channels", [3, 4])
def test_what_is_stored_is_the_windows_and_a_blank(channels):
    windows = np.array([[0.0, 0.25, 1.0]], np.float32)
    details = {"dtype": np.int8, "quantization": (0.25, -2), "shape": (1, 256, 256, channels)}
    assert stored_input(windows, details).tolist() == [[-2, -1, 2, -2][:channels]]
    real = {**details, "dtype": np.float32}
    assert stored_input(windows, real).tolist() == [[0.0, 0.25, 1.0, 0.0][:channels]]


def test_hu_and_windows_give_the_same_bits(runtime):
    hu = some_hu()
    by_windows = runtime.run(model_input(hu))
    by_hu = runtime.run_hu(hu)
    assert np.array_equal(by_windows[0], by_hu[0])
    assert np.array_equal(by_windows[1], by_hu[1])


def test_outputs_are_logits_and_the_map_that_the_bundle_states(runtime):
    logits, lesion_map = runtime.run_hu(some_hu(1))
    assert logits.shape == (5,)
    assert logits.dtype == np.float32
    assert lesion_map.shape == (*runtime.bundle.map.cells, 5) == (32, 32, 5)
    assert lesion_map.dtype == np.float32
    assert np.ptp(lesion_map, axis=(0, 1)).min() > 0


def test_each_slice_is_judged_by_itself(runtime):
    first = [array.copy() for array in runtime.run_hu(some_hu(2))]
    runtime.run_hu(some_hu(3))
    again = runtime.run_hu(some_hu(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_threads_of_litert_do_not_change_the_result():
    one, two = Runtime(load_bundle(), 1), Runtime(load_bundle(), 2)
    for seed in range(3):
        a, b = one.run_hu(some_hu(seed)), two.run_hu(some_hu(seed))
        assert np.array_equal(a[0], b[0])
        assert np.array_equal(a[1], b[1])


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((512, 512), np.int16),
        np.zeros((256, 256), np.float32),
        np.zeros((1, 256, 256), np.int16),
    ],
)
def test_other_slices_are_refused(runtime, wrong):
    with pytest.raises(UsageError, match="cannot take this slice"):
        runtime.run_hu(wrong)


def test_threads_must_be_positive():
    with pytest.raises(UsageError, match="0 threads"):
        Runtime(load_bundle(), 0)


def test_a_file_that_is_no_model():
    broken = dataclasses.replace(load_bundle(), model=b"not a model" * 100)
    with pytest.raises(BundleError, match="LiteRT cannot load"):
        Runtime(broken)


def test_nothing_is_said_on_stderr(capfd):
    Runtime(load_bundle())
    assert capfd.readouterr().err == ""


@given(st.floats(0, 1, width=32), st.integers(-128, 127), st.floats(1e-3, 0.1))
def test_quantization_is_within_half_a_step(value, zero_point, scale):
    quantization = Quantization(scale, zero_point)
    low, high = (-128 - zero_point) * scale, (127 - zero_point) * scale
    real = np.array([value], np.float32)
    back = dequantise(quantise(real, quantization), quantization)
    assert abs(back[0] - np.clip(value, low, high)) <= scale * 0.501
