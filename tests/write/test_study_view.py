import zlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tests.dicom_files import head_slice, write_ct_slice, write_head_series

from ichlite.contracts.bundle import OutputSpec
from ichlite.contracts.codec import convert_document, to_json_value
from ichlite.infer.bundle import load_bundle
from ichlite.infer.pipeline import read_paths
from ichlite.labels import ANY, NAMES
from ichlite.write import pictures
from ichlite.write.pixels import pack_slice
from ichlite.write.study_view import StudyView, show_study


@pytest.fixture(scope="module")
def bundle():
    return load_bundle()


def read_one(folder):
    (scan,) = read_paths([folder], keep_pixels=True).studies
    return scan


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fine")
    write_head_series(folder, side=512, study="8")
    return folder


@pytest.fixture(scope="module")
def scan(folder):
    return read_one(folder)


def parts_of(shown):
    """The packed pictures of a scan, and its packed maps."""
    ends = np.cumsum([0, *shown.view.pixels.bytes])
    assert ends[-1] == len(shown.data)
    cut = [shown.data[a:b] for a, b in pairwise(ends)]
    return cut[:-1], cut[-1]


def test_the_pictures_are_those_of_the_files_at_their_own_matrix(scan, bundle):
    shown = show_study(scan, bundle)
    pixels = shown.view.pixels
    assert (pixels.native, pixels.rows, pixels.columns) == (True, 512, 512)
    assert (pixels.row_mm, pixels.column_mm) == pytest.approx((240 / 512, 240 / 512))
    packed, _ = parts_of(shown)
    heights = np.linspace(0, 1, 28)
    assert packed[9] == pack_slice(head_slice(heights[9], side=512, seed=9))
    assert len(shown.headers) == 28
    assert shown.view.marks == ("R", "L", "A", "P")


def test_the_document_is_json_and_back(scan, bundle):
    view = show_study(scan, bundle).view
    assert convert_document(StudyView, to_json_value(view)) == view
    assert [one.name for one in view.windows] == ["brain", "subdural", "stroke", "bone"]


def on_the_grid(shown, scan):
    pixels = shown.view.pixels
    assert (pixels.native, pixels.rows, pixels.columns) == (False, 256, 256)
    packed, _ = parts_of(shown)
    assert packed == [pack_slice(hu) for hu in scan.hu]
    return shown.view


def test_what_was_judged_is_shown_where_the_files_are_too_large(scan, bundle, monkeypatch):
    view = on_the_grid(show_study(scan, bundle, native=False), scan)
    assert view.marks == ("R", "L", "A", "P")
    assert view.pixels.row_mm == pytest.approx(240 / 256)
    monkeypatch.setattr(pictures, "MOST_SCAN_BYTES", 50_000)
    view = on_the_grid(show_study(scan, bundle), scan)
    assert view.marks == ("R", "L", "A", "P")


def test_what_was_judged_is_shown_where_the_files_are_gone(scan, bundle):
    slices = tuple(replace(one, file=one.file + "-gone") for one in scan.slices)
    shown = show_study(replace(scan, slices=slices), bundle)
    view = on_the_grid(shown, scan)
    assert (view.marks, shown.headers) == (("R", "L", "A", "P"), ())
    assert view.pixels.row_mm == pytest.approx(240 / 256)
    nowhere = show_study(replace(scan, slices=slices, affine=None), bundle).view
    assert (nowhere.marks, nowhere.pixels.row_mm) == (None, None)


def test_no_side_is_marked_on_pictures_that_the_files_do_not_give(scan, bundle):
    mirrored = replace(scan, hu=np.ascontiguousarray(scan.hu[:, :, ::-1]))
    view = on_the_grid(show_study(mirrored, bundle), mirrored)
    assert view.marks is None


def test_one_slice_that_was_changed_takes_all_to_the_grid(scan, bundle):
    hu = scan.hu.copy()
    hu[3, 100, 100] += 1
    changed = replace(scan, hu=hu)
    view = on_the_grid(show_study(changed, bundle), changed)
    assert view.marks == ("R", "L", "A", "P")


def test_a_picture_that_was_turned_by_180_degrees_is_shown_turned_with_its_sides(scan, bundle):
    turned = replace(scan, hu=np.ascontiguousarray(np.rot90(scan.hu, 2, axes=(1, 2))))
    shown = show_study(turned, bundle)
    assert shown.view.pixels.native
    assert shown.view.marks == ("L", "R", "P", "A")
    packed, _ = parts_of(shown)
    straight, _ = parts_of(show_study(scan, bundle))
    assert packed[9] != straight[9]


def test_the_sides_are_those_of_the_orientation(tmp_path, bundle):
    mirrored = [-1.0, 0.0, 0.0, 0.0, 0.95, -0.3]
    write_head_series(tmp_path, side=256, ImageOrientationPatient=mirrored)
    (scan,) = read_paths([tmp_path], keep_pixels=True, force=True).studies
    assert show_study(scan, bundle).view.marks == ("L", "R", "A", "P")


def test_a_picture_that_is_not_square_keeps_its_matrix(tmp_path, bundle):
    for index, height in enumerate(np.linspace(0, 1, 28)):
        write_ct_slice(
            tmp_path / f"{index}",
            head_slice(height, side=320, seed=index)[:288],
            SOPInstanceUID=f"1.2.{index}",
            ImagePositionPatient=[-120.0, -120.0, 5.0 * index],
            PixelSpacing=[0.75, 0.75],
        )
    scan = read_one(tmp_path)
    shown = show_study(scan, bundle)
    assert (shown.view.pixels.rows, shown.view.pixels.columns) == (288, 320)
    grid = show_study(scan, bundle, native=False).view.pixels
    assert grid.row_mm == pytest.approx(0.75 * 320 / 256)


def test_the_head_is_framed_and_a_headrest_is_not(scan, bundle):
    top, bottom, left, right = show_study(scan, bundle).view.head
    assert 0.03 < top < 0.15 < 0.8 < bottom < 0.97
    assert 0.1 < left < 0.25 < 0.75 < right < 0.9
    hu = scan.hu.copy()
    hu[:, 250:254, 40:200] = 300
    rest = show_study(replace(scan, hu=hu), bundle).view.head
    assert rest == (top, bottom, left, right)
    nothing = replace(scan, hu=np.full_like(scan.hu, -1024))
    assert show_study(nothing, bundle).view.head == (0.0, 1.0, 0.0, 1.0)


def with_map(scan, kind, logits):
    bundle = replace(load_bundle(), map=OutputSpec(kind=kind, cells=logits.shape[1:3]))
    judged = replace(scan, activation_maps=logits, has_lesion_map=kind == "lesion")
    return show_study(judged, bundle)


def test_a_lesion_map_shows_the_strongest_subtype_of_each_place(scan):
    logits = np.full((28, 32, 32, 5), -3.0, np.float32)
    logits[5, 10:14, 20:24, 1] = 3.0
    logits[5, 20, 12, 4] = 2.0
    logits[5, 2, 2, 4] = 3.0  # air, which no map marks
    logits[20, 16, 16, 0] = 0.0
    shown = with_map(scan, "lesion", logits)
    maps = np.frombuffer(zlib.decompress(parts_of(shown)[1]), np.uint8).reshape(28, 32, 32)
    assert (maps[5, 10:14, 20:24] == 243).all()  # sigmoid(3) = 0.953
    assert maps[5, 20, 12] == 225
    assert maps[5, 2, 2] == 0
    assert (np.delete(maps, [5, 20], axis=0) < 128).all()
    marks = {
        at: [mark.cells for mark in one.marks]
        for at, one in enumerate(shown.view.slices)
        if one.marks
    }
    assert marks == {5: [16, 1], 20: [1]}
    (row, column) = shown.view.slices[5].marks[0].at
    assert (row, column) == (12 / 32, 22 / 32)
    assert shown.view.slices[5].marks[0].side == "left"
    assert (shown.view.map.level, shown.view.map.rows) == (0.5, 32)


def test_an_activation_map_is_relative_to_its_strongest_place(scan):
    logits = np.full((28, 4, 4, 5), -6.0, np.float32)
    logits[:, 1, 2] = -5.0
    shown = with_map(scan, "activation", logits)
    maps = np.frombuffer(zlib.decompress(parts_of(shown)[1]), np.uint8).reshape(28, 4, 4)
    assert (maps[:, 1, 2] == 255).all()
    assert (maps[:, 0, 0] < 128).all()
    assert shown.view.map.level == 0.0
    assert {one.marks for one in shown.view.slices} == {None}
    leading = max(NAMES, key=lambda name: scan.slices[3].probabilities[name])
    assert shown.view.slices[3].subtype == leading
    assert shown.marked is None


def test_each_marked_place_comes_once_the_largest_first_and_then_more_of_them(scan):
    logits = np.full((28, 32, 32, 5), -3.0, np.float32)
    logits[6, 9:13, 9:13] = logits[7, 9:14, 9:14] = logits[20, 14:17, 14:17] = 3.0
    jumps = with_map(scan, "lesion", logits).view.jumps
    any_of = [one.probabilities[ANY] for one in scan.slices]
    first = max((6, 7), key=lambda index: any_of[index])
    assert [one.slice for one in jumps] == [first, 20]
    assert [one.cells for one in jumps] == [16 if first == 6 else 25, 9]
    logits[8:21, 12:17, 12:17] = 3.0
    jumps = with_map(scan, "lesion", logits).view.jumps
    assert 2 < len(jumps) <= 6  # one long place now, of which more slices follow
    at = [scan.slices[one.slice].position_mm for one in jumps]
    assert min(abs(a - b) for a in at for b in at if a is not b) >= 12


def test_where_nothing_is_marked_the_highest_slices_come_first(scan):
    for kind, logits in (
        ("lesion", np.full((28, 32, 32, 5), -3.0, np.float32)),
        ("activation", np.zeros((28, 4, 4, 5), np.float32)),
    ):
        jumps = with_map(scan, kind, logits).view.jumps
        assert len(jumps) == 3
        assert jumps[0].slice == max(range(28), key=lambda i: scan.slices[i].probabilities[ANY])
        assert {one.cells for one in jumps} == {None}
        at = [scan.slices[one.slice].position_mm for one in jumps]
        assert min(abs(a - b) for a in at for b in at if a is not b) >= 12


def test_a_scan_without_positions_has_jumps(scan, bundle):
    slices = tuple(replace(one, position_mm=None) for one in scan.slices)
    jumps = [one.slice for one in show_study(replace(scan, slices=slices), bundle).view.jumps]
    assert min([abs(a - b) for a in jumps for b in jumps if a != b], default=2) > 1
    one = replace(
        scan, slices=scan.slices[:1], hu=scan.hu[:1], activation_maps=scan.activation_maps[:1]
    )
    assert {jump.slice for jump in show_study(one, bundle).view.jumps} == {0}
