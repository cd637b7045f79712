"""Pictures of a window: greys are HU where the window reaches, and air and bone beyond it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from tests.ct_ich_files import head_grey, write_picture

from ichlite.data.pixels import read_source
from ichlite.data.windowed import (
    AIR_HU,
    BONE_HU,
    hu_of_grey,
    parse_picture_source,
    picture_source,
    read_grey,
)
from ichlite.errors import UnreadableFile

WINDOW = (-20, 100)


def test_greys_in_the_window_are_hu() -> None:
    ramp = np.arange(13, 251, dtype=np.uint8).reshape(14, 17)
    hu = hu_of_grey(ramp, WINDOW).ravel()
    assert hu.tolist() == [round(grey * 120 / 255 - 20) for grey in range(13, 251)]


def test_air_is_black_that_touches_the_frame() -> None:
    grey = head_grey()
    grey[60:68, 60:68] = 0  # a ventricle, or a sinus
    hu = hu_of_grey(grey, WINDOW)
    assert (hu[grey == 255] == BONE_HU).all()
    assert (hu[0] == AIR_HU).all()
    assert (hu[60:68, 60:68] == -20).all()
    assert (hu[50] == 36).sum() > 20
    assert set(np.unique(hu).tolist()) == {AIR_HU, -20, 36, BONE_HU}


def test_specks_of_jpeg_in_the_air_are_air_and_dips_in_bone_are_bone() -> None:
    grey = head_grey(650)
    speck, dip = (20, 20), (325, 325 - 220)
    assert grey[dip] == 255
    grey[speck], grey[dip] = 40, 240
    hu = hu_of_grey(grey, WINDOW)
    assert (hu[speck], hu[dip]) == (AIR_HU, BONE_HU)
    grey[15:45, 15:45] = 40  # a headrest is no speck
    grey[dip] = 200  # nor is this a dip
    hu = hu_of_grey(grey, WINDOW)
    assert (hu[speck], hu[dip]) == (-1, 74)


def test_what_jpeg_does_to_a_head_is_little() -> None:
    grey = head_grey(650)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "JPEG", quality=75)
    squeezed = np.asarray(Image.open(file))
    exact, lossy = hu_of_grey(grey, WINDOW), hu_of_grey(squeezed, WINDOW)
    assert (lossy[:60] == AIR_HU).all()
    assert (exact != lossy)[exact == AIR_HU].mean() < 0.005
    assert np.mean(np.abs(exact - lossy)[exact == 36] > 3) < 0.03


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=24)))
def test_any_picture_gives_hu_of_the_window_or_air_or_bone(grey: np.ndarray) -> None:
    hu = hu_of_grey(grey, WINDOW)
    assert hu.shape == grey.shape
    assert hu.dtype == np.int16
    inside = (hu >= WINDOW[0]) & (hu <= WINDOW[1])
    assert (inside | (hu == AIR_HU) | (hu == BONE_HU)).all()
    assert (hu[grey > 250] != AIR_HU).all() or grey.size * 1e-4 > 1
    assert np.array_equal(hu_of_grey(grey[::-1], WINDOW)[::-1], hu), "top and bottom are alike"


@given(st.text(min_size=1).filter(lambda text: "\n" not in text), st.integers(), st.integers())
def test_sources_name_file_and_window(file: str, low: int, high: int) -> None:
    assert parse_picture_source(picture_source(file, (low, high))) == (file, (low, high))


def test_other_sources_are_no_pictures() -> None:
    assert parse_picture_source("a/1.jpg") is None
    assert parse_picture_source("ct_scans/049.nii#3") is None


def test_a_source_becomes_a_slice_on_the_grid(tmp_path: Path) -> None:
    write_picture(tmp_path / "1.jpg", head_grey(512))
    result, hu = read_source(tmp_path, picture_source("1.jpg", WINDOW))
    assert hu is not None
    assert (hu.shape, hu.dtype) == ((256, 256), np.int16)
    assert (hu[0, 0], hu[128, 128], hu[128, 128 + 90]) == (AIR_HU, 36, BONE_HU)
    assert len(result.source_sha256) == 64
    assert result.findings == ()


def test_a_file_of_a_name_that_looks_like_a_picture_source_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "1.jpg#hu=0:80").write_bytes(b"no image")
    write_picture(tmp_path / "1.jpg", head_grey())
    result, hu = read_source(tmp_path, "1.jpg#hu=0:80")
    assert hu is None
    assert result.findings[0][0] == "undecodable_pixels"


def _jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(head_grey()).save(file, "JPEG")
    return file.getvalue()


def _png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(head_grey()).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0", _jpeg()[:-900], _png(), b"x" * 500])
def test_damaged_pictures_are_left_out_with_a_reason(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(content)
    with pytest.raises(UnreadableFile, match=r"1\.jpg cannot be read as a JPEG picture"):
        read_grey(tmp_path / "1.jpg")
    result, hu = read_source(tmp_path, picture_source("1.jpg", WINDOW))
    assert hu is None
    ((kind, detail),) = result.findings
    assert kind == "undecodable_pixels"
    assert str(tmp_path) not in detail


@given(st.binary(max_size=200), st.integers(0, 700))
def test_any_bytes_give_greys_or_one_error(noise: bytes, at: int) -> None:
    from tempfile import TemporaryDirectory

    whole = _jpeg()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "1.jpg"
        path.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
        try:
            grey = read_grey(path)
        except UnreadableFile:
            return
        assert grey.ndim == 2


def test_colours_are_read_by_their_luminance(tmp_path: Path) -> None:
    plain = read_grey(write_picture(tmp_path / "a.jpg", head_grey()))
    coloured = read_grey(write_picture(tmp_path / "b.jpg", head_grey(), "RGB"))
    assert np.abs(plain.astype(int) - coloured).max() <= 2
