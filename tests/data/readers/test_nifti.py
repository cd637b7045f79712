"""NIfTI volumes: HU and orientation as the same slices in DICOM, whatever way they are stored."""

from __future__ import annotations

import gzip
import tempfile
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.nifti1 import Nifti1Image
from nibabel.nifti2 import Nifti2Image
from tests.dicom_files import write_ct_slice
from tests.nifti_files import CORNER_MM, PIXEL_MM, SPACING_MM, lopsided, write_volume

from ichlite.ct.header import read_header
from ichlite.ct.nifti import read_nifti_geometry
from ichlite.ct.tensor import read_slice, resize_hu
from ichlite.data.readers.dicom_folder import walk
from ichlite.data.readers.nifti import read_mask_plane, read_nifti_slice
from ichlite.errors import HounsfieldError, InputError, UnreadableFile
from ichlite.records import SliceHeader

AXES = sorted(
    "".join(order)
    for pairs in permutations((("L", "R"), ("P", "A"), ("I", "S")))
    for order in product(*pairs)
)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "SPR"])
def test_a_slice_is_what_dicom_gives(axes: str, tmp_path: Path) -> None:
    hu = lopsided(3, 512, 512)
    volume = write_volume(tmp_path / "v.nii", hu, axes)
    geometry = read_nifti_geometry(volume)
    for k in range(3):
        corner = [*CORNER_MM[:2], CORNER_MM[2] + SPACING_MM * k]
        file = write_ct_slice(
            tmp_path / "dicom" / f"{k}.dcm",
            hu[k],
            ImagePositionPatient=corner,
            PixelSpacing=[PIXEL_MM, PIXEL_MM],
        )
        header = read_header(str(file))
        assert isinstance(header, SliceHeader)
        np.testing.assert_array_equal(read_nifti_slice(volume, k), read_slice(header)[0])
    found, _ = walk(tmp_path / "dicom", lambda *_: None)
    assert [one.position_mm for one in found] == list(geometry.positions_mm)


def test_every_stored_order_gives_the_same_slices(tmp_path: Path) -> None:
    hu = lopsided(3, 24, 20)
    expected = [resize_hu(plane) for plane in hu]
    assert len(AXES) == 48
    for axes in AXES:
        volume = write_volume(tmp_path / f"{axes}.nii", hu, axes)
        geometry = read_nifti_geometry(volume)
        assert (geometry.slices, geometry.rows, geometry.columns) == (3, 24, 20), axes
        assert geometry.positions_mm == (-12.0, -7.0, -2.0), axes
        assert geometry.stored == ((2, 1, 0) if "I" in axes else (0, 1, 2)), axes
        assert geometry.stated
        for k in range(3):
            np.testing.assert_array_equal(read_nifti_slice(volume, k), expected[k], axes)


def test_right_of_the_patient_is_left_in_the_image(tmp_path: Path) -> None:
    stored = np.full((32, 32, 4), -1000, np.int16)
    stored[24:, :, :] = 50  # +x of RAS: the patient's right
    stored[:, 24:, :] = 90  # +y: the front
    stored[:, :, 3] = 900  # +z: the head
    Nifti1Image(stored, np.diag([4.0, 4.0, 5.0, 1.0])).to_filename(tmp_path / "v.nii")
    lowest = read_nifti_slice(tmp_path / "v.nii", 0)
    assert lowest[200, 10] == 50
    assert lowest[200, 250] == -1000
    assert lowest[10, 128] == 90
    assert (read_nifti_slice(tmp_path / "v.nii", 3) == 900).all()


def test_positions_are_along_the_normal_of_tilted_slices(tmp_path: Path) -> None:
    tilt = np.radians(20)
    affine = np.eye(4)
    affine[:3, 1] = (0, np.cos(tilt), np.sin(tilt))
    affine[:3, 2] = (0, 0, 5)  # the table moves along the body, not along the normal
    Nifti1Image(np.zeros((20, 20, 3), np.int16), affine).to_filename(tmp_path / "v.nii")
    geometry = read_nifti_geometry(tmp_path / "v.nii")
    assert np.diff(geometry.positions_mm) == pytest.approx(5 * np.cos(tilt), abs=1e-5)


def test_scale_is_applied_halves_round_up_and_ends_are_cut(tmp_path: Path) -> None:
    values = np.full((1, 256, 256), -3000.0)
    values[0, 0, :6] = (-0.5, 0.5, 1.25, 1.75, 9000, 3071.75)
    stored = ((values + 1024) / 0.25).astype(np.int32)
    volume = write_volume(tmp_path / "v.nii", stored, scale=(0.25, -1024.0))
    hu = read_nifti_slice(volume, 0)
    assert hu[0, :6].tolist() == [0, 1, 1, 2, 3071, 3071]
    assert hu.min() == -1024
    assert hu.dtype == np.int16


def test_unsigned_values_with_an_intercept_are_hu(tmp_path: Path) -> None:
    hu = lopsided(2)
    stored = (hu.astype(np.int32) + 1024).astype(np.uint16)
    volume = write_volume(tmp_path / "v.nii.gz", stored, scale=(1.0, -1024.0))
    np.testing.assert_array_equal(read_nifti_slice(volume, 1), hu[1])


def test_gzip_nifti_2_and_a_fourth_axis_of_one(tmp_path: Path) -> None:
    hu = lopsided(2)
    stored = hu.transpose(2, 1, 0)[..., None]
    affine = np.diag([-1.0, -1.0, 5.0, 1.0])
    Nifti2Image(stored, affine).to_filename(tmp_path / "two.nii.gz")
    Nifti1Image(stored, affine).to_filename(tmp_path / "four.nii")
    for name in ("two.nii.gz", "four.nii"):
        np.testing.assert_array_equal(read_nifti_slice(tmp_path / name, 1), hu[1])


def test_reading_in_order_decodes_a_volume_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nibabel.arrayproxy import ArrayProxy

    decoded = []
    read = ArrayProxy.get_unscaled
    monkeypatch.setattr(
        ArrayProxy, "get_unscaled", lambda proxy: decoded.append(proxy) or read(proxy)
    )
    volumes = [write_volume(tmp_path / f"{n}.nii.gz", lopsided(4) + n) for n in range(2)]
    for volume in volumes:
        read_nifti_geometry(volume)
        for k in range(4):
            read_nifti_slice(volume, k)
    assert len(decoded) == 2


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    volume = write_volume(tmp_path / "v.nii", lopsided(2))
    before = read_nifti_slice(volume, 0)
    write_volume(volume, lopsided(3) + np.int16(7))
    np.testing.assert_array_equal(read_nifti_slice(volume, 0), before + 7)


def test_a_volume_without_a_stated_place_says_so(tmp_path: Path) -> None:
    image = Nifti1Image(lopsided(2).transpose(2, 1, 0), None)
    image.to_filename(tmp_path / "v.nii")
    assert not read_nifti_geometry(tmp_path / "v.nii").stated


def test_a_mask_lies_as_its_volume_whatever_its_own_affine(tmp_path: Path) -> None:
    hu = lopsided(3, 40, 40)
    marked = hu > 1000
    volume = write_volume(tmp_path / "v.nii", hu, "RAI")
    stored = np.asarray(Nifti1Image.from_filename(volume).dataobj)
    mask = (stored > 1000).astype(np.uint8) * 255
    Nifti1Image(mask, np.eye(4)).to_filename(tmp_path / "m.nii")
    for k in range(3):
        np.testing.assert_array_equal(read_mask_plane(tmp_path / "m.nii", k, volume), marked[k])
    Nifti1Image(mask[:-1], np.eye(4)).to_filename(tmp_path / "m.nii")
    with pytest.raises(UnreadableFile, match="does not fit"):
        read_mask_plane(tmp_path / "m.nii", 0, volume)


def test_values_that_cannot_be_hu_are_refused(tmp_path: Path) -> None:
    pictures = write_volume(tmp_path / "8bit.nii", np.zeros((2, 32, 32), np.uint8))
    with pytest.raises(HounsfieldError, match="does not hold HU") as refused:
        read_nifti_slice(pictures, 0)
    assert refused.value.code == "missing_rescale"
    holes = np.zeros((2, 32, 32), np.float32)
    holes[1, 3, 3] = np.nan
    volume = write_volume(tmp_path / "nan.nii", holes)
    assert read_nifti_slice(volume, 0).max() == 0
    with pytest.raises(HounsfieldError, match="no number"):
        read_nifti_slice(volume, 1)


def test_damaged_and_foreign_files_are_refused_in_one_line(tmp_path: Path) -> None:
    whole = write_volume(tmp_path / "v.nii", lopsided(4)).read_bytes()
    files = {
        "empty.nii": b"",
        "text.nii": b"no volume" * 100,
        "header.nii": whole[:200],
        "short.nii": whole[:-1000],
        "short.nii.gz": gzip.compress(whole)[:-500],
        "not.nii.gz": whole,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError) as refused:
            read_nifti_slice(tmp_path / name, 3)
        assert "\n" not in str(refused.value), name
        assert str(refused.value).startswith(str(tmp_path / name))
    with pytest.raises(UnreadableFile, match="cannot be read"):
        read_nifti_geometry(tmp_path / "none.nii")
    with pytest.raises(UnreadableFile, match=r"no slice 4; expected 0 to 3"):
        read_nifti_slice(tmp_path / "v.nii", 4)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 2, 2)])
def test_what_is_not_one_volume_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    Nifti1Image(np.zeros(shape, np.int16), np.eye(4)).to_filename(tmp_path / "v.nii")
    with pytest.raises(UnreadableFile, match="not one volume"):
        read_nifti_geometry(tmp_path / "v.nii")


def test_an_affine_that_places_nothing_is_refused(tmp_path: Path) -> None:
    image = Nifti1Image(np.zeros((8, 8, 2), np.int16), None)
    for flat in (np.diag([1.0, 1.0, 0.0, 1.0]), np.full((4, 4), np.nan)):
        image.header.set_sform(flat, code=1)
        image.to_filename(tmp_path / "v.nii")
        with pytest.raises(UnreadableFile, match="does not say how it lies"):
            read_nifti_geometry(tmp_path / "v.nii")


@given(st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_header_gives_a_slice_or_a_reason(changes: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        volume = write_volume(Path(folder) / "v.nii", lopsided(2, 20, 20))
        data = bytearray(volume.read_bytes())
        for place, value in changes:
            data[place] = value
        volume.write_bytes(data)
        try:
            geometry = read_nifti_geometry(volume)
            planes = [read_nifti_slice(volume, k) for k in range(min(3, geometry.slices))]
        except InputError:
            return
        assert all(plane.shape == (256, 256) for plane in planes)
        assert len(geometry.positions_mm) == geometry.slices
