"""A head in one file of many frames gets the answer of the same head in single files."""

import csv
import io
import json
import zipfile

import imagecodecs
import jsonschema
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless
from tests.dicom_files import write_enhanced

from ichlite.contracts import documents
from ichlite.infer.bundle import load_bundle
from ichlite.infer.pipeline import read_paths, read_scan
from ichlite.write.report_page import Report
from ichlite.write.result_files import to_csv, to_json


@pytest.fixture(scope="module")
def files(head_series):
    return sorted(head_series.iterdir())


@pytest.fixture(scope="module")
def alone(head_series):
    return read_scan(head_series)


@pytest.fixture(scope="module")
def image(files, tmp_path_factory):
    return write_enhanced(tmp_path_factory.mktemp("image") / "head.dcm", files)


def same_answer(scan, alone):
    assert scan.scan == alone.scan
    assert (scan.urgent, scan.complete, scan.notes) == (alone.urgent, alone.complete, alone.notes)
    np.testing.assert_array_equal(scan.logits, alone.logits)


def pixels_in(files, syntax):
    slices = [dcmread(file) for file in files]
    if syntax == ExplicitVRLittleEndian:
        return {}
    if syntax == JPEGLSLossless:
        frames = [imagecodecs.jpegls_encode(one.pixel_array.view(np.uint16)) for one in slices]
        return {"PixelData": encapsulate(frames)}
    for one in slices:
        one.compress(RLELossless, generate_instance_uid=False)
    return {"PixelData": b"".join([encapsulate([])[:8], *(_fragment(one) for one in slices)])}


def _fragment(data):
    """Return the item of the only frame of a compressed slice."""
    value = data.PixelData
    start = 8 + int.from_bytes(value[4:8], "little")
    return value[start : start + 8 + int.from_bytes(value[start + 4 : start + 8], "little")]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless, RLELossless])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_numbers_are_those_of_single_files(files, alone, tmp_path, syntax, threads):
    path = write_enhanced(
        *(tmp_path / "head.dcm", files), transfer_syntax_uid=syntax, **pixels_in(files, syntax)
    )
    same_answer(read_scan(path, threads=threads), alone)


def test_an_archive_of_either_gets_the_same_numbers(files, image, alone, tmp_path):
    for name, members in (("single.zip", files), ("frames.zip", [image])):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in members:
                archive.write(member, f"scan/{member.name}")
        scan = read_scan(tmp_path / name, threads=2)
        same_answer(scan, alone)
        assert scan.files == tuple(f"{tmp_path / name}/scan/{one.name}" for one in members)


def test_the_document_names_the_file_once_and_each_frame(image, alone):
    result = read_paths(image)
    document = json.loads(to_json(result))
    jsonschema.validate(document, documents.schema("read-1"))
    (study,) = document["studies"]
    assert study["files"] == [str(image)]
    assert document["skipped"] == []
    assert [(one["file"], one["frame"]) for one in study["slices"]] == [
        (str(image), number) for number in range(1, 29)
    ]
    single = json.loads(to_json(read_paths(list(alone.files))))
    assert {one["frame"] for one in single["studies"][0]["slices"]} == {None}
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert [row["frame"] for row in rows] == [str(number) for number in range(1, 29)]


def test_the_page_names_frames_and_shows_their_pictures(image, head_series):
    def page(path):
        report = Report(load_bundle())
        result = read_paths(path, visit=report.add, pixels_for_visit=True)
        return report.page(result)

    of_frames, of_files = page(image), page(head_series)
    assert "head.dcm, frame 7" in of_frames
    assert "IM0006" in of_files
    pictures = [one.split('class="data">')[1].split("<")[0] for one in (of_frames, of_files)]
    assert pictures[0] == pictures[1]


def test_a_frame_that_is_lost_leaves_the_scan_incomplete(image, tmp_path):
    content = image.read_bytes()
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(content[:-200_000])
    result = read_paths(cut)
    (scan,) = result.studies
    assert scan.urgent is not False
    assert scan.complete is False
    assert [one.may_be_ct for one in result.skipped] == [True]
    assert "2 frames, from frame 27 on: the pixel data is short" in result.skipped[0].reason


def test_a_pydicom_data_set_of_many_frames_is_read(image, alone):
    same_answer(read_scan(dcmread(image)), alone)
    without_meta = dcmread(image)
    del without_meta.file_meta
    same_answer(read_scan([without_meta]), alone)
