"""One law: what may be a slice of a head CT and gave no answer counts; what is no CT does not."""

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from tests.dicom_files import UID_ROOT, head_slice, write_ct_slice, write_head_series

from ichlite.ct.series import find_series
from ichlite.ct.tensor import leave_out, read_volume

PIXELS = head_slice(0.4, side=32)
FRAME = encapsulate([b"\xff\xd8\xff\xd9"])
META = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
ENHANCED = "1.2.840.10008.5.1.4.1.1.2.1"
CT_UNREAD = {
    "enhanced, without frames": {"SOPClassUID": ENHANCED},
    "legacy converted, without frames": {"SOPClassUID": ENHANCED[:-1] + "2"},
    "frames of classic CT": {"NumberOfFrames": "4"},
    "float": {"PixelData": None, "FloatPixelData": b"\0" * 4096},
    "double": {"PixelData": None, "DoubleFloatPixelData": b"\0" * 8192},
    "dark and bright swapped": {"PhotometricInterpretation": "MONOCHROME1"},
    "32 bits": {"BitsAllocated": 32},
    "no bits": {"BitsAllocated": None},
    "no pixels": {"PixelData": None},
    "short": {"Rows": 33},
    "JPEG baseline": {"transfer_syntax_uid": "1.2.840.10008.1.2.4.50", "PixelData": FRAME},
    "no place": {"ImagePositionPatient": None},
    "no orientation": {"ImageOrientationPatient": None},
}
OTHERS = {
    "MR": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"},
    "enhanced MR": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.1", "Modality": "MR"},
    "secondary capture": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
    "dose report": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67", "Modality": "SR"},
    "index": {"SOPClassUID": "1.2.840.10008.1.3.10"},
    "colours": {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
    "palette": {"PhotometricInterpretation": "PALETTE COLOR"},
    "8 bits": {"BitsAllocated": 8},
    "colours of many frames": {
        "SOPClassUID": ENHANCED,
        "NumberOfFrames": "3",
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "BitsAllocated": 8,
    },
    "scout": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
}
NOT_DICOM = {
    "archive": (b"PK\x03\x04" + b"rest" * 50, True),
    "packed": (b"\x1f\x8b" + b"rest" * 50, True),
    "empty": (b"", True),
    "zeros": (b"\0" * 4096, True),
    "zeros of a preamble": (b"\0" * 64, True),
    "cut before it says what it is": (b"\0" * 128 + b"DICM", True),
    "cut where it would say what it is": (b"\0" * 128 + b"DICM" + META, True),
    "text": (b"what the radiologist wrote " * 9, False),
    "page": (b"<html><title>ichlite</title>", False),
}


def write(path, overrides):
    syntax = overrides.get("transfer_syntax_uid")
    more = {"SOPInstanceUID": UID_ROOT + "1.1.99"} | overrides
    write_ct_slice(path, PIXELS, **{**more, **({"transfer_syntax_uid": syntax} if syntax else {})})


@pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, about what is written on purpose
@pytest.mark.parametrize(
    ("name", "counts"),
    [*((name, True) for name in CT_UNREAD), *((name, False) for name in OTHERS)],
)
def test_a_dicom_file_that_is_not_read_counts_if_it_may_be_ct(tmp_path, name, counts):
    write_head_series(tmp_path / "head", 4, side=32)
    write(tmp_path / "other", {**CT_UNREAD, **OTHERS}[name])
    (series,), (skipped,) = find_series([tmp_path])
    assert skipped.file == str(tmp_path / "other")
    assert skipped.may_be_ct is counts, skipped.reason
    assert bool(series.defects) is counts  # its series lacks a slice


@pytest.mark.parametrize("name", NOT_DICOM)
def test_a_file_that_is_not_dicom_counts_if_it_may_hold_ct(tmp_path, name):
    content, counts = NOT_DICOM[name]
    write_head_series(tmp_path / "head", 4, side=32)
    (tmp_path / "other").write_bytes(content)
    _, (skipped,) = find_series([tmp_path])
    assert skipped.may_be_ct is counts, skipped.reason


def test_what_was_not_looked_into_counts_and_a_copy_does_not(tmp_path):
    first, *_ = write_head_series(tmp_path / "head", 4, side=32)
    (tmp_path / "copy").write_bytes(first.read_bytes())
    (tmp_path / "link").symlink_to(tmp_path / "head", target_is_directory=True)
    _, skipped = find_series([tmp_path])
    counts = {one.reason.split()[1]: one.may_be_ct for one in skipped}
    assert counts == {"copy": False, "link": True}


def test_slices_that_are_left_out_of_a_volume_count(tmp_path):
    write_head_series(tmp_path / "head", 4, side=32)
    (series,), _ = find_series([tmp_path])
    volume = leave_out(read_volume(series), {1: "slice 2 of 4 holds no image"})
    assert [one.may_be_ct for one in volume.left_out] == [True]
    write_ct_slice(
        *(tmp_path / "head" / "IM0002", np.zeros((32, 32), np.int16)),
        SOPInstanceUID=UID_ROOT + "1.1.3",
        RescaleSlope=None,
        ImagePositionPatient=[-120.0, -120.0, 10.0],
    )
    (series,), _ = find_series([tmp_path])
    assert [one.may_be_ct for one in read_volume(series).left_out] == [True]
