"""A folder of DICOM files is judged as reading judges it, and its scores say whose slices."""

from __future__ import annotations

import numpy as np
import pytest

from ichlite.data.pixels import read_source
from ichlite.data.readers.rsna import RsnaLabels
from ichlite.errors import InputError
from ichlite.evaluate.rsna_archive import Archive, judge_archive
from ichlite.infer.bundle import load_bundle
from ichlite.infer.pipeline import read_scan
from ichlite.labels import CLASSES
from ichlite.samples import SAMPLES

PHANTOM = SAMPLES[1].folder
UNLABELLED = "001"


@pytest.fixture(scope="module")
def archive() -> Archive:
    images = sorted(path.stem for path in PHANTOM.glob("*.dcm"))
    labels = {image: (0, 0, 0, 0, 0, 0) for image in images if image != UNLABELLED}
    labels["020"] = (1, 0, 0, 0, 0, 1)
    return judge_archive(load_bundle(), PHANTOM, RsnaLabels(labels, ()))


def test_slices_and_scan_are_those_of_reading(archive: Archive) -> None:
    scan = read_scan(PHANTOM)
    assert archive.unlabelled == 1
    assert archive.judged.scans.probabilities.tolist() == [[scan.scan[key] for key in CLASSES]]
    assert archive.judged.scans.labels.tolist() == [[1, 0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(archive.scores.probabilities, archive.judged.slices.probabilities)
    place = archive.scores.image.tolist().index("020")
    assert archive.scores.labels[place].tolist() == [1, 0, 0, 0, 0, 1]
    assert UNLABELLED not in archive.scores.image


def test_logits_give_the_probabilities(archive: Archive) -> None:
    bundle = load_bundle()
    again = archive.scores.judged(bundle.calibration, bundle.rule).slices.probabilities
    # The slice beside the one without a label has one neighbour less.
    by_position = np.argsort(archive.scores.position_mm)
    middle = by_position[2:-2]
    np.testing.assert_allclose(again[middle], archive.scores.probabilities[middle], atol=1e-12)


def test_pixels_are_those_of_a_prepared_store(archive: Archive) -> None:
    files = sorted(path.name for path in PHANTOM.glob("*.dcm"))
    stored = {read_source(PHANTOM, name)[0].pixel_sha256 for name in files}
    assert {*archive.pixels} == stored
    assert len(archive.patients) == len(files)
    assert {*archive.patients} != {""}


def test_a_folder_without_a_label_is_refused() -> None:
    with pytest.raises(InputError, match="no image of"):
        judge_archive(load_bundle(), PHANTOM, RsnaLabels({}, ()))
