"""What becomes of scans that are not the whole of a head: they can be urgent, never cleared."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian

from ichlite.infer.bundle import load_bundle
from ichlite.infer.pipeline import read_with
from ichlite.infer.reader import Reader
from ichlite.infer.results import verdict
from ichlite.samples import GE_HEAD, PHANTOM_BLEED

FILES = PHANTOM_BLEED.files
"""46 slices, feet to head."""

MIDDLE = 24


@pytest.fixture(scope="module")
def reader():
    with Reader() as one:
        yield one


@pytest.fixture(scope="module")
def deaf():
    """A reader that calls next to nothing urgent: every scan is quiet to it."""
    bundle = load_bundle()
    with Reader(replace(bundle, rule=replace(bundle.rule, thresholds={"any": 1.0}))) as one:
        yield one


def copied(files, folder):
    folder.mkdir(exist_ok=True)
    return [Path(shutil.copyfile(file, folder / file.name)) for file in files]


def rewritten(file, to=None, **elements):
    """Rewrite a slice with other elements and uncompressed pixels; None takes an element out."""
    data = pydicom.dcmread(file)
    stored = elements.pop("pixels", data.pixel_array)
    data.PixelData = np.ascontiguousarray(stored).astype("<i2").tobytes()
    data["PixelData"].VR = "OW"
    data["PixelData"].is_undefined_length = False
    data.PixelRepresentation = 1
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in elements.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    data.save_as(to or file)
    return to or file


def position(file):
    return list(pydicom.dcmread(file, stop_before_pixels=True).ImagePositionPatient)


def pixels(file):
    return pydicom.dcmread(file).pixel_array


def one_missing(files):
    files[MIDDLE].unlink()


def every_second_missing(files):
    for file in files[1::2]:
        file.unlink()


def cut_below(files):
    for file in files[:20]:
        file.unlink()


def cut_above(files):
    for file in files[38:]:
        file.unlink()


def a_few_slices(files):
    for file in files[:20] + files[26:]:
        file.unlink()


def a_single_slice(files):
    for file in files[:22] + files[23:]:
        file.unlink()


def a_copy(files):
    shutil.copyfile(files[MIDDLE], files[MIDDLE].with_name("copy"))


def the_same_image_twice_at_one_place(files):
    rewritten(files[MIDDLE], files[MIDDLE].with_name("twin"), SOPInstanceUID="1.2.3")


def the_same_image_at_another_place(files):
    rewritten(files[MIDDLE + 1], pixels=pixels(files[MIDDLE]))


def two_images_at_one_place(files):
    rewritten(
        files[MIDDLE + 1],
        files[MIDDLE].with_name("twin"),
        SOPInstanceUID="1.2.3",
        ImagePositionPatient=position(files[MIDDLE]),
    )


def two_images_under_one_uid(files):
    uid = pydicom.dcmread(files[MIDDLE]).SOPInstanceUID
    rewritten(files[MIDDLE + 1], SOPInstanceUID=uid)


def a_truncated_file(files):
    rewritten(files[MIDDLE])
    files[MIDDLE].write_bytes(files[MIDDLE].read_bytes()[:-9000])


def pixels_that_do_not_decode(files):
    content = bytearray(files[MIDDLE].read_bytes())
    start = content.rindex(b"\xff\x4f\xff\x51")  # SOC, SIZ: a JPEG 2000 codestream
    content[start : start + 60] = bytes(60)
    files[MIDDLE].write_bytes(content)


def a_slice_without_hu(files):
    rewritten(files[MIDDLE], RescaleSlope=None)


def a_slice_without_pixels(files):
    rewritten(files[MIDDLE], pixels=np.zeros_like(pixels(files[MIDDLE])))


def a_slice_half_lost(files):
    stored = pixels(files[MIDDLE]).copy()
    stored[len(stored) // 3 :] = 0
    rewritten(files[MIDDLE], pixels=stored)


def a_slice_without_a_place(files):
    rewritten(files[MIDDLE], ImagePositionPatient=None)


def no_slice_with_a_place(files):
    for file in files:
        rewritten(file, ImagePositionPatient=None)


def all_slices_at_one_place(files):
    for file in files:
        rewritten(file, ImagePositionPatient=position(files[0]))


DEFECTS = {
    one_missing: "slices are missing after",
    every_second_missing: "leave tissue out between",
    cut_below: "the head is cut at its lower end",
    cut_above: "the head is cut at its upper end",
    a_few_slices: "too few slices for a scan; found 6 slices",
    a_single_slice: "found a single slice",
    a_copy: "1 copy of a slice was left out",
    the_same_image_twice_at_one_place: "shows the same image as slice",
    the_same_image_at_another_place: "shows the same image as slice",
    two_images_at_one_place: "different images share a position",
    two_images_under_one_uid: "1 SOPInstanceUID stands for different images",
    a_truncated_file: "pixel data is short",
    pixels_that_do_not_decode: "1 slice was left out",
    a_slice_without_hu: "has no RescaleSlope",
    a_slice_without_pixels: "holds no image",
    a_slice_half_lost: "is partly lost",
    a_slice_without_a_place: "its place in the scan is not known",
    no_slice_with_a_place: "the order of the slices is not known",
    all_slices_at_one_place: "all slices are at one position",
}


def check_places(result, folder):
    """Every file is in exactly one place, and each place has its reason in one line."""
    places = [f for s in result.studies for f in s.files] + [f.file for f in result.skipped]
    assert sorted(places) == sorted(str(one) for one in folder.rglob("*") if one.is_file())
    lines = [f.reason for f in result.skipped] + [r for s in result.studies for r in s.reasons]
    assert all(line and "\n" not in line for line in lines)


@pytest.mark.parametrize("spoil", DEFECTS, ids=lambda one: one.__name__)
def test_a_spoilt_scan_can_be_urgent_and_is_never_cleared(reader, deaf, tmp_path, spoil):
    spoil(copied(FILES, tmp_path / "scan"))
    bleeding, quiet = (read_with(one, tmp_path / "scan") for one in (reader, deaf))
    for result in (bleeding, quiet):
        check_places(result, tmp_path / "scan")
        (scan,) = result.studies
        assert (scan.status, scan.complete) == ("analysed", False)
        assert any(DEFECTS[spoil] in one for one in scan.not_cleared)
        assert all(one.startswith("incomplete: ") for one in scan.not_cleared)
        assert scan.reasons == scan.not_cleared
        assert len(scan.slices) == len(scan.files)
    assert bleeding.studies[0].urgent is True
    assert verdict(bleeding.studies[0]) == "urgent (incomplete)"
    assert quiet.studies[0].urgent is None
    assert verdict(quiet.studies[0]) == "incomplete: not cleared"


def test_the_whole_scans_are_complete(reader, deaf):
    for sample in (PHANTOM_BLEED, GE_HEAD):
        (scan,) = read_with(deaf, sample.folder).studies
        assert (scan.complete, scan.not_cleared, scan.urgent) == (True, (), False)
    assert read_with(reader, PHANTOM_BLEED.folder).studies[0].urgent is True


@pytest.mark.parametrize("lost", [2, 9, 14, 20, 25])
def test_a_real_head_without_one_slice_is_never_cleared(deaf, tmp_path, lost):
    files = copied(GE_HEAD.files, tmp_path / "ge")
    by_height = sorted(files, key=lambda file: position(file)[2])
    by_height[lost].unlink()
    (scan,) = read_with(deaf, tmp_path / "ge").studies
    assert (scan.status, scan.complete, scan.urgent) == ("analysed", False, None)


@pytest.mark.long
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_removal_repetition_or_order_of_slices_clears_a_bleed(reader, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    count = len(FILES)
    first, last = sorted(data.draw(st.tuples(st.integers(0, count), st.integers(0, count))))
    removed = data.draw(st.sets(st.integers(0, count - 1), max_size=6)) | set(range(first, last))
    kept = data.draw(st.permutations([i for i in range(count) if i not in removed]))
    twice = data.draw(st.lists(st.sampled_from(kept), max_size=4)) if kept else []
    for name, index in enumerate([*kept, *twice]):
        os.link(FILES[index], folder / f"{name:03d}")
    for scan in read_with(reader, folder).studies:
        assert scan.urgent is not False
        assert scan.urgent or scan.not_cleared or scan.status == "not_analysed"


def test_scores_do_not_cross_a_gap(reader, tmp_path):
    whole = read_with(reader, PHANTOM_BLEED.folder).studies[0]
    files = copied(FILES, tmp_path / "scan")
    files[MIDDLE].unlink()
    (scan,) = read_with(reader, tmp_path / "scan").studies
    assert scan.breaks == (MIDDLE - 1,)
    far = [i for i in range(len(FILES)) if abs(i - MIDDLE) > 1]
    by_name = {Path(s.file).name: s.probabilities for s in scan.slices}
    assert all(by_name[FILES[i].name] == whole.slices[i].probabilities for i in far)


@pytest.mark.parametrize(
    ("elements", "says"),
    [
        ({"PatientAge": "004Y"}, "child: PatientAge is 4 years"),
        ({"PatientAge": "015Y"}, "child: PatientAge is 15 years"),
        ({"PatientAge": "018M"}, "child: PatientAge is 1.5 years"),
        (
            {"PatientBirthDate": "20100101", "StudyDate": "20190101", "PatientAge": ""},
            "child: 9 years old by PatientBirthDate and the date of the scan",
        ),
        (
            {
                "PatientBirthDate": "20100101",
                "StudyDate": "",
                "SeriesDate": "",
                "AcquisitionDate": "20180101",
                "PatientAge": "",
            },
            "child: 8 years old by PatientBirthDate and the date of the scan",
        ),
    ],
)
def test_a_child_can_be_urgent_and_is_never_cleared(reader, deaf, tmp_path, elements, says):
    for file in copied(FILES, tmp_path / "scan"):
        rewritten(file, **elements)
    for one, urgent, words in (
        (reader, True, "urgent (child)"),
        (deaf, None, "child: not cleared"),
    ):
        (scan,) = read_with(one, tmp_path / "scan").studies
        assert (scan.status, scan.complete, scan.urgent) == ("analysed", True, urgent)
        assert says in scan.not_cleared[0]
        assert scan.reasons == scan.not_cleared
        assert verdict(scan) == words
        assert not any("2010" in line or "2019" in line for line in scan.reasons)
