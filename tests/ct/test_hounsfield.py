import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dicom_files import write_ct_slice

from ichlite.ct.header import read_header
from ichlite.ct.hounsfield import HU_MAX, HU_MIN, OFFSET_NOTE, read_stored, to_hu
from ichlite.errors import HounsfieldError, UnreadableFile
from ichlite.records import PixelLayout, SliceHeader

EXPLICIT = "1.2.840.10008.1.2.1"


def header_of(stored, bits=16, high_bit=None, **values):
    layout = PixelLayout(
        EXPLICIT,
        0,
        stored.nbytes,
        16,
        bits,
        bits - 1 if high_bit is None else high_bit,
        int(stored.dtype.kind == "i"),
    )
    known = {"rescale_slope": 1.0, "rescale_intercept": -1024.0} | values
    return SliceHeader("x.dcm", "p", "1", "1.1", "1.1.1", 1, stored.size, layout, **known)


def row(*values, dtype=np.int16):
    return np.array([values], dtype)


def test_plain_rescale_clips_to_the_range():
    stored = row(-32768, -2000, 0, 1024, 1064, 4095, 32767)
    hu, note = to_hu(stored, header_of(stored))
    assert hu.dtype == np.int16
    assert hu.tolist() == [[-1024, -1024, -1024, 0, 40, 3071, 3071]]
    assert note is None


@given(
    st.lists(st.integers(-32768, 32767), min_size=1, max_size=20),
    st.integers(-40000, 40000),
    st.sampled_from([1.0, 0.5, 2.0, 1.0001]),
    st.booleans(),
)
def test_every_path_equals_the_formula(values, intercept, slope, signed):
    stored = np.array([values], np.int64)
    stored = (stored if signed else stored + 32768).astype(np.int16 if signed else np.uint16)
    hu, _ = to_hu(stored, header_of(stored, rescale_slope=slope, rescale_intercept=intercept + 0.0))
    exact = np.floor(stored.astype(np.float64) * slope + (intercept + 0.5))
    np.testing.assert_array_equal(hu, np.clip(exact, HU_MIN, HU_MAX))


def test_stored_values_are_left_alone():
    stored = row(0, 4000, 1064)
    to_hu(stored, header_of(stored, pixel_padding_value=0, rescale_intercept=-900.0))
    assert stored.tolist() == [[0, 4000, 1064]]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rescale_slope": None}, "no RescaleSlope"),
        ({"rescale_intercept": None}, "no RescaleIntercept"),
        ({"rescale_type": "US"}, "RescaleType US"),
        ({"rescale_type": "HU_MOD"}, "RescaleType HU_MOD"),
        ({"rescale_slope": 0.0}, "slope 0"),
        ({"rescale_slope": -1.0}, "slope -1"),
        ({"rescale_intercept": 1e30}, "intercept 1e"),
    ],
)
def test_hu_are_never_guessed(change, says):
    stored = row(0)
    with pytest.raises(HounsfieldError, match=says):
        to_hu(stored, header_of(stored, **change))


def test_twelve_bit_offset_is_repaired_by_the_published_rule():
    stored = row(0, 24, 1040, 3095, 3096, 4095, dtype=np.uint16)
    hu, note = to_hu(stored, header_of(stored, bits=12, rescale_intercept=0.0))
    assert hu.tolist() == [[0, 24, 1040, 3071, -1000, -1]]
    assert note == OFFSET_NOTE


@pytest.mark.parametrize("intercept", [-1024.0, -1000.0, -100.0])
def test_twelve_bits_with_a_true_intercept_are_not_repaired(intercept):
    stored = row(1000, 1040, dtype=np.uint16)
    hu, note = to_hu(stored, header_of(stored, bits=12, rescale_intercept=intercept))
    assert hu.tolist() == [[1000 + intercept, 1040 + intercept]]
    assert note is None


def test_twelve_bit_signed_with_intercept_0_is_quarantined():
    stored = row(0)
    with pytest.raises(HounsfieldError, match="12-bit signed"):
        to_hu(stored, header_of(stored, bits=12, rescale_intercept=0.0))


def test_padding_below_air_becomes_air_with_everything_darker():
    stored = row(-1500, -1499, -900, 40)
    hu, _ = to_hu(stored, header_of(stored, rescale_intercept=0.0, pixel_padding_value=-900))
    assert hu.tolist() == [[-1024, -1024, -1024, 40]]
    hu, _ = to_hu(stored, header_of(stored, rescale_intercept=0.0, pixel_padding_value=-1500))
    assert hu.tolist() == [[-1024, -1024, -900, 40]]


def test_padding_among_tissue_values_is_taken_by_equality_and_noted():
    stored = row(-1, 0, 1)
    header = header_of(stored, rescale_intercept=0.0, pixel_padding_value=0)
    hu, note = to_hu(stored, header)
    assert hu.tolist() == [[-1, -1024, 1]]
    assert note is not None
    assert "PixelPaddingValue" in note


def test_lossy_compression_is_noted():
    stored = row(0)
    assert "lossy" in (to_hu(stored, header_of(stored, lossy_compressed=True))[1] or "")


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(("bits", "high_bit"), [(12, 11), (12, 15), (14, 13), (16, 15), (13, 14)])
def test_only_the_stored_bits_count(tmp_path, signed, bits, high_bit):
    values = np.array([[0, 1, 2 ** (bits - 1) - 1, -1, -(2 ** (bits - 1))]])
    values = values if signed else values % 2**bits
    low = high_bit + 1 - bits
    field = (values % 2**bits) << low
    garbage = 0xFFFF & ~(((1 << bits) - 1) << low)
    raw = np.resize((field | garbage).astype(np.uint16), (16, 20))
    path = write_ct_slice(
        tmp_path / "a",
        raw.astype(np.int16) if signed else raw,
        BitsStored=bits,
        HighBit=high_bit,
    )
    header = read_header(str(path))
    assert isinstance(header, SliceHeader)
    stored = read_stored(header)
    assert stored.dtype == (np.int16 if signed else np.uint16)
    np.testing.assert_array_equal(stored, np.resize(values, (16, 20)))


def test_a_file_that_shrank_after_the_header_pass_is_refused(tmp_path):
    path = write_ct_slice(tmp_path / "a", np.zeros((32, 32), np.int16))
    header = read_header(str(path))
    assert isinstance(header, SliceHeader)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UnreadableFile, match="pixel data is short"):
        read_stored(header)
    path.unlink()
    with pytest.raises(UnreadableFile, match="cannot be read"):
        read_stored(header)
