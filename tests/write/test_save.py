"""Pages that a result in Python writes: those of the command, under its rules."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from tests.dicom_files import write_head_series

from ichlite.errors import IchliteError, UsageError
from ichlite.infer.pipeline import read_paths, read_scan
from ichlite.infer.results import ReadResult


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    write_head_series(folder / "head", 20, side=256, PatientName="DOE^JANE")
    write_head_series(folder / "dye", 12, study="2", ContrastBolusAgent="OMNI")
    return folder


@pytest.fixture(scope="module")
def result(studies):
    return read_paths([studies], keep_pixels=True)


@pytest.mark.parametrize("words", [[], ["--identifiers"]], ids=["plain", "identifiers"])
def test_the_page_is_that_of_the_command(ichlite, studies, result, tmp_path, words):
    ichlite("read", studies, "--html", tmp_path / "command.html", *words)
    result.save_html(tmp_path / "python.html", identifiers=bool(words))
    page = (tmp_path / "python.html").read_bytes()
    assert page == (tmp_path / "command.html").read_bytes()
    assert (b"DOE JANE" in page) == bool(words)


def test_a_page_on_one_scan(studies, tmp_path):
    scan = read_scan(studies / "head", keep_pixels=True, operating_point="high_sensitivity")
    scan.save_html(str(tmp_path / "scan.html"))
    page = (tmp_path / "scan.html").read_text()
    assert "operating point high sensitivity" in page
    assert "OMNI" not in page
    scan.save_html(tmp_path / "scan.html")  # its own page may be replaced


def test_what_must_not_be_overwritten_is_left(studies, result, tmp_path):
    image = studies / "head" / "IM0000"
    notes = studies / "head" / "notes.txt"
    notes.write_text("mine")
    before = image.read_bytes()
    (tmp_path / "link").symlink_to(image)
    for path in (image, tmp_path / "link", notes, studies, tmp_path / "no" / "page.html", "-"):
        with pytest.raises(UsageError) as caught:
            result.save_html(path)
        assert "\n" not in str(caught.value)
    assert (image.read_bytes(), notes.read_text()) == (before, "mine")
    assert not [one for one in tmp_path.iterdir() if one.name != "link"]
    notes.unlink()


def test_a_page_that_cannot_be_made_or_written_leaves_nothing(studies, result, tmp_path):
    without_pixels = read_paths([studies])
    with pytest.raises(UsageError, match="keep_pixels=True"):
        without_pixels.save_html(tmp_path / "page.html")
    with pytest.raises(UsageError, match="does not know its bundle"):
        ReadResult("b 1", result.studies, ()).save_html(tmp_path / "page.html")
    with pytest.raises(UsageError, match="does not know its bundle"):
        replace(result.studies[0], model=None).save_html(tmp_path / "page.html")
    with pytest.raises(IchliteError):
        result.save_html(tmp_path / ("long" * 99))
    assert not [*tmp_path.iterdir()]


def test_a_result_with_its_bundle_goes_to_other_processes_and_back(result):
    back = pickle.loads(pickle.dumps(result))
    assert back == result
    assert back.model == result.model
