import contextlib
import struct
import zlib

import imagecodecs
import jpeg_ls
import numpy as np
import openjpeg
import pydicom
import pytest
import zstandard
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless
from tests.dicom_files import head_slice, write_ct_slice

from ichlite.ct import decoders
from ichlite.ct.header import Refusal, read_header
from ichlite.ct.hounsfield import read_stored, to_hu
from ichlite.ct.image_checks import COMPRESSED_SYNTAXES, LOSSY_SYNTAXES
from ichlite.errors import UnreadableFile
from ichlite.records import SliceHeader

JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
PIXELS = head_slice(0.5, side=64)
TWELVE_BITS = (PIXELS + 1024).astype(np.uint16)
SIXTEEN_BITS = PIXELS.view(np.uint16)
END = b"\xff\xd9"


@pytest.fixture(params=["light half", "fast"], autouse=True)
def packages(request):
    """Each test of this file runs with the light half's decoders and with those of [fast]."""
    if request.param == "light half":
        with decoders.light_half_alone():
            yield
    else:
        assert decoders.fast_in_use()
        yield


def stored_of(path):
    header = read_header(str(path))
    assert isinstance(header, SliceHeader), header
    return read_stored(header)


def write_compressed(path, frame, syntax):
    return write_ct_slice(path, PIXELS, transfer_syntax_uid=syntax, PixelData=encapsulate([frame]))


def test_rle_gives_back_what_was_written(tmp_path):
    data = pydicom.dcmread(write_ct_slice(tmp_path / "plain", PIXELS))
    data.compress(RLELossless, encoding_plugin="pylibjpeg")
    data.save_as(tmp_path / "rle")
    np.testing.assert_array_equal(stored_of(tmp_path / "rle"), PIXELS)


def frame_of(pixels, bits, syntax):
    """Return the pixels as a frame in a compressed transfer syntax, encoded by whatever can."""
    unsigned = pixels.view(np.uint16) & np.uint16(0xFFFF >> 16 - bits)  # most know no sign
    last = int(syntax.rsplit(".", 1)[1])
    if last in (51, 57, 70):  # the predictor of .70 is the first; .57 may have any of seven
        how = {51: {"level": 100}, 57: {"lossless": True, "predictor": 7}, 70: {"lossless": True}}
        return imagecodecs.jpeg8_encode(unsigned, bitspersample=bits, **how[last])
    if last in (80, 81):
        rows, columns = pixels.shape
        loss = 2 if last == 81 else 0
        return bytes(jpeg_ls.encode_buffer(unsigned.tobytes(), rows, columns, 1, bits, loss))
    if last in (90, 91):
        ratios = [3] if last == 91 else None
        return openjpeg.encode(pixels, bits_stored=bits, compression_ratios=ratios)
    if last in (201, 202, 203):
        return imagecodecs.htj2k_encode(pixels, reversible=last != 203, level=0.0001)
    planes = [
        imagecodecs.packbits_encode(plane.astype(np.uint8).tobytes())
        for plane in (unsigned >> np.uint16(8), unsigned & np.uint16(255))
    ]
    return struct.pack("<16I", 2, 64, 64 + len(planes[0]), *[0] * 13) + b"".join(planes)


FORMS = {"12 bits": (TWELVE_BITS, 12), "signed 12": (PIXELS, 12), "signed 16": (PIXELS, 16)}


# Extended JPEG has 12 bits, and what it loses of a signed value may be the sign.
CASES = [(syntax, form) for syntax in COMPRESSED_SYNTAXES for form in FORMS]
CASES = [case for case in CASES if case[0] != JPEG_EXTENDED or case[1] == "12 bits"]


@pytest.mark.parametrize(("syntax", "form"), CASES)
def test_every_syntax_gives_back_what_was_written(tmp_path, syntax, form):
    pixels, bits = FORMS[form]
    path = write_ct_slice(
        *(tmp_path / "slice", pixels),
        transfer_syntax_uid=syntax,
        PixelData=encapsulate([frame_of(pixels, bits, syntax)]),
        BitsStored=bits,
        HighBit=bits - 1,
    )
    header = read_header(str(path))
    assert isinstance(header, SliceHeader)
    assert header.lossy_compressed == (syntax in LOSSY_SYNTAXES)
    lost = np.abs(read_stored(header).astype(int) - pixels).max()
    if syntax in LOSSY_SYNTAXES:
        assert 0 < lost <= 16
    else:
        assert lost == 0


@pytest.mark.parametrize("coding", ["RLE", "JPLL", "JLSL", "J2KR"])
@pytest.mark.parametrize("name", ["CT1", "CT2"])
def test_lossless_codings_equal_the_uncompressed_original(shared_data, tmp_path, coding, name):
    folder = shared_data / "codecs" / "WG04"
    original = tmp_path / "original"
    with (folder / "REF" / f"{name}_UNC.zst").open("rb") as packed, original.open("wb") as file:
        zstandard.ZstdDecompressor().copy_stream(packed, file)
    np.testing.assert_array_equal(
        stored_of(folder / coding / f"{name}_{coding}"), stored_of(original)
    )


@pytest.mark.parametrize(("coding", "mean_hu"), [("JLSN", 10), ("J2KI", 20)])
def test_lossy_codings_are_near_the_original_and_noted(shared_data, coding, mean_hu):
    folder = shared_data / "codecs" / "WG04"
    header = read_header(str(folder / coding / f"CT2_{coding}"))
    assert isinstance(header, SliceHeader)
    hu, note = to_hu(read_stored(header), header)
    exact_header = read_header(str(folder / "J2KR" / "CT2_J2KR"))
    assert isinstance(exact_header, SliceHeader)
    exact, _ = to_hu(read_stored(exact_header), exact_header)
    assert 0 < np.abs(hu.astype(int) - exact).mean() <= mean_hu
    assert note == "pixels went through lossy compression"


@pytest.mark.parametrize("coding", ["RLE", "JPLL", "JLSL", "JLSN", "J2KR", "J2KI"])
def test_the_light_half_gives_the_same_pixels(shared_data, coding):
    for path in sorted((shared_data / "codecs" / "WG04" / coding).iterdir()):
        stored = stored_of(path)
        with decoders.light_half_alone():
            np.testing.assert_array_equal(stored_of(path), stored)


def test_jpeg_ls_that_is_called_lossless_jpeg_is_read(tmp_path):
    path = write_compressed(tmp_path / "mislabelled", frame_of(PIXELS, 16, JPEG_LS), JPEG_LOSSLESS)
    np.testing.assert_array_equal(stored_of(path), PIXELS)


def test_jpeg_2000_equals_the_uncompressed_pair(shared_data):
    folder = shared_data / "codecs" / "pydicom-data"
    np.testing.assert_array_equal(
        stored_of(folder / "693_J2KR.dcm"), stored_of(folder / "693_UNCR.dcm")
    )


def jpeg2000_head(rows, columns, components=1, bits=16, step=1):
    return (
        b"\xff\x4f\xff\x51"
        + struct.pack(">HH8IH", 41, 0, columns, rows, 0, 0, columns, rows, 0, 0, components)
        + bytes([bits - 1, step, step])
        + b"\0" * 8
    )


def jpeg_head(rows, columns, components=1, bits=16, marker=0xC3):
    return (
        b"\xff\xd8\xff"
        + bytes([marker])
        + struct.pack(">HBHHB", 11, bits, rows, columns, components)
        + b"\x01\x11\x00"
        + b"\0" * 20
    )


@pytest.mark.parametrize(
    ("syntax", "frame", "says"),
    [
        (JPEG_2000, jpeg2000_head(30000, 30000), "30000x30000"),
        (JPEG_2000, jpeg2000_head(64, 64, components=3), "3 components"),
        (JPEG_2000, jpeg2000_head(64, 64, bits=38), "38 bits"),
        (JPEG_2000, jpeg2000_head(64, 64, step=2), "subsampled"),
        (JPEG_2000, jpeg2000_head(64, 64), "cut short"),
        (JPEG_2000, jpeg2000_head(64, 64) + END, "cannot be decoded"),
        (JPEG_2000, b"nothing of the kind ", "no image header"),
        (JPEG_LOSSLESS, jpeg_head(30000, 30000), "30000x30000"),
        (JPEG_LOSSLESS, jpeg_head(64, 64, components=3), "3 components"),
        (JPEG_LOSSLESS, jpeg_head(64, 64, bits=8), "8 bits"),
        (JPEG_LOSSLESS, jpeg_head(64, 64, marker=0xC0), "no lossless frame header"),
        (JPEG_LOSSLESS, jpeg_head(64, 64, marker=0xC1, bits=12), "no lossless frame header"),
        (JPEG_EXTENDED, jpeg_head(64, 64, marker=0xC3, bits=12), "no extended frame header"),
        (JPEG_EXTENDED, jpeg_head(64, 64, marker=0xC2, bits=12), "no extended frame header"),
        (JPEG_EXTENDED, jpeg_head(64, 64, marker=0xC0, bits=8), "8 bits"),
        (JPEG_EXTENDED, jpeg_head(64, 64, marker=0xC1, bits=12) + END, "expected a scan"),
        (JPEG_LOSSLESS, jpeg_head(64, 64) + END, "expected a scan"),
        (JPEG_LS, jpeg_head(64, 64, marker=0xF7) + END, "expected a scan"),
        (JPEG_LS, jpeg_head(64, 64, marker=0xF7) + b"\xff\xda" + END, "cannot be decoded"),
        (JPEG_LOSSLESS, jpeg_head(64, 64), "cut short"),
        (JPEG_LOSSLESS, b"\xff\xd8" + b"\xff" * 40 + END, "no lossless frame header"),
        (JPEG_LOSSLESS, b"\xff\xd8\xff\xe0\xff\xff", "no lossless frame header"),
        (RLELossless, struct.pack("<16I", 3, *range(64, 79)), "RLE pixel data is damaged"),
        (RLELossless, struct.pack("<16I", 2, 64, 70, *[0] * 13) + b"\0" * 8, "does not fill"),
        (RLELossless, struct.pack("<16I", 2, 64, 66, *[0] * 13) + b"\x81\x07" * 9000, "not fill"),
        (RLELossless, b"short", "RLE pixel data is damaged"),
    ],
)
def test_codestreams_that_do_not_fit_are_refused_before_decoding(tmp_path, syntax, frame, says):
    path = write_compressed(tmp_path / "bad", frame, syntax)
    with pytest.raises(UnreadableFile, match=says):
        stored_of(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "short or damaged"),
        (b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0", "no compressed image"),
        (b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\xff\xff\xff\x7f", "is short"),
        (b"\xfe\xff\x00\xe0\0\0\0\0" + b"junk" * 4, "short or damaged"),
    ],
)
def test_damaged_fragments_are_refused(tmp_path, content, says):
    path = write_compressed(tmp_path / "bad", b"x" * 8, JPEG_2000)
    whole = path.read_bytes()
    at = whole.rindex(b"\xe0\x7f\x10\x00OW") + 12
    path.write_bytes(whole[:at] + content)
    with pytest.raises(UnreadableFile, match=says):
        stored_of(path)


def test_a_frame_in_several_fragments_is_joined(shared_data, tmp_path):
    data = pydicom.dcmread(shared_data / "codecs" / "WG04" / "J2KR" / "CT2_J2KR")
    whole = stored_of(data.filename)
    frame = next(pydicom.encaps.generate_frames(data.PixelData, number_of_frames=1))
    data.PixelData = encapsulate([frame], fragments_per_frame=5, has_bot=False)
    data.save_as(tmp_path / "fragments")
    np.testing.assert_array_equal(stored_of(tmp_path / "fragments"), whole)


def damaged_copies(frame, seed, copies=40):
    """Copies of a frame with some bytes changed, a part overwritten, or an early end."""
    random = np.random.default_rng(seed)
    for attempt in range(copies):
        damaged = bytearray(frame)
        at = int(random.integers(len(frame)))
        if attempt % 3 == 0:
            damaged = damaged[:at] + END
        elif attempt % 3 == 1:
            damaged[at : at + 40] = random.bytes(len(damaged[at : at + 40]))
        else:
            for place in random.integers(2, len(damaged) - 2, 3):
                damaged[place] = random.integers(256)
        yield bytes(damaged)


def outcome(path):
    """The stored values, or None: refused."""
    header = read_header(str(path))
    assert isinstance(header, SliceHeader)
    with contextlib.suppress(UnreadableFile):
        return read_stored(header)
    return None


@pytest.mark.parametrize("syntax", COMPRESSED_SYNTAXES)
def test_a_damaged_frame_is_refused_or_gives_an_image(tmp_path, syntax):
    frame = frame_of(TWELVE_BITS, 12, syntax)
    for damaged in damaged_copies(frame, zlib.crc32(syntax.encode())):
        stored = outcome(write_compressed(tmp_path / "damaged", damaged, syntax))
        assert stored is None or stored.shape == PIXELS.shape


def test_no_damage_to_jpeg_ls_goes_unnoticed(tmp_path):
    frame = frame_of(PIXELS, 16, JPEG_LS)
    for damaged in damaged_copies(frame, seed=0, copies=300):
        stored = outcome(write_compressed(tmp_path / "damaged", damaged, JPEG_LS))
        assert stored is None or (stored == PIXELS).all()


def test_of_damaged_rle_the_same_is_said_as_by_a_plain_loop(tmp_path, monkeypatch):
    frame = frame_of(PIXELS, 16, RLELossless)
    frames = [*damaged_copies(frame, seed=0, copies=300), frame + b"\0" * 4, frame + b"\x80" * 2]
    paths = [
        write_compressed(tmp_path / str(number), damaged, RLELossless)
        for number, damaged in enumerate(frames)
    ]
    found = [outcome(path) for path in paths]
    monkeypatch.setattr(decoders, "_unpacked_by_fast", lambda *_: None)
    monkeypatch.setattr(decoders, "_unpacked_by_pillow", lambda *_: None)
    for path, stored in zip(paths, found, strict=True):
        np.testing.assert_array_equal(stored, outcome(path))
    assert 100 < sum(stored is None for stored in found) < 300
    for padded in found[-2:]:
        np.testing.assert_array_equal(padded, PIXELS)


@pytest.mark.parametrize("coding", ["RLE", "JPLL", "JLSL", "J2KR"])
def test_truncated_and_damaged_codestreams_never_raise_anything_else(shared_data, tmp_path, coding):
    content = (shared_data / "codecs" / "WG04" / coding / f"CT2_{coding}").read_bytes()
    random = np.random.default_rng(zlib.crc32(coding.encode()))
    for attempt in range(12):
        damaged = bytearray(content)
        if attempt % 3 == 0:
            damaged = damaged[: random.integers(3000, len(content))]
        for place in random.integers(2000, len(damaged), 4):
            damaged[place] = random.integers(256)
        path = tmp_path / str(attempt)
        path.write_bytes(damaged)
        header = read_header(str(path))
        if isinstance(header, Refusal):
            continue
        with contextlib.suppress(UnreadableFile):
            assert read_stored(header).shape == (512, 512)
