"""Lesion maps as NIfTI: each cell lies where it lay in the head."""

from __future__ import annotations

import sys
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from tests.dicom_files import write_head_series

from ichlite.errors import IchliteError, InputError, MissingExtra, UnknownName, UsageError
from ichlite.infer.pipeline import read_paths, read_scan
from ichlite.labels import NAMES, SUBTYPES
from ichlite.samples import GE_HEAD

CELL = 8
"""Pixels of the model's grid a side of a cell: 256 / 32."""


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("head")
    write_head_series(folder, 28, side=256)
    scan = read_scan(folder, keep_pixels=True)
    noise = np.random.default_rng(1).normal(size=(28, 32, 32, 5)).astype(np.float32)
    return replace(scan, activation_maps=noise)


def cell_mm(scan, k, row, column):
    """Where the middle of a cell lies, by the affine of the head."""
    place = [k, (row + 0.5) * CELL - 0.5, (column + 0.5) * CELL - 0.5, 1.0]
    return (scan.affine @ place)[:3]


@pytest.mark.parametrize("name", ["map.nii", "map.nii.gz"])
def test_each_cell_lies_where_it_lay_in_the_head(scan, tmp_path, name):
    scan.save_lesion_map(tmp_path / name)
    image = nibabel.load(tmp_path / name)
    values = image.get_fdata()
    assert values.shape == (32, 32, 28, len(NAMES))
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    for k, row, column in ((5, 12, 14), (20, 18, 11), (12, 9, 17)):
        assert scan.lesion_map[k, row, column].min() > 0  # tissue
        assert np.allclose(values[column, row, k], scan.lesion_map[k, row, column], atol=1e-6)
        found = (image.affine @ [column, row, k, 1])[:3]
        assert found == pytest.approx(cell_mm(scan, k, row, column), abs=1e-3)
    assert " ".join(one.abbreviation for one in SUBTYPES).encode() in bytes(image.header["descrip"])


def test_one_subtype_has_three_axes(scan, tmp_path):
    scan.save_lesion_map(tmp_path / "map.nii.gz", subtype="subdural")
    values = nibabel.load(tmp_path / "map.nii.gz").get_fdata()
    expected = scan.lesion_map[..., NAMES.index("subdural")].transpose(2, 1, 0)
    assert np.allclose(values, expected, atol=1e-6)


def test_a_tilted_unevenly_sliced_head_is_covered_from_end_to_end(tmp_path):
    scan = read_scan(GE_HEAD.folder, keep_pixels=True)
    numbered = np.empty((28, 32, 32, 5), np.float32)
    numbered[:] = np.arange(-14, 14)[:, None, None, None] / 2
    scan = replace(scan, activation_maps=numbered)
    scan.save_lesion_map(tmp_path / "map.nii")
    image = nibabel.load(tmp_path / "map.nii")
    values = image.get_fdata()[0, 0, :, 0]
    count = len(values)
    for k, end in ((0, 0), (count - 1, 27)):
        found = (image.affine @ [4, 3, k, 1])[:3]
        assert found == pytest.approx(cell_mm(scan, end, 3, 4), abs=1e-3)
    positions = np.array([one.position_mm for one in scan.slices])
    at = np.linspace(positions[0], positions[-1], count)
    nearest = np.abs(at[:, None] - positions).argmin(axis=1)
    assert np.allclose(values, scan.lesion_map[nearest, 0, 0, 0], atol=1e-6)
    assert set(nearest) == set(range(28))


def test_nothing_is_said_of_a_gap(tmp_path):
    for index, file in enumerate(write_head_series(tmp_path / "head", 28, side=256)):
        if 12 <= index < 16:
            file.unlink()
    scan = read_scan(tmp_path / "head", keep_pixels=True)
    assert len(scan.breaks) == 1
    scan = replace(scan, activation_maps=np.ones_like(scan.activation_maps))
    scan.save_lesion_map(tmp_path / "map.nii")
    values = nibabel.load(tmp_path / "map.nii").get_fdata()[..., 2].max(axis=(0, 1))
    assert len(values) == 28
    assert np.flatnonzero(values[4:24] == 0).tolist() == [8, 9, 10, 11]  # ends may be all bone


def test_what_cannot_be_saved_leaves_nothing(scan, tmp_path, monkeypatch):
    image = scan.files[0]
    for error, one, name, words in (
        (UsageError, replace(scan, activation_maps=None), "map.nii", "keep_pixels=True"),
        (UsageError, replace(scan, has_lesion_map=False), "map.nii", "a bundle without one"),
        (InputError, replace(scan, affine=None), "map.nii", "not known"),
        (UsageError, scan, "map.png", ".nii.gz"),
        (UsageError, scan, "no/map.nii", "does not exist"),
        (UsageError, scan, image, "would overwrite"),
    ):
        with pytest.raises(error, match=words):
            one.save_lesion_map(tmp_path / name)
    with pytest.raises(UnknownName):
        scan.save_lesion_map(tmp_path / "map.nii", subtype="any")
    with pytest.raises(IchliteError):
        scan.save_lesion_map(tmp_path / ("long" * 99 + ".nii"))
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingExtra, match=r"'\.\[nifti\]'"):
        scan.save_lesion_map(tmp_path / "map.nii")
    assert not [*tmp_path.iterdir()]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_the_command_writes_a_map_a_scan_which_is_no_input(ichlite, tmp_path):
    evil = {"SeriesInstanceUID": "../../1.2 evil"}
    write_head_series(tmp_path / "in" / "a", 20, side=256, study="1")
    write_head_series(tmp_path / "in" / "b", 20, side=256, study="2", **evil)
    write_head_series(tmp_path / "in" / "c", 20, study="3", BodyPartExamined="CHEST")
    outcome = ichlite("read", tmp_path / "in", "--lesion-maps", tmp_path / "out" / "maps")
    assert outcome.exit_code == 0
    files = sorted((tmp_path / "out" / "maps").iterdir())
    assert len(files) == 2
    assert f"Written: {tmp_path / 'out' / 'maps'} (2 lesion maps)" in outcome.out
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in", "out"]
    scan = read_scan(tmp_path / "in" / "a", keep_pixels=True)
    values = nibabel.load(tmp_path / "out" / "maps" / f"{scan.series}.nii.gz").get_fdata()
    assert np.allclose(values.transpose(2, 1, 0, 3), scan.lesion_map, atol=1e-6)
    skipped = read_paths([tmp_path / "out"]).skipped
    assert [one.reason for one in skipped] == ["a report of ichlite, no input"] * 2


def test_maps_among_the_inputs_or_without_a_place_are_said(ichlite, tmp_path):
    write_head_series(tmp_path / "in", 20, side=256)
    outcome = ichlite("read", tmp_path / "in", "--lesion-maps", tmp_path / "in" / "maps")
    assert (outcome.exit_code, outcome.err.count("\n")) == (2, 1)
    write_head_series(tmp_path / "lost", 20, side=256, ImagePositionPatient=None)
    outcome = ichlite("read", tmp_path / "lost", "--lesion-maps", tmp_path / "maps")
    assert outcome.exit_code == 1
    assert "has no place" in outcome.err
