from dataclasses import replace

import numpy as np
import pytest
from tests.dicom_files import head_slice

from ichlite.ct.child import age_notes, child_signs
from ichlite.data.archives import extract_tar
from ichlite.records import HeadVolume, PixelLayout, Series, SliceHeader

HEADER = SliceHeader(
    "a", "p", "1", "1.1", "1.1.1", 256, 256, PixelLayout("1", 0, 2, 16, 16, 15, 1), (0.94, 0.94)
)


def head(pixel_mm=0.94, **said):
    header = replace(HEADER, pixel_spacing_mm=(pixel_mm, pixel_mm), **said)
    images = np.stack([head_slice(height, side=256) for height in (0.2, 0.4, 0.6)])
    return HeadVolume(Series("1", "1.1", "p", (header,) * 3, (0.0, 5.0, 10.0), 5.0), images)


@pytest.mark.parametrize(
    ("said", "child"),
    [
        ({}, False),
        ({"patient_age_years": 15.99}, True),
        ({"patient_age_years": 0.0}, True),
        ({"patient_age_years": 16.0}, False),
        ({"patient_birth_date": "20000229", "examination_date": "20160101"}, True),
        ({"patient_birth_date": "20000101", "examination_date": "20160102"}, False),
        ({"patient_birth_date": "20160101", "examination_date": "20000101"}, False),
        ({"patient_birth_date": "20001301", "examination_date": "20010101"}, False),
        ({"patient_birth_date": "\uff12\uff10000101", "examination_date": "20010101"}, False),
        ({"patient_birth_date": "2000", "examination_date": "20010101"}, False),
        ({"patient_birth_date": "20000101"}, False),
        (
            {
                "patient_age_years": 40.0,
                "patient_birth_date": "20000101",
                "examination_date": "20010101",
            },
            False,
        ),
    ],
)
def test_age_tells_a_child(said, child):
    signs = child_signs(head(**said), whole=True)
    assert len(signs) == child
    assert all(one.startswith("child: ") for one in signs)


@pytest.mark.parametrize(
    ("said", "notes"),
    [
        ({}, 0),
        ({"patient_age_readable": False}, 1),
        (
            {
                "patient_age_readable": False,
                "patient_birth_date": "19500101",
                "examination_date": "20010101",
            },
            0,
        ),
    ],
)
def test_an_age_that_cannot_be_read_is_said_where_nothing_stands_for_it(said, notes):
    found = age_notes(head(**said).series)
    assert len(found) == notes
    assert all(one.startswith("PatientAge cannot be read") for one in found)


def test_size_tells_a_small_child_where_the_head_is_whole():
    (line,) = child_signs(head(pixel_mm=0.75), whole=True)
    assert "found a largest cross-section of 1" in line
    assert child_signs(head(pixel_mm=0.75), whole=False) == ()
    assert child_signs(head(), whole=True) == ()


def test_adults_of_every_real_scan_at_hand_are_no_children(shared_data, tmp_path):
    import tarfile

    from ichlite.ct.series import find_series
    from ichlite.ct.tensor import read_volume

    for archive in sorted((shared_data / "rsna-dev").glob("ID_*.tar.xz"))[:3]:
        with tarfile.open(archive) as tar:
            extract_tar(tar, tmp_path / archive.name)
        (series,), _ = find_series([tmp_path / archive.name])
        assert child_signs(read_volume(series), whole=True) == ()
