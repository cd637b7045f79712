"""A head in a NIfTI volume: the numbers of its DICOM files, and what is refused or unknown."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from tests.dicom_files import write_head_series

from ichlite.ct.series import find_series
from ichlite.ct.tensor import read_volume
from ichlite.infer import nifti
from ichlite.infer.bundle import load_bundle
from ichlite.infer.pipeline import read_paths, read_scan
from ichlite.samples import GE_HEAD, PHANTOM_BLEED
from ichlite.write.study_view import show_study

NATIVE = 256
"""The matrix of the series: its volume on the model's grid is that of its files."""


def written(folder: Path, path: Path, **how) -> Path:
    """Write a DICOM series on the model's grid as NIfTI, through what reading makes of it."""
    (series,), _ = find_series([folder])
    hu = read_volume(series).hu
    first, last = series.slices[0], series.slices[-1]
    right, down = np.array(first.image_orientation).reshape(2, 3)
    down_mm, right_mm = np.array(first.pixel_spacing_mm) * first.rows / NATIVE
    step = np.subtract(last.image_position_mm, first.image_position_mm) / (len(hu) - 1)
    corner = np.array(first.image_position_mm)
    affine = np.eye(4)
    for axis, vector in enumerate((right * right_mm, down * down_mm, step, corner)):
        affine[:3, axis] = np.array([-1, -1, 1]) * vector
    return stored(hu, affine, path, **how)


def stored(hu, affine, path, *, kind=np.int16, slope=1.0, intercept=0.0, axes="LPS") -> Path:
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    values = np.round((hu.transpose(2, 1, 0) - intercept) / slope).astype(kind)
    image = Nifti1Image(values, affine)
    wanted = axcodes2ornt(tuple(axes))
    image = image.as_reoriented(ornt_transform(io_orientation(affine), wanted))
    image.header.set_slope_inter(slope, intercept)
    image.to_filename(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dicom")
    write_head_series(folder, 28, side=NATIVE)
    return folder


@pytest.fixture(scope="module")
def dicom(folder):
    return read_scan(folder, keep_pixels=True)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"axes": "RAS"},
        {"axes": "SAR"},
        {"axes": "AIL"},
        {"kind": np.float64},
        {"kind": np.uint16, "intercept": -1024.0},
        {"kind": np.int32, "slope": 0.5, "intercept": -1024.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["head.nii", "head.NII.GZ"])
def test_the_numbers_are_those_of_the_dicom_files(folder, dicom, tmp_path, name, how):
    scan = read_scan(written(folder, tmp_path / name, **how), keep_pixels=True)
    assert np.array_equal(scan.hu, dicom.hu)
    assert np.array_equal(scan.logits, dicom.logits)
    assert scan.scan == dicom.scan
    assert [one.position_mm for one in scan.slices] == [one.position_mm for one in dicom.slices]
    assert scan.affine == pytest.approx(dicom.affine, abs=1e-4)
    assert (scan.urgent, scan.reasons, scan.breaks) == (dicom.urgent, (), dicom.breaks)


def test_a_tilted_gantry_is_a_sheared_volume(tmp_path):
    tilt = np.radians(20)
    leaning = [1.0, 0.0, 0.0, 0.0, float(np.cos(tilt)), float(np.sin(tilt))]
    write_head_series(tmp_path / "dicom", 28, side=NATIVE, ImageOrientationPatient=leaning)
    expected = read_scan(tmp_path / "dicom")
    scan = read_scan(written(tmp_path / "dicom", tmp_path / "head.nii.gz"))
    assert np.array_equal(scan.logits, expected.logits)
    assert scan.scan == pytest.approx(dict(expected.scan), abs=1e-5)


@pytest.mark.parametrize("sample", [GE_HEAD, PHANTOM_BLEED], ids=lambda one: one.name)
def test_the_samples_as_volumes_give_their_logits(sample, tmp_path):
    expected = read_scan(sample.folder, keep_pixels=True)
    scan = read_scan(written(sample.folder, tmp_path / "head.nii.gz"), keep_pixels=True)
    assert np.array_equal(scan.hu, expected.hu)
    assert np.array_equal(scan.logits, expected.logits)


def test_what_no_volume_says_is_said_and_slices_have_names(folder, tmp_path):
    path = written(folder, tmp_path / "head.nii.gz")
    scan = read_scan(path)
    assert scan.notes == nifti.NOTES
    assert scan.files == (str(path),)
    assert [one.file for one in scan.slices][:2] == [f"{path}#0", f"{path}#1"]


def test_the_uids_are_made_of_the_content(folder, tmp_path):
    one = read_scan(written(folder, tmp_path / "one.nii", axes="RAS"))
    other = read_scan(written(folder, tmp_path / "other.nii.gz", kind=np.float32))
    assert (one.study, one.series) == (other.study, other.series)
    assert one.study != one.series
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in (one.study, one.series))
    write_head_series(tmp_path / "second", 27, side=NATIVE)
    second = read_scan(written(tmp_path / "second", tmp_path / "second.nii"))
    assert second.study != one.study


def test_one_volume_in_two_files_is_read_once(folder, tmp_path):
    written(folder, tmp_path / "a.nii")
    written(folder, tmp_path / "b.nii.gz")
    result = read_paths([tmp_path])
    assert [scan.files for scan in result.studies] == [(str(tmp_path / "a.nii"),)]
    (copy,) = result.skipped
    assert copy.reason == f"a copy of {tmp_path / 'a.nii'}"
    assert not copy.may_be_ct


def test_volumes_and_files_of_one_folder_are_all_read(ichlite, folder, tmp_path):
    written(folder, tmp_path / "head.nii.gz")
    write_head_series(tmp_path / "dicom", 20, side=NATIVE)
    outcome = ichlite("read", tmp_path, "--json")
    assert outcome.exit_code == 0
    studies = json.loads(outcome.out)["studies"]
    assert [one["status"] for one in studies] == ["analysed", "analysed"]


def test_the_page_shows_the_grid_with_its_sides(folder, tmp_path):
    scan = read_scan(written(folder, tmp_path / "head.nii"), keep_pixels=True)
    view = show_study(scan, load_bundle()).view
    assert view.marks == ("R", "L", "A", "P")
    assert view.pixels.row_mm == pytest.approx(240 / NATIVE)
    assert not view.pixels.native


def no_head(rows, columns, slices, low, high, kind=np.int16):
    return (
        np.linspace(low, high, rows * columns * slices).reshape(rows, columns, slices).astype(kind)
    )


LYING = np.diag([-0.9, -0.9, 5.0, 1.0])
SHEARED = LYING + np.array([[0, 0.3, 0, 0], *([[0] * 4] * 3)])


REFUSED = {
    "normalised": (no_head(64, 64, 20, 0, 1, np.float32), LYING, "found 0 to 1"),
    "signed": (no_head(64, 64, 20, -1, 1, np.float32), LYING, "found -1 to 1"),
    "positive": (no_head(64, 64, 20, 0, 4095), LYING, "found 0 to 4095"),
    "windowed": (no_head(64, 64, 20, -20, 100), LYING, "found -20 to 100"),
    "bytes": (no_head(64, 64, 20, 0, 255, np.uint8), LYING, "found uint8"),
    "not a number": (no_head(64, 64, 20, 0, np.nan, np.float32), LYING, "no number"),
    "two volumes": (np.zeros((64, 64, 20, 2), np.int16), LYING, "(64, 64, 20, 2)"),
    "flat": (np.zeros((64, 64), np.int16), LYING, "not one volume"),
    "narrow": (no_head(64, 8, 20, -1000, 1000), LYING, "8x64"),
    "sheared": (no_head(64, 64, 20, -1000, 1000), SHEARED, "not perpendicular"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_head_in_hounsfield_units_is_refused_and_counts(ichlite, tmp_path, name):
    values, affine, words = REFUSED[name]
    path = tmp_path / "v.nii.gz"
    Nifti1Image(values, affine).to_filename(path)
    outcome = ichlite("read", path, "--json")
    assert outcome.exit_code == 1
    document = json.loads(outcome.out)
    assert document["studies"] == []
    (skipped,) = document["skipped"]
    assert words in skipped["reason"]
    assert skipped["may_be_ct"]
    assert len(skipped["reason"]) <= 80
    assert str(path) not in skipped["reason"]


def test_a_volume_that_does_not_say_how_it_lies_is_refused(folder, tmp_path):
    path = written(folder, tmp_path / "head.nii")
    image = nibabel.load(path)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    image.to_filename(tmp_path / "lost.nii")
    (skipped,) = read_paths([tmp_path / "lost.nii"]).skipped
    assert "which side is left" in skipped.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pixdim": 0.3}, "field of view"),
        ({"rows": 0.5}, "not square"),
        ({"step": 30.0}, "longer than a head"),
    ],
    ids=["small", "oblong", "far apart"],
)
def test_odd_spacing_is_judged_as_in_dicom_files(dicom, tmp_path, change, words):
    pixel = change.get("pixdim", 240 / NATIVE)
    affine = np.diag([-pixel, -pixel * change.get("rows", 1.0), change.get("step", 5.0), 1.0])
    (scan,) = read_paths([stored(dicom.hu, affine, tmp_path / "v.nii")]).studies
    assert scan.status == "not_analysed"
    assert words in " ".join(scan.reasons)


def test_a_part_of_a_head_is_never_cleared(dicom, tmp_path):
    affine = np.diag([-240 / NATIVE, -240 / NATIVE, 5.0, 1.0])
    (scan,) = read_paths([stored(dicom.hu[:12], affine, tmp_path / "v.nii")]).studies
    assert not scan.complete
    assert scan.not_cleared


def test_without_nibabel_a_line_names_the_extra_and_it_counts(
    ichlite, folder, tmp_path, monkeypatch
):
    path = written(folder, tmp_path / "head.nii.gz")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    outcome = ichlite("read", path, folder, "--json")
    assert outcome.exit_code == 1
    (skipped,) = json.loads(outcome.out)["skipped"]
    assert "'.[nifti]'" in skipped["reason"]
    assert "\n" not in skipped["reason"]


def test_files_that_are_named_like_volumes(ichlite, tmp_path):
    (tmp_path / "text.nii").write_text("hello")
    (tmp_path / "text.nii.gz").write_text("hello")
    (tmp_path / "empty.nii").write_text("")
    (tmp_path / "gone.nii").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.nii").mkdir()
    result = read_paths([tmp_path])
    assert len(result.skipped) == 4
    for one in result.skipped:
        assert "\n" not in one.reason
        assert str(tmp_path) not in one.reason
        assert len(one.reason) <= 80
