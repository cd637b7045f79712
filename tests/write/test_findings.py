from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dicom_files import write_ct_slice
from tests.made_results import analysed

from ichlite.ct.header import read_header
from ichlite.ct.tensor import read_slice
from ichlite.infer.bundle import load_bundle
from ichlite.infer.results import SliceScores
from ichlite.labels import ANY, CLASSES, NAMES
from ichlite.write.findings import findings_of, presence_of, strongest_point

CELLS = 32
SHARES = st.floats(0, 1)


def made(of_scan, thresholds, *, not_cleared=(), forced=()):
    urgent = of_scan[ANY] >= thresholds[ANY]
    return analysed(
        scan=of_scan,
        threshold=thresholds[ANY],
        urgent=urgent or (None if not_cleared else False),
        not_cleared=not_cleared,
        reasons=(*forced, *not_cleared),
        complete=not not_cleared,
    )


@given(
    st.fixed_dictionaries(dict.fromkeys(CLASSES, SHARES)),
    st.fixed_dictionaries(dict.fromkeys(CLASSES, SHARES)),
    st.sampled_from([(), ("incomplete: a slice is missing",)]),
    st.sampled_from([(), ("a bone kernel",)]),
)
def test_no_presence_contradicts_the_call(of_scan, thresholds, not_cleared, forced):
    scan = made(of_scan, thresholds, not_cleared=not_cleared, forced=forced)
    said = {name: presence_of(scan, name, thresholds[name]) for name in CLASSES}
    assert (said[ANY] == "present") == (scan.urgent is True)
    assert (said[ANY] == "absent") == (scan.urgent is False and not forced)
    if said[ANY] != "present":
        assert "present" not in said.values()
    if not_cleared or forced:
        assert "absent" not in said.values()
    for name in NAMES:
        if said[name] == "present":
            assert of_scan[name] >= thresholds[name]
        if said[name] == "absent":
            assert of_scan[name] < thresholds[name]


def test_thresholds_are_those_of_the_operating_point_and_a_finding_points_if_present():
    bundle = load_bundle()
    scores = [SliceScores("nowhere", None, dict.fromkeys(CLASSES, p)) for p in (0.1, 0.9, 0.3)]
    for point in bundle.operating_points:
        thresholds = bundle.at(point).rule.thresholds
        quiet = analysed(slices=tuple(scores), operating_point=point, threshold=thresholds[ANY])
        found = findings_of(quiet, bundle)
        assert [one.name for one in found] == list(CLASSES)
        assert {one.name: one.threshold for one in found} == thresholds
        assert {one.slice_index for one in found} == {1}
        assert {one.point for one in found} == {None}


def point_of(scan, name):
    return strongest_point(scan, name, 0, scan.lesion_map)


@pytest.mark.parametrize("shape", [(128, 128), (512, 512), (96, 160), (160, 97)])
@pytest.mark.parametrize("upside_down", [False, True])
def test_a_point_lies_in_the_file_where_the_map_saw_it(tmp_path, shape, upside_down):
    """The bright spot of a real file, read as every file is, marks the cell."""
    rows, columns = shape
    row, column = round(0.3 * rows), round(0.8 * columns)
    pixels = np.full(shape, -1000, np.int16)
    spot = max(shape) // 16
    pixels[row - spot // 2 : row + spot // 2 + 1, column - spot // 2 : column + spot // 2 + 1] = 999
    orientation = [-1.0, 0, 0, 0, -1.0, 0] if upside_down else [1.0, 0, 0, 0, 1.0, 0]
    file = str(write_ct_slice(tmp_path / "a", pixels, ImageOrientationPatient=orientation))
    hu, _ = read_slice(read_header(file))
    block = len(hu) // CELLS
    bright = hu.reshape(CELLS, block, CELLS, block).mean(axis=(1, 3))
    maps = np.full((1, CELLS, CELLS, len(NAMES)), -4.0, np.float32)
    maps[0, ..., NAMES.index("subdural")] = bright / 500
    maps[0, ..., NAMES.index("epidural")] = np.roll(bright, 5, axis=0) / 1000
    scan = analysed(
        slices=(SliceScores(file, 0.0, dict.fromkeys(CLASSES, 0.5)),),
        activation_maps=maps,
        has_lesion_map=True,
    )
    one_cell = max(shape) / CELLS
    for name in ("subdural", ANY):
        point = point_of(scan, name)
        assert abs(point.row - (row + 0.5)) <= one_cell
        assert abs(point.column - (column + 0.5)) <= one_cell
        assert point.value > 0.7
    other = point_of(scan, "epidural")
    assert abs(other.row - (row + 0.5)) > 2 * one_cell
    assert point_of(replace(scan, has_lesion_map=False), ANY) is None
    assert point_of(replace(scan, activation_maps=None), ANY) is None
    bone = replace(scan, hu=np.full((1, 256, 256), 999, np.int16))
    assert point_of(bone, ANY) is None
    gone = replace(scan, slices=(replace(scan.slices[0], file=str(tmp_path / "gone")),))
    assert point_of(gone, ANY) is None
