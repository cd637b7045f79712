from dataclasses import replace

import numpy as np
import pytest
from tests.dicom_files import write_head_series

from ichlite.ct.gate import judge_series, judge_volume
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
    return HeadVolume(head.series, np.broadcast_to(image, (28, GRID, GRID)).astype(np.int16))


def disc(radius, row=128, column=128, wide=1.0):
    rows, columns = np.mgrid[:GRID, :GRID]
    return np.hypot(rows - row, (columns - column) / wide) < radius


def test_a_head_passes(head):
    assert judge_series(head.series) == ()
    assert judge_volume(head) == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kvp": 80.0}, "tube voltage out of range; found 80 kV; expected 100 to 140"),
        ({"kvp": 150.0}, "found 150 kV"),
        ({"contrast_agent": "OMNIPAQUE"}, "contrast agent was given; found OMNIPAQUE"),
        ({"series_description": "HEAD POST CONTRAST"}, "not a plain scan"),
        ({"series_description": "CTA head"}, "not a plain scan"),
        ({"body_part_examined": "CHEST"}, "not a head; found BodyPartExamined CHEST"),
        ({"convolution_kernel": "H70h"}, "bone or lung kernel"),
        ({"convolution_kernel": "BONEPLUS"}, "bone or lung kernel"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "a localizer (scout)"),
        ({"image_type": ("DERIVED", "SECONDARY", "MIP")}, "intensity projection"),
        ({"image_orientation": None}, "orientation of the slices is not known"),
        ({"image_orientation": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)}, "not axial; found 90 degrees"),
        ({"image_orientation": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)}, "not axial; found 90 degrees"),
        ({"image_orientation": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)}, "turned or mirrored"),
        ({"image_orientation": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)}, "turned or mirrored"),
        ({"image_orientation": (0.0, 1.0, 0.0, -1.0, 0.0, 0.0)}, "turned or mirrored"),
        ({"pixel_spacing_mm": None}, "pixel size is not known"),
        ({"pixel_spacing_mm": (1.6, 1.6)}, "field of view is not that of a head"),
        ({"pixel_spacing_mm": (0.5, 0.5)}, "field of view is not that of a head"),
        ({"pixel_spacing_mm": (0.9, 1.2)}, "pixels are not square"),
    ],
)
def test_each_header_that_rules_a_series_out_is_one_line(head, change, says):
    reasons = judge_series(with_header(head.series, **change))
    assert len(reasons) == 1
    assert says in reasons[0]
    assert "\n" not in reasons[0]


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
    assert judge_series(with_header(head.series, **change)) == ()


def test_one_slice_with_contrast_is_enough(head):
    reasons = judge_series(with_header(head.series, slice(3, 4), contrast_agent="ULTRAVIST"))
    assert reasons == ("contrast agent was given; found ULTRAVIST; expected a plain scan",)


@pytest.mark.parametrize(
    ("count", "says"), [(1, "found a single slice"), (9, "found 9 slices"), (12, "found 60 mm")]
)
def test_too_little_of_a_head_is_a_reason(head, count, says):
    few = replace(
        head.series,
        slices=head.series.slices[:count],
        positions_mm=head.series.positions_mm[:count],
    )
    assert any(says in reason for reason in judge_series(few))


def test_tissue_left_out_between_slices_is_a_reason(head):
    series = with_header(head.series, slice_thickness_mm=2.5)
    (reason,) = judge_series(series)
    assert "found a distance of 5.0 mm between slices of 2.5 mm" in reason
    assert judge_series(with_header(head.series, slice_thickness_mm=None)) == ()


def test_faults_of_the_series_come_first(head):
    faulty = replace(head.series, faults=("slices are missing",))
    assert judge_series(faulty) == ("slices are missing",)


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
    reasons = judge_volume(with_pixels(head, image_of(kind)))
    assert len(reasons) == 1
    assert "found" in reasons[0]
    assert "expected" in reasons[0]


@pytest.mark.parametrize("offset", [1000, -1000, 300, -60])
def test_a_wrong_hu_scale_is_refused(head, offset):
    shifted = np.clip(head.hu.astype(int) + offset, HU_MIN, HU_MAX).astype(np.int16)
    assert judge_volume(HeadVolume(head.series, shifted))


def test_a_large_bleed_does_not_shut_the_gate(head):
    bled = head.hu.copy()
    ball = disc(30, 110, 160) & (bled > 0) & (bled < 60)
    bled[ball] = 70
    assert judge_volume(HeadVolume(head.series, bled)) == ()


def test_an_open_skull_does_not_shut_the_gate(head):
    open_skull = head.hu.copy()
    hole = np.zeros((GRID, GRID), bool)
    hole[90:140, 140:] = True
    open_skull[hole & (open_skull > 200)] = 40
    assert judge_volume(HeadVolume(head.series, open_skull)) == ()


def test_real_heads_pass(ge_head, rsna_scan):
    for folder in (ge_head, rsna_scan):
        (series,), _ = find_series([folder])
        assert judge_series(series) == ()
        assert judge_volume(read_volume(series)) == ()


def test_the_plastic_head_is_refused_by_pixels_alone(philips_mixed):
    series, _ = find_series([philips_mixed])
    for one in series:
        assert judge_series(one)
        assert "do not show a head" in judge_volume(read_volume(one))[0]


def test_real_chest_and_belly_are_refused_by_pixels_alone(shared_data):
    folder = shared_data / "codecs" / "WG04"
    belly = shared_data / "odd" / "pydicom-data" / "explicit_VR-UN.dcm"
    for path in (folder / "RLE" / "CT1_RLE", belly):
        (series,), _ = find_series([path])
        assert judge_volume(read_volume(series))
    (series,), _ = find_series([folder / "RLE" / "CT2_RLE"])
    assert judge_volume(read_volume(series)) == (), "one slice of a brain"
