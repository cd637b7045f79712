"""Both objects of a result, as programs that know DICOM judge and read them."""

import re
import zipfile
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from PIL import Image
from pydicom import config, dcmread
from tests.dicom_files import UID_ROOT, write_enhanced, write_head_series
from tests.test_imports import loaded_after
from tests.write.dicom_tools import faults, report_text, run_tool, warnings

from ichlite.errors import IchliteError, MissingExtra, UnreadableFile, UsageError
from ichlite.infer.bundle import load_bundle
from ichlite.infer.pipeline import read_paths
from ichlite.infer.results import Analysed
from ichlite.labels import ANY, CLASSES, SUBTYPES
from ichlite.samples import SAMPLES
from ichlite.write.result_objects import ResultFolder, write_result_objects
from ichlite.write.structured_report import FINDING_CODES
from ichlite.write.summary_picture import summary_picture

PATIENT = {
    "PatientName": "Smith^John",
    "PatientID": "4711",
    "PatientBirthDate": "19500131",
    "PatientSex": "M",
    "PatientAge": "076Y",
    "StudyDate": "20261127",
    "StudyTime": "101112",
    "StudyID": "S1",
    "AccessionNumber": "A1",
    "ReferringPhysicianName": "Doe^Jane",
    "FrameOfReferenceUID": UID_ROOT + "77",
}
KINDS = {
    "whole": {},
    "child": {"PatientAge": "008Y"},
    "refused": {"KVP": "80"},
    "no_head": {"BodyPartExamined": "CHEST"},
    "Japanese": {
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
    },
    "Arabic": {"PatientName": "قباني^لنزار", "SpecificCharacterSet": "ISO_IR 127"},
    "lossy": {"LossyImageCompression": "01"},
    "bare": {
        **dict.fromkeys(PATIENT),
        "PatientID": "",
        "KVP": None,
        "SliceThickness": None,
        "InstanceNumber": None,
    },
}
UNANSWERED = ("refused", "no_head")


@pytest.fixture(scope="module")
def bundles():
    """By name of the call that they make on any whole head."""
    bundle = load_bundle()
    points = {
        name: {"balanced": {**bundle.rule.thresholds, ANY: threshold}}
        for name, threshold in (("urgent", 0.0), ("quiet", 1.0))
    }
    return {
        name: replace(bundle, operating_points=point).at("balanced")
        for name, point in points.items()
    }


def read(folder, bundle):
    return list(read_paths(folder, bundle=bundle, keep_pixels=True).studies)


@pytest.fixture(scope="module")
def objects(tmp_path_factory, bundles, at):
    """Make the objects of a kind of scan, once."""
    made = {}

    def get(kind, call="urgent"):
        if (kind, call) not in made:
            folder = tmp_path_factory.mktemp(kind)
            files = write_head_series(
                folder / "scan", 28, side=256, **(PATIENT | KINDS.get(kind, {}))
            )
            if kind == "incomplete":
                files[12].unlink()
            scans = read(folder / "scan", bundles[call])
            paths = write_result_objects(scans, folder / "out", bundle=bundles[call], at=at)
            made[kind, call] = (*paths, scans)
        return made[kind, call]

    return get


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        *((kind, "urgent") for kind in (*KINDS, "incomplete")),
        *((kind, "quiet") for kind in ("whole", "child", "incomplete")),
    ],
)
def test_dciodvfy_finds_no_error_and_no_warning_that_could_be_mended(objects, kind, call):
    report, capture, _ = objects(kind, call)
    unpaired = "if an unpaired body part"  # of what is no head nobody knows whether it is one
    for path in (report, capture):
        assert faults(path) == []
        left = [line for line in warnings(path) if kind not in UNANSWERED or unpaired not in line]
        assert left == []


def test_dsrdump_reads_the_call_every_finding_and_who_judged(objects, bundles):
    report, _, (scan,) = objects("whole")
    text = report_text(report)
    assert '"Triage call")=(URGENT,99ICHLITE,"Urgent")' in text
    assert "Research use only. Not a medical device." in text
    assert "Patient             : Smith^John" in text
    groups = text.split('"Measurement Group"')[1:]
    assert len(groups) == len(CLASSES)
    for group, name in zip(groups, CLASSES, strict=True):
        code = FINDING_CODES[name]
        assert f'"Finding")=({code.value},{code.scheme},"{code.meaning}")' in group
        said = float(re.search(r'"Probability"\)="([0-9.]+)"', group)[1])
        assert said == pytest.approx(scan.scan[name], abs=1e-4)
        threshold = float(re.search(r'"Threshold Value"\)="([0-9.]+)"', group)[1])
        assert threshold == pytest.approx(bundles["urgent"].rule.thresholds[name], abs=1e-4)
        there = "Present" if scan.scan[name] >= threshold else "Absent"
        assert f'"Presence of property")=(12105{3 + (there == "Absent")},DCM,"{there}")' in group
        assert ("SCOORD" in group) == (there == "Present")
        assert '"Finding Site")=(1101003,SCT,"Intracranial")' in group
        assert "operating point balanced" in group
        assert '"Algorithm Family")=(123110,DCM,"Artificial Intelligence")' in group
        for sha256 in bundles["urgent"].manifest.files.values():
            assert sha256 in group
            break
    assert "Completion Flag     : COMPLETE" in text
    assert "Verification Flag   : UNVERIFIED" in text


@pytest.mark.parametrize(
    ("kind", "call", "code", "completion", "words"),
    [
        ("whole", "quiet", "NOTFLAGGED", "COMPLETE", "That is no all-clear."),
        ("incomplete", "quiet", "NOTCLEARED", "PARTIAL", "incomplete: not cleared"),
        ("incomplete", "urgent", "URGENT", "PARTIAL", "urgent (incomplete)"),
        ("child", "quiet", "NOTCLEARED", "COMPLETE", "child: not cleared"),
        ("refused", "quiet", "NOTANALYSED", "PARTIAL", "the tube voltage is out of range"),
        ("no_head", "quiet", "NOTANALYSED", "PARTIAL", "CHEST"),
    ],
)
def test_no_report_says_more_than_its_result(objects, kind, call, code, completion, words):
    report, _, scans = objects(kind, call)
    text = report_text(report)
    assert f"=({code},99ICHLITE," in text
    assert f"Completion Flag     : {completion}" in text
    assert words in text
    assert ('DCM,"Absent")' in text) == (code == "NOTFLAGGED")
    assert ('DCM,"Present")' in text) == (code == "URGENT")
    if code == "NOTANALYSED":
        assert "This is not a negative." in text
        assert 'NUM:(,,"Probability")' not in text
        assert 'DCM,"Presence Undetermined")' in text
    for scan in scans:
        assert all(reason.replace(scan.series, "…")[:60] in text for reason in scan.reasons)


@pytest.mark.parametrize("kind", ["Japanese", "Arabic", "whole"])
def test_a_patient_is_who_the_source_says_in_any_script(objects, kind):
    name = (PATIENT | KINDS[kind])["PatientName"]
    for path in objects(kind)[:2]:
        made = dcmread(path)
        assert str(made.PatientName) == name
        assert (made.PatientID, made.StudyInstanceUID) == ("4711", UID_ROOT + "1")
        assert (made.PatientBirthDate, made.AccessionNumber) == ("19500131", "A1")
        assert made.SeriesDescription == "ichlite: research use only"
    if kind != "Japanese":  # dcmtk with the C library's iconv does not know ISO 2022
        assert name in run_tool("dcmdump", "+U8", "+P", "PatientName", path)


def test_references_are_to_the_images_that_were_read(objects):
    report, capture, (scan,) = objects("incomplete")
    sources = {dcmread(file).SOPInstanceUID for file in scan.files}
    assert len(sources) == 27
    made = dcmread(report)
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (scan.study, scan.series)
    evidence = {one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence}
    of_capture = {one.ReferencedSOPInstanceUID for one in dcmread(capture).SourceImageSequence}
    assert evidence == of_capture == sources
    points = [item for item in made.iterall() if item.keyword == "GraphicData"]
    assert points
    for point in points:
        assert all(0 < place < 256 for place in point.value)
    hottest = max(scan.slices, key=lambda one: one.probabilities[ANY]).file
    region = re.search(r"SCOORD.*\n.*IMAGE:.*,(.*)\)>", run_tool("dsrdump", "+Pu", report))
    assert region[1].strip('"') == dcmread(hottest).SOPInstanceUID


def test_the_same_result_gives_the_same_files_and_another_time_the_same_uids(
    objects, bundles, at, tmp_path
):
    report, capture, scans = objects("whole")
    judge = bundles["urgent"]
    again = write_result_objects(scans, tmp_path / "a", bundle=judge, at=at)
    assert [path.name for path in again] == [report.name, capture.name]
    assert [path.read_bytes() for path in again] == [report.read_bytes(), capture.read_bytes()]
    later = write_result_objects(scans, tmp_path / "b", bundle=judge, at=at + timedelta(days=400))
    for before, after in zip(again, later, strict=True):
        one, two = dcmread(before), dcmread(after)
        assert one.SOPInstanceUID == two.SOPInstanceUID
        assert one.SeriesInstanceUID == two.SeriesInstanceUID
        assert (one.ContentDate, one.ContentTime) == ("20261127", "123015")
        differing = {element.keyword for element in one if two.get(element.tag) != element}
        assert differing
        assert all(re.search("Date|Time|ContributingEquipment", word) for word in differing)
    names = {
        dcmread(path)[uid].value
        for path in again
        for uid in ("SOPInstanceUID", "SeriesInstanceUID")
    }
    assert len(names) == 4


def test_the_picture_shows_the_call_and_never_the_patient(objects, bundles):
    _, capture, (scan,) = objects("whole")
    made = dcmread(capture)
    assert (made.Modality, made.ConversionType, made.BurnedInAnnotation) == ("OT", "WSD", "NO")
    pixels = made.pixel_array
    assert pixels.shape == (1024, 1280, 3)
    assert np.array_equal(pixels, summary_picture([scan], bundles["urgent"]))
    # Somebody else's scan of the same head, on another day, looks the same.
    other = dcmread(objects("Japanese")[1])
    assert other.PatientName != made.PatientName
    assert np.array_equal(other.pixel_array, pixels)
    badge = tuple(pixels[40, 200])
    assert badge == (0xD6, 0x27, 0x28)
    calls = {
        tuple(dcmread(objects(kind, "quiet")[1]).pixel_array[40, 200])
        for kind in ("whole", "incomplete", "refused")
    }
    assert len(calls | {badge}) == 4


def test_the_lesion_is_outlined_in_the_colour_of_its_subtype(bundles):
    sample = next(one for one in SAMPLES if one.name == "phantom-bleed")
    (scan,) = read(sample.folder, bundles["urgent"])
    with_map = summary_picture([scan], bundles["urgent"])
    without = summary_picture([replace(scan, has_lesion_map=False)], bundles["urgent"])
    changed = (with_map != without).any(axis=-1)[:950, 480:]
    colours = {tuple(colour) for colour in with_map[:950, 480:][changed]}
    known = {tuple(Image.new("RGB", (1, 1), one.colour).getpixel((0, 0))) for one in SUBTYPES}
    assert len(colours & known) >= 2
    assert changed.sum() > 500


@pytest.mark.long
def test_of_a_study_one_answer_has_objects_and_a_study_without_one_has_a_pair(
    tmp_path, bundles, at
):
    write_head_series(tmp_path / "a", 28, side=256, study="1", series="1")
    write_head_series(tmp_path / "b", 28, side=256, study="1", series="2")
    write_head_series(tmp_path / "c", 28, side=256, study="2", series="1", KVP="80")
    write_head_series(tmp_path / "d", 5, side=256, study="2", series="2", BodyPartExamined="CHEST")
    judge = bundles["quiet"]
    folder = ResultFolder(tmp_path / "out", judge, at)
    result = read_paths(
        [tmp_path / one for one in "abcd"], bundle=judge, visit=folder.add, pixels_for_visit=True
    )
    folder.finish(result)
    assert folder.problems == []
    assert sorted(folder.written) == sorted((tmp_path / "out").iterdir())
    reports = [dcmread(path) for path in folder.written if path.name.endswith(".sr.dcm")]
    assert [one.StudyInstanceUID for one in reports] == [UID_ROOT + "1", UID_ROOT + "2"]
    text = report_text(folder.written[2])
    assert "tube voltage" in text
    assert "CHEST" in text
    (study,) = reports[1].CurrentRequestedProcedureEvidenceSequence
    assert [len(one.ReferencedSOPSequence) for one in study.ReferencedSeriesSequence] == [28, 5]
    # Where every series is read, one that is refused does not speak for a study with an answer.
    write_head_series(tmp_path / "e", 28, side=256, study="1", series="3", KVP="80")
    every = ResultFolder(tmp_path / "every", judge, at)
    all_series = read_paths(
        [tmp_path / one for one in "abe"],
        bundle=judge,
        visit=every.add,
        pixels_for_visit=True,
        every_series=True,
    )
    every.finish(all_series)
    assert {one.status for one in all_series.studies} == {"analysed", "not_analysed"}
    assert len(every.written) == 4
    # The results of both studies at once are the same files.
    again = write_result_objects(
        [one for one in result.studies if one.study == UID_ROOT + "2"], tmp_path / "again",
        bundle=judge, at=at,
    )  # fmt: skip
    assert [path.name for path in again] == [path.name for path in folder.written[2:]]


def test_what_cannot_be_written_is_said_and_does_not_keep_the_rest_back(
    objects, bundles, at, tmp_path
):
    _, _, (scan,) = objects("whole")
    judge = bundles["urgent"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(IchliteError, match=r"cannot write .*file"):
        write_result_objects([scan], tmp_path / "file", bundle=judge, at=at)
    with pytest.raises(UsageError, match="without pixels"):
        write_result_objects([replace(scan, hu=None)], tmp_path / "out", bundle=judge, at=at)
    gone = replace(scan, files=(str(tmp_path / "gone"),))
    with pytest.raises(UnreadableFile, match="keep the files"):
        write_result_objects([gone], tmp_path / "out", bundle=judge, at=at)
    assert not (tmp_path / "out").exists()
    folder = ResultFolder(tmp_path / "out", judge, at)
    folder.add(gone)
    folder.add(scan)
    assert len(folder.problems) == 1
    assert len(folder.written) == 2


@pytest.mark.parametrize("archive", [False, True])
def test_a_frame_of_a_file_of_many_is_named_by_its_number(bundles, at, tmp_path, archive):
    files = write_head_series(tmp_path / "single", 28)
    path = write_enhanced(tmp_path / "head.dcm", files)
    if archive:
        with zipfile.ZipFile(tmp_path / "head.zip", "w") as made:
            made.write(path, "head.dcm")
        path = tmp_path / "head.zip"
    judge = bundles["urgent"]
    scans = read_paths([path], bundle=judge, keep_pixels=True).studies
    report, picture = write_result_objects(scans, tmp_path / "out", bundle=judge, at=at)
    made = dcmread(report)
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    assert len(study.ReferencedSeriesSequence[0].ReferencedSOPSequence) == 1
    hottest = int(np.argmax([one.probabilities[ANY] for one in scans[0].slices]))
    numbers = [item.value for item in made.iterall() if item.keyword == "ReferencedFrameNumber"]
    assert len(numbers) == len(CLASSES)
    assert numbers[0] == scans[0].slices[hottest].frame
    assert len(dcmread(picture).SourceImageSequence[0].ReferencedFrameNumber) == 28
    if not archive:
        assert faults(report) == faults(picture) == []


def test_a_real_head_and_a_scan_of_research_data_have_objects(ge_head, rsna_scan, tmp_path, at):
    bundle = load_bundle()
    for folder in (ge_head, rsna_scan):
        for scan in read(folder, bundle):
            assert isinstance(scan, Analysed)
            with config.disable_value_validation():
                report, capture = write_result_objects([scan], tmp_path, bundle=bundle, at=at)
                made = dcmread(report)
                assert (made.StudyInstanceUID, made.Modality) == (scan.study, "SR")
            for path in (report, capture):
                # UIDs of the source that are none stay: an archive knows the images by them.
                uids = re.compile(r" UI |UID|invalid data values for Value Rep")
                own = [line for line in faults(path) if not uids.search(line) or "2.25." in line]
                assert own == []
                assert folder == rsna_scan or faults(path) == []


def test_without_highdicom_one_line_names_the_extra(objects, bundles, at, tmp_path, monkeypatch):
    _, _, scans = objects("whole")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"highdicom .* pip install '\.\[node\]'"):
        write_result_objects(scans, tmp_path, bundle=bundles["urgent"], at=at)
    assert list(tmp_path.iterdir()) == []


def test_highdicom_is_loaded_for_a_report_alone():
    assert "highdicom" not in loaded_after("import ichlite.write.result_objects")
