import os
import struct
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian
from tests.dicom_files import ct_dataset, head_slice, write_ct_slice

from ichlite.ct.header import Refusal, is_localizer, read_header
from ichlite.ct.hounsfield import read_stored
from ichlite.ct.series import content_hash
from ichlite.records import SliceHeader

PIXELS = np.arange(32 * 48, dtype=np.int16).reshape(32, 48)


def header(path):
    found = read_header(str(path))
    assert isinstance(found, SliceHeader), found
    return found


def reason(path):
    found = read_header(str(path))
    assert isinstance(found, Refusal), found
    assert found.reason
    assert "\n" not in found.reason
    return found.reason


def raw_file(path, *elements, preamble=True):
    """Explicit little endian elements, as written, after a minimal meta header."""
    meta = b"\x02\x00\x10\x00UI" + struct.pack("<H", 20) + b"1.2.840.10008.1.2.1\0"
    start = b"\0" * 128 + b"DICM" + meta if preamble else b""
    path.write_bytes(start + b"".join(elements))
    return path


def element(tag, vr, value):
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    if vr in (b"SQ", b"OB", b"OW", b"UN"):
        return head + b"\0\0" + struct.pack("<I", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


DEFLATED = "1.2.840.10008.1.2.1.99"
CT = element(0x00080060, b"CS", b"CT")


@pytest.mark.parametrize(
    ("age", "years"),
    [
        (b"004Y", 4.0),
        (b"018M", 1.5),
        (b"010W", 70 / 365.25),
        (b"003D", 3 / 365.25),
        (b"45Y ", 45.0),
        (b"000Y", 0.0),
        (b"045", 45.0),
        (b"5 Y ", 5.0),
        (b"ABC ", None),
        (b"    ", None),
        (b"\xff1Y", None),
        ("\uff14Y".encode(), None),
    ],
)
def test_an_age_is_read_and_a_slice_is_never_lost_over_one(tmp_path, age, years):
    path = write_ct_slice(tmp_path / "one", PIXELS, PatientAge="099Y")
    path.write_bytes(path.read_bytes().replace(b"AS\x04\x00099Y", element(0, b"AS", age)[4:]))
    found = header(path)
    assert found.patient_age_years == (None if years is None else pytest.approx(years))
    assert found.patient_age_readable == (years is not None or not age.strip())


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, "1.2.840.10008.1.2.1"])
def test_values_are_those_that_were_written(tmp_path, syntax):
    path = write_ct_slice(
        tmp_path / "no-extension",
        PIXELS,
        transfer_syntax_uid=syntax,
        PatientID="p 1 ",
        PixelPaddingValue=-2000,
        BodyPartExamined="HEAD",
        StudyDescription="Schädel",
        SpecificCharacterSet="ISO_IR 100",
        SeriesDescription="5mm",
        ContrastBolusAgent="",
        ConvolutionKernel="H31s",
        ImagePositionPatient=[-1.5, 2, 3e1],
        PixelSpacing=[0.5, 0.25],
    )
    found = header(path)
    assert found.path == str(path)
    assert (found.rows, found.columns) == (32, 48)
    assert found.patient_id == "p 1"
    assert found.pixel_padding_value == -2000
    assert found.pixel_spacing_mm == (0.5, 0.25)
    assert found.image_position_mm == (-1.5, 2.0, 30.0)
    assert found.image_orientation == (1, 0, 0, 0, 1, 0)
    assert found.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert found.study_description == "Schädel"
    assert found.contrast_agent is None
    assert found.kvp == 120
    assert found.instance_number == 1
    np.testing.assert_array_equal(read_stored(found), PIXELS)


def test_big_endian_pixels_are_read(tmp_path):
    data = ct_dataset(PIXELS, PixelData=PIXELS.astype(">i2").tobytes())
    path = tmp_path / "big"
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.save_as(path, enforce_file_format=True)
    np.testing.assert_array_equal(read_stored(header(path)), PIXELS)


@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_preamble_is_read(tmp_path, implicit):
    path = tmp_path / "headless"
    ct_dataset(PIXELS).save_as(path, implicit_vr=implicit, little_endian=True)
    assert path.read_bytes()[:1] == b"\x08"
    np.testing.assert_array_equal(read_stored(header(path)), PIXELS)


def test_sequences_of_any_kind_are_passed(tmp_path):
    inner = Dataset()
    inner.PatientID = "not the patient"
    inner.Rows = 7
    outer = Dataset()
    outer.ReferencedImageSequence = Sequence([inner, inner])
    outer["ReferencedImageSequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    for undefined in (True, False):
        data = ct_dataset(PIXELS, ReferencedStudySequence=Sequence([outer]))
        data["ReferencedStudySequence"].is_undefined_length = undefined
        path = tmp_path / f"sequence-{undefined}"
        data.save_as(path, implicit_vr=False, little_endian=True)
        assert (header(path).patient_id, header(path).rows) == ("synthetic", 32)


def test_a_header_longer_than_a_page_is_read(tmp_path):
    data = ct_dataset(PIXELS)
    block = data.private_block(0x0009, "ichlite test", create=True)
    block.add_new(0x01, "OB", b"x" * 50_000)
    data.save_as(tmp_path / "long", implicit_vr=False, little_endian=True)
    np.testing.assert_array_equal(read_stored(header(tmp_path / "long")), PIXELS)


def test_uids_that_are_none_are_taken_as_they_are_without_a_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write_ct_slice(
            tmp_path / "rsna",
            PIXELS,
            SOPClassUID=None,
            SOPInstanceUID="ID_1",
            StudyInstanceUID="ID_2",
            SeriesInstanceUID="ID_3",
        )
    assert header(path).series_uid == "ID_3"


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"Modality": "MR"}, "not a CT image"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "secondary capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"}, "no NumberOfFrames"),
        ({"NumberOfFrames": "40"}, "40 frames"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "RGB"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME1"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
        ({"BitsAllocated": 8}, "BitsAllocated 8"),
        ({"BitsAllocated": 32}, "BitsAllocated 32"),
        ({"PixelData": None}, "no image"),
        ({"PixelData": None, "FloatPixelData": b"\0" * 6144}, "floating-point"),
        ({"Rows": 20000, "Columns": 20000}, "20000x20000"),
        ({"Rows": 0}, "0x48"),
        ({"Rows": None}, "no Rows"),
        ({"BitsStored": 20}, "BitsStored 20"),
        ({"HighBit": 3}, "HighBit 3"),
        ({"PixelRepresentation": 7}, "PixelRepresentation 7"),
        ({"Rows": 64}, "pixel data is short; found 3072 bytes; expected 6144"),
        ({"Rows": 16}, "pixel data is long"),
        ({"SeriesInstanceUID": None}, "no SeriesInstanceUID"),
        ({"SOPInstanceUID": ""}, "no SOPInstanceUID"),
    ],
)
def test_each_bad_header_has_its_one_line_reason(tmp_path, overrides, says):
    assert says in reason(write_ct_slice(tmp_path / "bad", PIXELS, **overrides))


@pytest.mark.parametrize(
    ("tag", "value", "says"),
    [
        (0x00200032, b"1\\2", "ImagePositionPatient is not 3 numbers"),
        (0x00200032, b"1\\2\\nan ", "ImagePositionPatient is not 3 numbers"),
        (0x00281053, b"one ", "RescaleSlope is not 1 number"),
        (0x00280008, b"1.5 ", "NumberOfFrames is not a whole number"),
    ],
)
def test_numbers_that_are_none_are_refused_by_name(tmp_path, tag, value, says):
    data = ct_dataset(PIXELS)
    elements = {
        int(one.tag): element(
            int(one.tag),
            one.VR.encode(),
            one.value if isinstance(one.value, bytes) else _encoded(one),
        )
        for one in data
    }
    elements[tag] = element(tag, b"DS", value)
    path = raw_file(tmp_path / "odd", *(elements[key] for key in sorted(elements)))
    assert says in reason(path)


def _encoded(one):
    if one.VR == "US":
        return struct.pack("<H", one.value)
    text = "\\".join(map(str, one.value)) if one.VM > 1 else str(one.value)
    return (text + " " * (len(text) % 2)).encode()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty", b"", "empty file"),
        ("text", b"hello" * 100, "not a DICOM file"),
        ("short", b"x", "not a DICOM file"),
        ("a.zip", b"PK\x03\x04" + b"\0" * 200, "zip"),
        ("b.ZIP", b"hello" * 100, "not the zip archive that its name says"),
        ("a.gz", b"\x1f\x8b" + b"\0" * 200, "gzip"),
        ("a.xz", b"\xfd7zXZ\x00" + b"\0" * 200, "xz"),
        ("a.zst", b"(\xb5/\xfd" + b"\0" * 200, "zstd"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c" + b"\0" * 200, "7z"),
        ("a.tar", b"\0" * 257 + b"ustar" + b"\0" * 250, "tar"),
        ("magic-only", b"\0" * 128 + b"DICM", "cut short"),
    ],
)
def test_what_is_no_dicom_is_named(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    assert says in reason(path)


def test_a_pipe_does_not_hang_the_reading(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert reason(tmp_path / "pipe") == "not a regular file"


def test_a_missing_file_is_a_reason(tmp_path):
    assert "cannot be opened" in reason(tmp_path / "gone")


def write_deflated(path, pixels=PIXELS, **overrides):
    return write_ct_slice(path, pixels, transfer_syntax_uid=DEFLATED, **overrides)


def test_a_deflated_file_is_read(tmp_path):
    path = write_deflated(tmp_path / "deflated", PatientID="deflated")
    found = header(path)
    assert found.patient_id == "deflated"
    assert found.layout.offset + found.layout.length > path.stat().st_size
    np.testing.assert_array_equal(read_stored(found), PIXELS)


def test_deflated_slices_that_differ_in_pixels_alone_are_two(tmp_path):
    paths = [write_deflated(tmp_path / str(n), PIXELS + n) for n in range(2)]
    assert len({content_hash(header(path)) for path in paths}) == 2
    assert content_hash(header(write_deflated(tmp_path / "copy"))) == content_hash(header(paths[0]))


def test_a_deflated_file_unpacks_to_a_slice_at_most(tmp_path):
    data = ct_dataset(PIXELS)
    block = data.private_block(0x0009, "ichlite test", create=True)
    block.add_new(0x01, "OB", bytes(100_000_000))
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = DEFLATED
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    path = tmp_path / "bomb"
    data.save_as(path, enforce_file_format=True)
    assert path.stat().st_size < 200_000
    assert "the deflated data set is too large" in reason(path)


def test_a_deflated_file_that_is_damaged_or_cut_is_refused(tmp_path):
    content = write_deflated(tmp_path / "whole").read_bytes()
    start = content.index(DEFLATED.encode()) + 200
    for at in range(start, len(content) - 8, 97):
        (tmp_path / "cut").write_bytes(content[:at])
        assert "cut short" in reason(tmp_path / "cut")
    (tmp_path / "damaged").write_bytes(content[:start] + b"\xff" * 40 + content[start + 40 :])
    assert reason(tmp_path / "damaged")


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.8.1"])
def test_other_deflated_syntaxes_are_not_read(tmp_path, syntax):
    path = write_ct_slice(tmp_path / "deflated", PIXELS)
    content = path.read_bytes()
    short = b"1.2.840.10008.1.2.1\0"
    at = content.index(short)
    padded = (syntax + "\0" * (len(syntax) % 2)).encode()
    path.write_bytes(
        content[: at - 2] + struct.pack("<H", len(padded)) + padded + content[at + len(short) :]
    )
    assert "deflated" in reason(path)


def test_dicomdir_is_an_index(tmp_path):
    path = write_ct_slice(tmp_path / "DICOMDIR", PIXELS, SOPClassUID="1.2.840.10008.1.3.10")
    assert reason(path).startswith("DICOMDIR: an index, no image")


def test_unknown_transfer_syntax_names_what_is_read(tmp_path):
    path = write_ct_slice(tmp_path / "video", PIXELS)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0", 1))
    assert "expected uncompressed, deflated, RLE, JPEG of 12-16 bits, JPEG-LS" in reason(path)


def test_jpeg_baseline_is_refused_for_what_it_is(tmp_path):
    path = write_ct_slice(
        *(tmp_path / "grey", PIXELS),
        transfer_syntax_uid="1.2.840.10008.1.2.4.50",
        PixelData=pydicom.encaps.encapsulate([b"\xff\xd8"]),
    )
    assert "8 bits a pixel, too few for Hounsfield units" in reason(path)


def test_every_truncation_is_a_reason_and_late_ones_name_the_series(tmp_path):
    path = write_ct_slice(tmp_path / "whole", PIXELS)
    content = path.read_bytes()
    assert isinstance(read_header(str(path)), SliceHeader)
    cut = tmp_path / "cut"
    for length in [*range(0, len(content) - 3072, 7), len(content) - 1]:
        cut.write_bytes(content[:length])
        assert reason(cut)
    found = read_header(str(cut))
    assert isinstance(found, Refusal)
    assert found.lost_from_series == "1.2.826.0.1.3680043.8.498.1.1"


def test_a_picture_among_the_slices_is_no_loss(tmp_path):
    found = read_header(str(write_ct_slice(tmp_path / "rgb", PIXELS, SamplesPerPixel=3)))
    assert isinstance(found, Refusal)
    assert found.lost_from_series is None


@pytest.mark.parametrize(
    ("elements", "says"),
    [
        ([CT, element(0x00090001, b"UN", b"")[:-4] + b"\xff\xff\xff\x7f"], "cut short"),
        ([CT, element(0x00100020, b"UN", b"x" * 20_000)], "too long"),
        ([CT, b"\x10\x00\x20\x00\x01\x02\x03\x04"], "the header is damaged at element (0010,0020)"),
        (
            [CT, b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff", b"\xfe\xff\x00\xe0\xff\xff\xff\xff"],
            "cut short",
        ),
        (
            [CT, b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff", b"\0" * 16],
            "a sequence in the header is damaged",
        ),
        (
            [CT]
            + [
                b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff",
                b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
            ]
            * 500,
            "nested too deeply",
        ),
        (
            [CT, b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"]
            + [b"\xfe\xff\x00\xe0\0\0\0\0"] * 100_001,
            "too many elements",
        ),
    ],
)
def test_hostile_headers_are_refused_in_one_line(tmp_path, elements, says):
    assert says in reason(raw_file(tmp_path / "hostile", *elements))


def test_a_header_without_end_is_refused(tmp_path):
    path = raw_file(tmp_path / "endless", CT)
    with path.open("r+b") as file:
        file.truncate(1 << 25)
    assert "the header is damaged" in reason(path)
    with path.open("wb") as file:
        file.write(b"\x08\x00\x60\x00CS\x02\x00CT" + b"\x09\x00\x01\x00LO\x00\x00" * 2_200_000)
    assert "too long" in reason(path)


def test_a_pixel_length_beyond_the_file_is_short(tmp_path):
    path = write_ct_slice(tmp_path / "huge", PIXELS)
    content = path.read_bytes()
    at = content.rindex(b"\xe0\x7f\x10\x00OW") + 8
    path.write_bytes(content[:at] + struct.pack("<I", 0x7FFFFFF0) + content[at + 4 :])
    assert "pixel data is long" in reason(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "pixel data is short; found 2972 bytes; expected 3072" in reason(path)


def test_random_damage_never_raises(tmp_path):
    content = write_ct_slice(tmp_path / "whole", head_slice(0.5, side=32)).read_bytes()
    random = np.random.default_rng(7)
    path = tmp_path / "damaged"
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(128, 1000, random.integers(1, 6)):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        found = read_header(str(path))
        assert isinstance(found, SliceHeader | Refusal)


def test_pixels_that_once_were_lossy_are_known(tmp_path):
    assert not header(write_ct_slice(tmp_path / "a", PIXELS)).lossy_compressed
    once = write_ct_slice(tmp_path / "b", PIXELS, LossyImageCompression="01")
    assert header(once).lossy_compressed


def test_localizers_are_known_by_image_type(tmp_path):
    scout = write_ct_slice(
        tmp_path / "scout", PIXELS, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    assert is_localizer(header(scout))
    assert not is_localizer(header(write_ct_slice(tmp_path / "axial", PIXELS)))


def test_real_headers_agree_with_pydicom(shared_data, philips_mixed, rsna_scan):
    compared = 0
    folders = [shared_data / "codecs", shared_data / "odd", philips_mixed, rsna_scan]
    for path in sorted(one for folder in folders for one in folder.rglob("*") if one.is_file()):
        found = read_header(str(path))
        if isinstance(found, Refusal):
            continue
        with pydicom.config.disable_value_validation():
            data = pydicom.dcmread(path, stop_before_pixels=True)
            compared += 1
            assert (found.rows, found.columns) == (data.Rows, data.Columns)
            assert found.series_uid == data.SeriesInstanceUID
            assert found.instance_uid == data.SOPInstanceUID
            assert found.patient_id == (data.get("PatientID") or "").strip()
            assert found.rescale_intercept == data.RescaleIntercept
            assert list(found.image_position_mm or ()) == list(data.ImagePositionPatient)
            assert list(found.image_orientation or ()) == list(data.ImageOrientationPatient)
            assert list(found.pixel_spacing_mm or ()) == list(data.PixelSpacing)
            assert found.layout.bits_stored == data.BitsStored
            assert found.layout.pixel_representation == data.PixelRepresentation
            assert found.kvp == data.get("KVP")
            assert found.pixel_padding_value == data.get("PixelPaddingValue")
    assert compared > 50
