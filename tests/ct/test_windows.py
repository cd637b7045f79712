import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichlite.ct.windows import BRAIN, PAPER_WINDOWS, SOFT_TISSUE, SUBDURAL, Window, apply_windows
from ichlite.errors import UsageError

ALL_HU = np.arange(-1024, 3072, dtype=np.int16)


def test_paper_windows_are_those_of_the_paper_in_channel_order():
    assert [(w.name, w.centre_hu, w.width_hu) for w in PAPER_WINDOWS] == [
        ("brain", 40, 80),
        ("subdural", 80, 200),
        ("soft_tissue", 40, 380),
    ]


@pytest.mark.parametrize("window", [BRAIN, SUBDURAL, SOFT_TISSUE])
def test_every_hu_matches_the_formula(window):
    exact = np.clip((ALL_HU - (window.centre_hu - window.width_hu / 2)) / window.width_hu, 0, 1)
    channel = apply_windows(ALL_HU, [window])[:, 0]
    assert channel.dtype == np.float32
    np.testing.assert_array_equal(channel, exact.astype(np.float32))


def test_ends_are_exactly_0_and_1():
    for window in PAPER_WINDOWS:
        low, high = apply_windows(np.array([window.low_hu, window.high_hu], np.int16), [window])
        assert (low[0], high[0]) == (0, 1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_a_slice_gives_the_same_bits_alone_and_in_a_batch(seed, count):
    batch = np.random.default_rng(seed).integers(-1024, 3072, (count, 17, 23)).astype(np.int16)
    together = apply_windows(batch, PAPER_WINDOWS)
    assert together.shape == (count, 17, 23, 3)
    for index, one in enumerate(batch):
        np.testing.assert_array_equal(together[index], apply_windows(one, PAPER_WINDOWS))


def test_the_input_is_left_alone():
    hu = ALL_HU.copy()
    apply_windows(hu, PAPER_WINDOWS)
    np.testing.assert_array_equal(hu, ALL_HU)


@pytest.mark.parametrize("width", [0, -80, 81])
def test_a_width_that_cannot_be_applied_is_refused(width):
    with pytest.raises(UsageError, match="width"):
        Window("odd", 40, width)
