"""Results as Python has them: dictionaries, tables, geometry, short forms."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from tests.dicom_files import write_head_series

from ichlite.infer.pipeline import read_paths, read_scan
from ichlite.infer.results import ReadResult, shown_any, verdict
from ichlite.labels import ANY, CLASSES, NAMES
from ichlite.write.result_files import to_json


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> ReadResult:
    folder = tmp_path_factory.mktemp("studies")
    write_head_series(folder / "head", 28, side=256)
    write_head_series(folder / "bone", 28, series="2", ConvolutionKernel="BONE")
    write_head_series(folder / "dye", 12, study="2", ContrastBolusAgent="OMNI <b>")
    return read_paths([folder], keep_pixels=True)


def test_the_dictionary_is_the_document(result):
    assert result.to_dict() == json.loads(to_json(result))
    assert [one.to_dict() for one in result.studies] == result.to_dict()["studies"]


def test_the_table_has_a_row_for_each_series_or_slice(result):
    table = result.to_dataframe()
    assert table["status"].tolist() == ["analysed", "not_chosen", "not_analysed"]
    scan = result.studies[0]
    assert table.loc[0, list(CLASSES)].to_dict() == pytest.approx(dict(scan.scan))
    assert table.loc[1:, ANY].isna().all()
    slices = result.to_dataframe(slices=True)
    assert len(slices) == 28
    assert slices[ANY].tolist() == pytest.approx([one.probabilities[ANY] for one in scan.slices])


def test_short_forms_say_what_counts_and_fit_a_line(result):
    for text in map(repr, (result, *result.studies)):
        assert len(text) < 200
        assert "\n" not in text
    assert "1 analysed" in repr(result)
    scan = result.studies[0]
    assert f"any {shown_any(scan.scan[ANY], scan.threshold)} " in repr(scan)
    assert verdict(scan) in repr(scan)


def test_the_table_of_a_notebook_escapes_what_files_say(result):
    page = result._repr_html_()
    assert "OMNI &lt;B&gt;" in page
    assert "<b>" not in page.lower()
    assert "Not a medical device" in page


def test_the_affine_places_the_voxels(result):
    scan = result.studies[0]
    assert scan.spacing_mm == pytest.approx((5.0, 240 / 256, 240 / 256), rel=0.2)
    first = scan.affine @ [0, 0, 0, 1]
    # ImagePositionPatient (-120, -120, 0) is 120 mm to the right and front of the origin.
    assert first[:3] == pytest.approx([120.0, 120.0, 0.0], abs=1.0)
    image = nibabel.Nifti1Image(scan.hu, scan.affine)
    assert nibabel.aff2axcodes(image.affine) == ("S", "P", "L")


def test_the_affine_is_that_of_the_file_whatever_the_matrix(tmp_path):
    """Averaging 2x2 pixels moves the middle of the first cell by half a pixel."""
    write_head_series(tmp_path / "a", 20, side=256)
    write_head_series(tmp_path / "b", 20, side=512, PixelSpacing=[0.46875, 0.46875])
    small, large = (read_scan(tmp_path / name) for name in "ab")
    moved = large.affine[:3, 3] - small.affine[:3, 3]
    half_mm = 0.46875 / 2
    assert large.spacing_mm == pytest.approx((5.0, 0.9375, 0.9375))
    assert moved == pytest.approx([-half_mm, -half_mm, 0.0], abs=1e-6)


def test_the_lesion_map_is_there_when_pixels_were_kept(result, tmp_path):
    lesion = result.studies[0].lesion_map
    assert lesion.shape == (28, 32, 32, len(NAMES))
    assert ((lesion >= 0) & (lesion <= 1)).all()
    logits = result.studies[0].activation_maps
    assert np.array_equal(lesion > 0.5, logits > 0)
    write_head_series(tmp_path, 20)
    assert read_scan(tmp_path).lesion_map is None
