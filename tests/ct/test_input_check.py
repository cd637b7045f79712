from dataclasses import replace

import numpy as np
import pytest
from tests.dicom_files import write_head_series

from ichlite.ct.input_check import Judgement, judge_series, judge_volume, without_lost_slices
from ichlite.ct.series import find_series
from ichlite.ct.tensor import GRID, HU_MAX, HU_MIN, read_volume
from ichlite.records import HeadVolume


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """A crude head scan that the gate accepts."""
    folder = tmp_path_factory.mktemp("head")
    write_head_series(folder, side=256)
    (series,), _ = find_series([folder])
    return read_volume(series)


def with_header(series, which=slice(None), **change):
    slices = list(series.slices)
    slices[which] = [replace(one, **change) for one in slices[which]]
    return replace(series, slices=tuple(slices))


def with_pixels(head, image):
    hu = np.repeat(np.asarray(image, np.int16)[None], 28, axis=0)
    hu[np.arange(28), 0, np.arange(28)] = -900  # no two images are the same
    return HeadVolume(head.series, hu)


def disc(radius, row=128, column=128, wide=1.0):
    rows, columns = np.mgrid[:GRID, :GRID]
    return np.hypot(rows - row, (columns - column) / wide) < radius


SOUND = Judgement()


def test_a_head_passes(head):
    assert judge_series(head.series) == SOUND
    assert judge_volume(head) == SOUND


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kvp": 80.0}, "tube voltage is out of range; found 80 kV; expected 100 to 140"),
        ({"kvp": 150.0}, "found 150 kV"),
        ({"contrast_agent": "OMNIPAQUE"}, "contrast agent was given; found OMNIPAQUE"),
        ({"series_description": "HEAD POST CONTRAST"}, "not a plain scan"),
        ({"series_description": "CTA head"}, "not a plain scan"),
        ({"body_part_examined": "CHEST"}, "not of a head; found BodyPartExamined CHEST"),
        ({"convolution_kernel": "H70h"}, "bone or lung kernel"),
        ({"convolution_kernel": "BONEPLUS"}, "bone or lung kernel"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "a localizer (scout)"),
        ({"image_type": ("DERIVED", "SECONDARY", "MIP")}, "intensity projections"),
        ({"image_orientation": None}, "orientation of the slices is not known"),
        ({"image_orientation": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)}, "not axial; found 90 degrees"),
        ({"image_orientation": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)}, "not axial; found 90 degrees"),
        ({"image_orientation": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)}, "mirrored or lie on their side"),
        ({"image_orientation": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)}, "mirrored or lie on their side"),
        ({"image_orientation": (0.0, 1.0, 0.0, -1.0, 0.0, 0.0)}, "mirrored or lie on their side"),
        ({"pixel_spacing_mm": None}, "pixel size is not known"),
        ({"pixel_spacing_mm": (1.6, 1.6)}, "field of view is not that of a head"),
        ({"pixel_spacing_mm": (0.5, 0.5)}, "field of view is not that of a head"),
        ({"image_orientation": (0.0,) * 6}, "not two perpendicular unit vectors"),
        ({"image_orientation": (2.0, 0.0, 0.0, 0.0, 1.0, 0.0)}, "not two perpendicular unit"),
        ({"image_orientation": (1.0, 0.0, 0.0, 0.6, 0.8, 0.0)}, "not two perpendicular unit"),
        ({"pixel_spacing_mm": (-0.9, -0.9)}, "PixelSpacing must be positive"),
        ({"pixel_spacing_mm": (0.0, 0.9)}, "PixelSpacing must be positive"),
        ({"pixel_spacing_mm": (0.9, 1.2)}, "pixels are not square"),
    ],
)
def test_each_header_that_rules_a_series_out_is_one_line(head, change, says):
    (reason,) = judge_series(with_header(head.series, **change)).refusals
    assert says in reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    "change",
    [
        {"kvp": None},
        {"kvp": 100.0},
        {"contrast_agent": "NONE"},
        {"contrast_agent": "C-"},
        {"body_part_examined": "Brain"},
        {"body_part_examined": "HEADNECK"},
        {"series_description": "HEAD WITHOUT CONTRAST"},
        {"series_description": "Plain 5mm, non-contrast"},
        {"convolution_kernel": "H31s"},
        {"convolution_kernel": "STANDARD"},
        {"image_type": ("ORIGINAL", "PRIMARY", "AXIAL", "HELIX")},
        {"image_orientation": (1.0, 0.0, 0.0, 0.0, 0.8660254, -0.5)},
    ],
)
def test_what_plain_head_scans_say_is_no_reason(head, change):
    assert judge_series(with_header(head.series, **change)) == SOUND


def test_one_slice_with_contrast_is_enough(head):
    judged = judge_series(with_header(head.series, slice(3, 4), contrast_agent="ULTRAVIST"))
    (refusal,) = judged.refusals
    assert refusal == "a contrast agent was given; found ULTRAVIST; expected a plain scan"


@pytest.mark.parametrize(
    ("count", "says"), [(1, "found a single slice"), (9, "found 9 slices"), (12, "found 60 mm")]
)
def test_too_little_of_a_head_is_a_defect(head, count, says):
    few = replace(
        head.series,
        slices=head.series.slices[:count],
        positions_mm=head.series.positions_mm[:count],
    )
    judged = judge_series(few)
    assert judged.refusals == ()
    assert any(says in defect for defect in judged.defects)


def test_a_scan_longer_than_a_head_is_a_reason(head):
    long = replace(head.series, positions_mm=tuple(10.6 * i for i in range(28)))
    (refusal,) = judge_series(long).refusals
    assert "longer than a head; found 297 mm" in refusal


def with_slice(head, index, image):
    hu = head.hu.copy()
    hu[index] = image
    return HeadVolume(head.series, hu)


@pytest.mark.parametrize("value", [-1024, 0, 40])
def test_an_empty_slice_among_those_with_brain_is_left_out(head, value):
    volume = without_lost_slices(with_slice(head, 9, value))
    (left_out,) = volume.left_out
    assert left_out.file == head.series.slices[9].path
    assert left_out.reason == "slice 10 of 28 holds no image; found one value in all its pixels"
    assert judge_volume(volume).defects == (f"1 slice was left out: {left_out.reason}",)
    assert volume.series.breaks == (8,)
    np.testing.assert_array_equal(volume.hu, np.delete(head.hu, 9, axis=0))


def test_empty_slices_at_the_ends_are_air(head):
    for index in (-1, 0):
        volume = with_slice(head, index, -1024)
        assert without_lost_slices(volume) is volume
        assert judge_volume(volume) == SOUND


@pytest.mark.parametrize("rows", [slice(0, 64), slice(192, None), slice(100, None)])
def test_a_partly_lost_slice_is_left_out(head, rows):
    rng = np.random.default_rng(0)
    noisy = head.hu + rng.integers(0, 9, head.hu.shape, dtype=np.int16)
    assert without_lost_slices(HeadVolume(head.series, noisy)).left_out == ()
    noisy[9, rows] = -1024
    (left_out,) = without_lost_slices(HeadVolume(head.series, noisy)).left_out
    assert left_out.reason.startswith("slice 10 of 28 is partly lost")


def test_one_image_under_two_names_is_used_once(head):
    volume = without_lost_slices(with_slice(head, 9, head.hu[12]))
    (left_out,) = volume.left_out
    assert left_out.file == head.series.slices[12].path
    assert left_out.reason.startswith("slice 13 of 28 shows the same image as slice 10")
    assert volume.series.breaks == (11,)


@pytest.mark.parametrize("end", ["lower", "upper"])
@pytest.mark.parametrize("depth", [0, 2, 3])
@pytest.mark.parametrize("empty", [0, 1])
def test_a_scan_that_ends_inside_the_brain_is_cut(head, end, depth, empty):
    hu = np.repeat(head.hu[:1], 28, axis=0)
    hu[6:22] = head.hu[6:22]
    upside = slice(None, None, 1 if end == "lower" else -1)
    hu[upside][:empty] = -1024
    hu[upside][empty + depth] = head.hu[12]
    defects = judge_volume(HeadVolume(head.series, hu)).defects
    cut = [one for one in defects if f"the head is cut at its {end} end; found 1" in one]
    assert len(cut) == len(defects) == (depth < 3), "12 mm are two slices of 5 mm"


@pytest.mark.parametrize(("brains", "refused"), [(1, True), (3, False)])
def test_a_part_of_a_head_is_judged_where_it_has_more_brain_than_chance(head, brains, refused):
    mostly_bone = np.repeat(head.hu[:1], 28, axis=0)
    mostly_bone[-brains:] = head.hu[12 : 12 + brains]
    judged = judge_volume(HeadVolume(head.series, mostly_bone))
    assert bool(judged.refusals) == refused
    assert refused or any("a part of a head only" in one for one in judged.defects)


def test_faults_of_the_series_come_first_and_defects_are_no_refusal(head):
    faulty = replace(head.series, faults=("two patients",), defects=("slices are missing",))
    assert judge_series(faulty) == Judgement(("two patients",), ("slices are missing",))


def image_of(kind):
    rng = np.random.default_rng(3)
    image = np.full((GRID, GRID), -1000.0)
    if kind == "air":
        return image
    if kind == "water phantom":
        image[disc(90)] = 110
        image[disc(84)] = 0
    elif kind == "uniform head phantom":
        image[disc(90)] = 900
        image[disc(84)] = 40
    elif kind == "skull of water":
        image[disc(90)] = 900
        image[disc(84)] = rng.normal(0, 40, (GRID, GRID))[disc(84)]
    elif kind == "hollow skull":
        image[disc(90)] = 900
        image[disc(84)] = -990
        image[disc(20)] = 40
    elif kind == "abdomen":
        image[disc(80, wide=1.4)] = -100
        image[disc(72, wide=1.4)] = rng.normal(50, 15, (GRID, GRID))[disc(72, wide=1.4)]
        image[disc(14, row=180)] = 500
        for angle in np.arange(0, 6.28, 0.6):
            image[disc(4, 128 + 70 * np.sin(angle), 128 + 98 * np.cos(angle))] = 600
    elif kind == "chest":
        image[disc(80, wide=1.4)] = 40
        for side in (-60, 60):
            image[disc(50, column=128 + side)] = -850
        for angle in np.arange(0, 6.28, 0.3):
            image[disc(5, 128 + 75 * np.sin(angle), 128 + 105 * np.cos(angle))] = 600
    return image


@pytest.mark.parametrize(
    "kind",
    ["air", "water phantom", "uniform head phantom", "skull of water", "hollow skull", "abdomen",
     "chest"],
)  # fmt: skip
def test_what_is_no_head_is_refused_by_its_pixels(head, kind):
    (reason,) = judge_volume(with_pixels(head, image_of(kind))).refusals
    assert "found" in reason
    assert "expected" in reason


@pytest.mark.parametrize("offset", [1000, -1000, 300, -60])
def test_a_wrong_hu_scale_is_refused(head, offset):
    shifted = np.clip(head.hu.astype(int) + offset, HU_MIN, HU_MAX).astype(np.int16)
    assert judge_volume(HeadVolume(head.series, shifted)).refusals


def test_a_large_bleed_does_not_shut_the_gate(head):
    bled = head.hu.copy()
    ball = disc(30, 110, 160) & (bled > 0) & (bled < 60)
    bled[ball] = 70
    assert judge_volume(HeadVolume(head.series, bled)) == SOUND


def test_an_open_skull_does_not_shut_the_gate(head):
    open_skull = head.hu.copy()
    hole = np.zeros((GRID, GRID), bool)
    hole[90:140, 140:] = True
    open_skull[hole & (open_skull > 200)] = 40
    assert judge_volume(HeadVolume(head.series, open_skull)) == SOUND


def test_real_heads_pass(ge_head, rsna_scan):
    for folder in (ge_head, rsna_scan):
        (series,), _ = find_series([folder])
        assert judge_series(series) == SOUND
        assert judge_volume(without_lost_slices(read_volume(series))) == SOUND


def test_the_plastic_head_is_refused_by_pixels_alone(philips_mixed):
    series, _ = find_series([philips_mixed])
    for one in series:
        assert judge_series(one) != SOUND
        assert "do not show a head" in judge_volume(read_volume(one)).refusals[0]


def test_real_chest_and_belly_are_refused_by_pixels_alone(shared_data):
    folder = shared_data / "codecs" / "WG04"
    belly = shared_data / "odd" / "pydicom-data" / "explicit_VR-UN.dcm"
    for path in (folder / "RLE" / "CT1_RLE", belly):
        (series,), _ = find_series([path])
        assert judge_volume(read_volume(series)).refusals
    (series,), _ = find_series([folder / "RLE" / "CT2_RLE"])
    one_slice = judge_volume(read_volume(series))
    assert one_slice.refusals == ()
    assert one_slice.defects


@pytest.mark.parametrize("lost", [range(1, 14), range(3, 9), range(14, 26), range(20, 26), [1]])
@pytest.mark.parametrize("rows", [slice(None), slice(80, None)])
def test_a_run_of_lost_slices_is_noticed_wherever_it_lies(head, lost, rows):
    noisy = head.hu + np.random.default_rng(0).integers(0, 9, head.hu.shape, dtype=np.int16)
    for index in lost:
        noisy[index, rows] = -1024
    volume = without_lost_slices(HeadVolume(head.series, noisy))
    assert judge_volume(volume).defects
    if rows == slice(None):
        assert len(volume.left_out) == len(lost)


@pytest.mark.parametrize(
    ("part", "refused", "may_be_head"),
    [
        ("UNKNOWN", False, True),
        ("TRAUMA", False, True),
        ("SCHAEDEL", False, True),
        ("頭部", False, True),
        ("QUARK", True, True),
        ("CHEST", True, False),
        ("FEMORAL HEAD", True, False),
    ],
)
def test_a_body_part_speaks_against_a_head_only_where_it_is_known(head, part, refused, may_be_head):
    judged = judge_series(with_header(head.series, body_part_examined=part))
    assert (bool(judged.refusals), judged.may_be_head) == (refused, may_be_head)
