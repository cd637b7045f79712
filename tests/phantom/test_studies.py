"""DICOM studies of phantoms, read back by ichlite's own reader."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ichlite.ct.input_check import Judgement, judge_series, judge_volume, without_lost_slices
from ichlite.ct.series import find_series
from ichlite.ct.tensor import read_volume
from ichlite.errors import UsageError
from ichlite.phantom import studies
from ichlite.phantom.generate import Order
from ichlite.phantom.studies import images_of, uid_of
from ichlite.phantom.subject import Subject

Make = Callable[..., Subject]


@pytest.fixture
def written(
    phantom_with: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[bool], tuple[Path, Subject]]:
    """Return a function that writes a folder with one study, and gives its phantom too."""
    subject = phantom_with("intraparenchymal")
    monkeypatch.setattr(studies, "subjects_of", lambda *_: iter([subject]))

    def write(compress: bool) -> tuple[Path, Subject]:
        out = tmp_path / f"studies-{compress}"
        made = studies.write_studies(out, Order(1, 5), compress=compress)
        assert made.images == len(subject.hu)
        return out, subject

    return write


@pytest.mark.parametrize("compress", [False, True])
def test_what_is_read_back_is_what_was_made(
    compress: bool, written: Callable[[bool], tuple[Path, Subject]]
) -> None:
    out, subject = written(compress)
    series, skipped = find_series([str(out)])
    assert [Path(s.file).name for s in skipped] == ["labels.csv"]
    assert len(series) == 1
    assert judge_series(series[0]) == Judgement()
    volume = read_volume(series[0])
    np.testing.assert_array_equal(volume.hu, subject.hu)
    assert judge_volume(without_lost_slices(volume)) == Judgement()
    assert series[0].slice_spacing_mm == pytest.approx(subject.view.spacing_mm, abs=2e-3)


def test_labels_csv_names_every_file(written: Callable[[bool], tuple[Path, Subject]]) -> None:
    out, subject = written(False)
    with (out / "labels.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    files = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.dcm"))
    assert [row["file"] for row in rows] == files
    assert [int(row["intraparenchymal"]) for row in rows] == subject.labels[:, 1].tolist()
    for row in rows:
        image = pydicom.dcmread(out / row["file"], stop_before_pixels=True)
        assert image.SOPInstanceUID == row["instance"]
        assert image.PatientID.startswith("PHANTOM-")
        assert image.QualityControlImage == "YES"


def test_uids_are_valid_unique_and_the_same_each_time(phantom_with: Make) -> None:
    subject = phantom_with("intraparenchymal")
    first = [image.SOPInstanceUID for image in images_of(subject, "PHANTOM-x")]
    again = [image.SOPInstanceUID for image in images_of(subject, "PHANTOM-x")]
    assert first == again
    assert len(set(first)) == len(subject.hu)
    assert all(uid.is_valid and len(uid) <= 64 for uid in first)
    assert uid_of("a", "bc") != uid_of("ab", "c")


def test_a_full_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="not empty"):
        studies.write_studies(tmp_path, Order(1, 1))
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> object:
        raise OSError("disk full")

    monkeypatch.setattr(studies, "subjects_of", fail)
    with pytest.raises(OSError, match="disk full"):
        studies.write_studies(tmp_path / "out", Order(1, 1))
    assert list(tmp_path.iterdir()) == []
