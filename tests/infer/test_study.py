"""One study, one answer: which series is read, and what is said of the others."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from tests.dicom_files import UID_ROOT, write_head_series

from ichlite.commands.read import succeeded
from ichlite.infer.pipeline import read_paths, read_scan
from ichlite.infer.reader import Reader
from ichlite.infer.results import Analysed

DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"


def uid(series: str, study: str = "1") -> str:
    return f"{UID_ROOT}{study}.{series}"


def write_study(folder, *, soft: bool = True, study: str = "1") -> None:
    """A scanner's export: scout, bone, thick and thin soft series, and a dose report."""
    write_head_series(
        folder / "scout", 1, study=study, series="1", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    write_head_series(
        folder / "bone", 28, study=study, series="2", ConvolutionKernel="BONEPLUS",
        SeriesDescription="HEAD BONE",
    )  # fmt: skip
    report = pydicom.dcmread(write_head_series(folder / "dose", 1, study=study, series="5")[0])
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = DOSE_REPORT
    report.Modality = "SR"
    report.save_as(folder / "dose" / "IM0000")
    if soft:
        write_head_series(
            folder / "thin", 28, study=study, series="3", SliceThickness="4",
            SeriesDescription="HEAD 4.0 SOFT",
        )  # fmt: skip
        write_head_series(
            folder / "thick", 28, study=study, series="4", SliceThickness="5",
            SeriesDescription="HEAD 5.0 SOFT",
        )  # fmt: skip


def by_series(result):
    return {one.series: one for one in result.studies}


def test_a_scanners_export_has_one_answer(tmp_path):
    write_study(tmp_path)
    result = read_paths([tmp_path])
    found = by_series(result)
    statuses = {series: one.status for series, one in found.items()}
    assert statuses == {
        uid("1"): "not_chosen",
        uid("2"): "not_chosen",
        uid("3"): "not_chosen",
        uid("4"): "analysed",
    }
    assert {one.read_instead for one in found.values() if one.status == "not_chosen"} == {uid("4")}
    assert "scout" in found[uid("1")].reasons[0]
    assert "bone" in found[uid("2")].reasons[0]
    assert "nearer to 5 mm" in found[uid("3")].reasons[0]
    assert [one.reason.partition(";")[0] for one in result.skipped] == ["not a CT image"]
    assert succeeded(result)


def test_an_export_without_a_soft_series_has_none_and_fails(tmp_path):
    write_study(tmp_path, soft=False)
    result = read_paths([tmp_path])
    assert {one.status for one in result.studies} == {"not_analysed"}
    assert all(one.reasons for one in result.studies)
    assert not succeeded(result)


def test_two_studies_of_one_patient_have_an_answer_each(tmp_path):
    write_study(tmp_path / "a", study="1")
    write_study(tmp_path / "b", study="2")
    result = read_paths([tmp_path])
    analysed = [one for one in result.studies if isinstance(one, Analysed)]
    assert [one.series for one in analysed] == [uid("4"), uid("4", "2")]
    assert succeeded(result)


def test_scouts_and_chests_alone_are_no_success(tmp_path):
    write_head_series(tmp_path, 20, BodyPartExamined="CHEST")
    result = read_paths([tmp_path])
    assert not result.studies[0].may_be_head
    assert not succeeded(result)


def test_a_chest_beside_a_head_is_no_failure(tmp_path):
    write_head_series(tmp_path / "chest", 20, study="2", BodyPartExamined="CHEST")
    write_head_series(tmp_path / "head", 28)
    assert succeeded(read_paths([tmp_path]))


def test_a_study_that_may_be_a_head_and_has_no_answer_fails(tmp_path):
    write_head_series(tmp_path / "contrast", 28, study="2", ContrastBolusAgent="OMNIPAQUE")
    write_head_series(tmp_path / "head", 28)
    assert not succeeded(read_paths([tmp_path]))


def lose_a_slice(folder) -> None:
    (folder / "IM0012").unlink()


def test_a_whole_thin_series_answers_for_a_thick_one_that_lacks_a_slice(tmp_path):
    write_study(tmp_path)
    lose_a_slice(tmp_path / "thick")
    result = read_paths([tmp_path])
    found = by_series(result)
    assert found[uid("3")].status == "analysed"
    assert found[uid("4")].status == "not_chosen"
    assert "incomplete" in found[uid("4")].reasons[0]
    assert succeeded(result)


@pytest.mark.parametrize("urgent", [True, False])
def test_an_incomplete_series_found_by_its_pixels_stands_only_if_it_is_urgent(
    tmp_path, monkeypatch, urgent
):
    write_study(tmp_path)
    real = Reader.read

    def spoilt(self, series, **options):
        result = real(self, series, **options)
        if series.series_uid == uid("4"):
            reasons = ("incomplete: a slice was left out: it is empty",)
            call = True if urgent else None
            return replace(
                result, complete=False, urgent=call, not_cleared=reasons, reasons=reasons
            )
        return result

    monkeypatch.setattr(Reader, "read", spoilt)
    found = by_series(read_paths([tmp_path]))
    if urgent:
        assert (found[uid("4")].status, found[uid("4")].urgent) == ("analysed", True)
        assert found[uid("3")].status == "not_chosen"
    else:
        assert found[uid("3")].status == "analysed"
        assert found[uid("4")].status == "not_chosen"
        assert found[uid("4")].reasons[0].startswith("incomplete")


def test_every_series_reads_each_by_itself(tmp_path):
    write_study(tmp_path)
    found = by_series(read_paths([tmp_path], every_series=True))
    assert [found[uid(n)].status for n in "1234"] == [
        "not_analysed", "not_analysed", "analysed", "analysed",
    ]  # fmt: skip


def test_force_reads_what_is_refused_only_where_nothing_passes(tmp_path):
    write_study(tmp_path)
    assert by_series(read_paths([tmp_path], force=True))[uid("4")].reasons == ()
    shutil.rmtree(tmp_path / "thick")
    shutil.rmtree(tmp_path / "thin")
    found = by_series(read_paths([tmp_path], force=True))
    assert found[uid("2")].status == "analysed"
    assert "bone" in found[uid("2")].reasons[0]


def test_the_choice_does_not_depend_on_names_or_order(tmp_path):
    write_study(tmp_path / "a")
    files = sorted((tmp_path / "a").rglob("IM*"))
    for number, file in enumerate(reversed(files)):
        shutil.copyfile(file, tmp_path / f"x{number}")
    one = read_paths([tmp_path / "a"])
    other = read_paths([file for file in tmp_path.iterdir() if file.is_file()])
    said = [[(s.series, s.status, s.reasons, s.scan) for s in r.studies] for r in (one, other)]
    assert said[0] == said[1]


def turned_by_180(folder, target) -> None:
    """The same scan as a viewer stores it upside down: pixels, orientation and first voxel."""
    target.mkdir()
    for file in folder.iterdir():
        image = pydicom.dcmread(file)
        row, column = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
        down, right = map(float, image.PixelSpacing)
        place = np.array(image.ImagePositionPatient, float)
        place = place + row * right * (image.Columns - 1) + column * down * (image.Rows - 1)
        image.PixelData = image.pixel_array[::-1, ::-1].tobytes()
        image.ImageOrientationPatient = [*(-row), *(-column)]
        image.ImagePositionPatient = place.tolist()
        image.save_as(target / file.name)


def test_images_turned_by_180_degrees_are_turned_back(head_series, tmp_path):
    turned_by_180(head_series, tmp_path / "turned")
    before, after = (
        read_scan(path, keep_pixels=True) for path in (head_series, tmp_path / "turned")
    )
    assert np.array_equal(before.hu, after.hu)
    assert before.scan == after.scan
    assert "turned by 180 degrees (28 of 28 slices)" in after.notes[0]
    assert before.notes == ()
