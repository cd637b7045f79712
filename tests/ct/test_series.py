import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.dicom_files import UID_ROOT, head_slice, write_ct_slice, write_head_series

from ichlite.ct.series import find_series
from ichlite.ct.tensor import read_volume
from ichlite.errors import HounsfieldError, InputError, SeriesError

COUNT = 12


def accounted(folder, series, skipped):
    """Every file below `folder` is in exactly one series or one skipped line."""
    files = sorted(str(one) for one in Path(folder).rglob("*") if not one.is_dir())
    used = [header.path for one in series for header in one.slices]
    assert sorted(used + [one.file for one in skipped]) == files
    return True


@pytest.fixture
def scan(tmp_path):
    write_head_series(tmp_path / "scan", COUNT, side=32)
    return tmp_path / "scan"


def only(found):
    (series,), skipped = found
    return series, skipped


def test_a_folder_gives_its_series_feet_to_head(scan):
    series, skipped = only(find_series([scan]))
    assert skipped == ()
    assert [Path(one.path).name for one in series.slices] == [f"IM{i:04d}" for i in range(COUNT)]
    assert series.positions_mm == tuple(5.0 * index for index in range(COUNT))
    assert (series.slice_spacing_mm, series.faults, series.defects) == (5.0, (), ())
    assert (series.patient_id, series.study_uid) == ("synthetic", UID_ROOT + "1")


def test_paths_may_be_text_one_path_or_single_files(scan):
    whole = find_series([scan])
    assert find_series(str(scan)) == whole
    assert find_series(sorted(scan.iterdir())) == whole
    assert find_series([scan, *scan.iterdir()]) == whole


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.permutations(range(COUNT)), st.lists(st.integers(0, 2), min_size=COUNT, max_size=COUNT))
def test_names_order_and_folders_do_not_matter(scan, tmp_path_factory, order, depths):
    other = tmp_path_factory.mktemp("shuffled")
    for index, (name, depth) in enumerate(zip(order, depths, strict=True)):
        place = other.joinpath(*"ab"[:depth], f"{name:02d}")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scan / f"IM{index:04d}", place)
    series, skipped = only(find_series([scan]))
    moved, moved_skipped = only(find_series([other]))
    assert skipped == moved_skipped == ()
    assert moved.positions_mm == series.positions_mm
    assert [one.instance_uid for one in moved.slices] == [one.instance_uid for one in series.slices]
    np.testing.assert_array_equal(read_volume(moved).hu, read_volume(series).hu)


def test_no_files_is_an_error(tmp_path):
    with pytest.raises(SeriesError, match="no files to read"):
        find_series([tmp_path])
    with pytest.raises(SeriesError, match="no files to read"):
        find_series([])


def test_a_path_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_series([tmp_path / "gone"])


def test_a_path_that_cannot_be_looked_at_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be opened: File name too long"):
        find_series([tmp_path / ("x" * 300)])
    with pytest.raises(InputError, match="is not a file name"):
        find_series(["a\0b"])


def test_a_folder_that_vanishes_or_is_shut_is_skipped_in_one_line(scan, monkeypatch):
    def shut(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", shut)
    found, skipped = find_series([scan])
    assert found == ()
    assert [one.reason for one in skipped] == ["folder cannot be opened: Permission denied"]


def test_a_position_beyond_sense_is_refused(scan):
    write_ct_slice(
        scan / "IM0005",
        head_slice(0.4, side=32),
        SOPInstanceUID=UID_ROOT + "1.1.6",
        ImagePositionPatient=[0.0, 0.0, 1e300],
    )
    _, (skipped,) = find_series([scan])
    assert "ImagePositionPatient makes no sense" in skipped.reason


def test_slices_all_at_one_place_are_a_defect(tmp_path):
    write_head_series(tmp_path, COUNT, side=32, ImagePositionPatient=[0.0, 0.0, 0.0])
    series, _ = only(find_series([tmp_path]))
    assert "all slices are at one position; found 12 slices at 1 position" in series.defects[0]
    assert series.breaks == tuple(range(COUNT - 1))


def test_other_files_are_skipped_each_with_its_reason(scan):
    (scan / "notes.txt").write_text("not an image")
    (scan / "empty").touch()
    (scan / "old.zip").write_bytes(b"PK\x03\x04rest")
    write_ct_slice(
        scan / "DICOMDIR", np.zeros((16, 16), np.int16), SOPClassUID="1.2.840.10008.1.3.10"
    )
    series, skipped = only(find_series([scan]))
    assert (series.faults, series.defects) == ((), ())
    assert {Path(one.file).name: one.reason.split(":")[0] for one in skipped} == {
        "notes.txt": "not a DICOM file",
        "empty": "empty file",
        "old.zip": "the zip archive is damaged or cut short",
        "DICOMDIR": "DICOMDIR",
    }
    assert accounted(scan, (series,), skipped)


def test_links_do_not_loop_or_count_twice(scan):
    (scan / "loop").symlink_to(scan, target_is_directory=True)
    (scan / "alias").symlink_to(scan / "IM0003")
    (scan / "dangling").symlink_to(scan / "gone")
    series, skipped = only(find_series([scan]))
    assert len(series.slices) == COUNT
    assert series.faults == ()
    reasons = {Path(one.file).name: one.reason for one in skipped}
    assert reasons["loop"] == "a link to a folder, which is not followed"
    assert "same file" in reasons.get("alias", reasons.get("IM0003", ""))
    assert "cannot be opened" in reasons["dangling"]


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["scan", "scan"], 0),
        (["scan", "./scan", "scan/"], 0),
        (["scan", "ABSOLUTE"], 1),
        (["ABSOLUTE", "scan", "link"], 2),
        ([".", "scan"], 0),
        ([".", "ABSOLUTE"], 1),
    ],
)
def test_a_folder_of_two_names_is_read_once_and_said_once(scan, monkeypatch, words, lines):
    monkeypatch.chdir(scan.parent)
    if "link" in words:
        (scan.parent / "link").symlink_to(scan, target_is_directory=True)
    series, skipped = only(find_series([word.replace("ABSOLUTE", str(scan)) for word in words]))
    assert len(series.slices) == COUNT
    assert series.defects == ()
    assert [one.reason.startswith("the same folder as ") for one in skipped] == [True] * lines
    assert not any(one.may_be_ct for one in skipped)


def test_a_pipe_is_skipped(scan):
    os.mkfifo(scan / "pipe")
    _, skipped = find_series([scan])
    assert [one.reason for one in skipped] == ["not a regular file"]


@pytest.mark.parametrize("which", [0, 5, COUNT - 1])
def test_a_truncated_slice_anywhere_is_a_defect_of_its_series(scan, which):
    victim = scan / f"IM{which:04d}"
    victim.write_bytes(victim.read_bytes()[:-200])
    series, skipped = only(find_series([scan]))
    assert len(series.slices) == COUNT - 1
    assert [one.file for one in skipped] == [str(victim)]
    assert series.faults == ()
    assert series.defects[0].startswith("1 of its files cannot be used, so slices are missing")
    assert "pixel data is short; found 1848 bytes; expected 2048" in series.defects[0]


def test_a_missing_slice_is_a_defect(scan):
    (scan / "IM0006").unlink()
    series, _ = only(find_series([scan]))
    assert "slices are missing after 25.0 mm" in series.defects[0]
    assert series.breaks == (5,)


def test_a_slice_without_a_place_is_left_out(scan):
    write_ct_slice(
        scan / "IM0005",
        head_slice(0.4, side=32),
        SOPInstanceUID=UID_ROOT + "1.1.6",
        ImagePositionPatient=None,
    )
    series, (skipped,) = only(find_series([scan]))
    assert skipped.file == str(scan / "IM0005")
    assert "its place in the scan is not known" in skipped.reason
    assert series.faults == ()
    assert "1 of its files cannot be used" in series.defects[0]
    assert series.breaks == (4,)
    assert accounted(scan, (series,), (skipped,))


def test_identical_copies_are_left_out_and_named(scan):
    shutil.copy(scan / "IM0004", scan / "copy of 4")
    series, skipped = only(find_series([scan]))
    assert len(series.slices) == COUNT
    assert series.faults == ()
    (defect,) = series.defects
    assert defect.startswith("1 copy of a slice was left out")
    assert [one.reason for one in skipped] == [f"a copy of {scan / 'IM0004'}"]
    assert accounted(scan, (series,), skipped)


def test_one_uid_with_two_images_is_a_defect_and_order_still_settled(scan, tmp_path):
    def changed(path):
        return write_ct_slice(
            path,
            head_slice(0.9, side=32),
            SOPInstanceUID=f"{UID_ROOT}1.1.5",
            ImagePositionPatient=[-120.0, -120.0, 20.0],
        )

    changed(scan / "zz")
    series, skipped = only(find_series([scan]))
    assert "1 SOPInstanceUID stands for different images, and all are judged" in series.defects
    assert accounted(scan, (series,), skipped)
    first = read_volume(series).hu
    (scan / "zz").unlink()
    changed(scan / "00")
    np.testing.assert_array_equal(read_volume(only(find_series([scan]))[0]).hu, first)


def test_scouts_among_slices_are_taken_out(scan):
    write_ct_slice(
        scan / "scout",
        np.zeros((16, 32), np.int16),
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        ImageOrientationPatient=[0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
        SOPInstanceUID=UID_ROOT + "7",
    )
    series, skipped = only(find_series([scan]))
    assert len(series.slices) == COUNT
    assert (series.faults, series.defects) == ((), ())
    assert [one.reason for one in skipped] == ["a localizer (scout) among the slices of a series"]


def test_screens_among_slices_are_no_loss(scan):
    write_ct_slice(
        scan / "screen",
        np.zeros((16, 32), np.int16),
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        SOPInstanceUID=UID_ROOT + "8",
    )
    series, skipped = only(find_series([scan]))
    assert (series.faults, series.defects) == ((), ())
    assert len(skipped) == 1


def test_two_patients_in_one_folder_are_two_series_in_a_stable_order(tmp_path):
    write_head_series(tmp_path / "b", COUNT, side=32, study="1", PatientID="one")
    write_head_series(tmp_path / "a", COUNT, side=32, study="2", PatientID="two")
    series, skipped = find_series([tmp_path])
    assert [(one.patient_id, len(one.slices), one.faults) for one in series] == [
        ("one", COUNT, ()),
        ("two", COUNT, ()),
    ]
    assert skipped == ()


def test_two_patients_in_one_series_are_a_fault(scan):
    write_ct_slice(
        scan / "other",
        head_slice(0.5, side=32),
        PatientID="someone",
        SOPInstanceUID=UID_ROOT + "9",
        ImagePositionPatient=[-120.0, -120.0, 5.0 * COUNT],
    )
    series, _ = only(find_series([scan]))
    assert "mixed patients in one series; found 2; expected 1" in series.faults


def test_the_mixed_export_is_accounted_for(philips_mixed):
    series, skipped = find_series([philips_mixed])
    assert sorted(len(one.slices) for one in series) == [1, 2, 3]
    assert sum("secondary capture" in one.reason for one in skipped) == 6
    assert sum("DICOMDIR" in one.reason for one in skipped) == 5
    assert accounted(philips_mixed, series, skipped)


def test_the_odd_files_are_accounted_for_and_read_or_refused_in_one_line(shared_data):
    series, skipped = find_series([shared_data / "odd", shared_data / "codecs"])
    perfusion = [one for one in series if one.files[0].endswith("eCT_Supplemental.dcm")]
    with pytest.raises(HounsfieldError, match="RescaleType US"):
        read_volume(perfusion[0])
    for one in series:
        if one not in perfusion:
            assert read_volume(one).hu.shape == (len(one.slices), 256, 256)
    assert all(one.reason and "\n" not in one.reason for one in skipped)
    used = sum(len(one.files) for one in series)
    files = [
        one
        for name in ("odd", "codecs")
        for one in (shared_data / name).rglob("*")
        if one.is_file()
    ]
    assert used + len(skipped) == len(files)


def test_the_ge_head_is_one_sound_series(ge_head):
    series, _ = only(find_series([ge_head]))
    assert (len(series.slices), series.faults, series.defects) == (28, (), ())
    assert np.diff(series.positions_mm).max() == pytest.approx(7.0, abs=0.01)


def test_an_rsna_scan_is_one_sound_series(rsna_scan):
    series, skipped = only(find_series([rsna_scan]))
    assert (len(series.slices), series.faults, series.defects, skipped) == (33, (), (), ())


@pytest.mark.parametrize("content", [b"", b"\0" * 128 + b"DICM" + b"\2\0", b"noise"])
def test_a_file_named_as_the_slices_are_may_be_one_that_is_lost(tmp_path, content):
    files = write_head_series(tmp_path, 28)
    (tmp_path / "marker").touch()
    series, _ = only(find_series([tmp_path]))
    assert series.defects == ()
    files[-1].write_bytes(content)
    series, _ = only(find_series([tmp_path]))
    assert any("named as its slices are cannot be read" in one for one in series.defects)


def test_a_second_copy_of_a_whole_series_changes_nothing(tmp_path):
    files = write_head_series(tmp_path / "a", 28)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    series, skipped = only(find_series([tmp_path]))
    assert (series.defects, len(series.slices), len(skipped)) == ((), 28, 28)
    (tmp_path / "b" / files[3].name).unlink()
    series, _ = only(find_series([tmp_path]))
    assert any("may have taken the place of another" in one for one in series.defects)


@pytest.mark.parametrize("where", ["description", "preamble"])
def test_an_image_that_quotes_a_report_is_an_image(tmp_path, where):
    text = "<!doctype html><title>ichlite"
    files = write_head_series(tmp_path, 28, StudyDescription=text)
    if where == "preamble":
        for file in files:
            file.write_bytes(text.encode().ljust(128, b"\0") + file.read_bytes()[128:])
    series, skipped = only(find_series([tmp_path]))
    assert (len(series.slices), skipped) == (28, ())
