"""A file of several frames gives the slices that single files give, or a line that counts."""

import struct

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian
from tests.dicom_files import UID_ROOT, enhanced_dataset, save, write_enhanced, write_head_series

from ichlite.ct import elements
from ichlite.ct.fragments import Fragments, find_fragments, frame_spans
from ichlite.ct.header import Refusal, read_header, read_headers
from ichlite.ct.hounsfield import read_stored
from ichlite.ct.input_check import judge_series
from ichlite.ct.series import find_series
from ichlite.ct.tensor import read_volume
from ichlite.errors import UnreadableFile

COUNT, SIDE = 12, 32
JPEG_LOSSLESS, JPEG_LS, JPEG_2000, RLE = (
    f"1.2.840.10008.1.2.{last}" for last in ("4.70", "4.80", "4.90", "5")
)
DEFLATED = "1.2.840.10008.1.2.1.99"
LEGACY = "1.2.840.10008.5.1.4.1.1.2.2"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    return write_head_series(folder, COUNT, side=SIDE, ConvolutionKernel="H31s", RescaleType="HU")


@pytest.fixture(scope="module")
def slices(files):
    return [dcmread(file) for file in files]


def encoded(data, syntax):
    """Return the pixels of a slice as a codestream."""
    pixels = np.frombuffer(data.PixelData, "<u2").reshape(data.Rows, data.Columns)
    if syntax == JPEG_LOSSLESS:
        return imagecodecs.jpeg8_encode(pixels, bitspersample=16, lossless=True)
    if syntax == JPEG_LS:
        return imagecodecs.jpegls_encode(pixels)
    if syntax == JPEG_2000:
        return imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, level=0)
    planes = [
        imagecodecs.packbits_encode(plane.astype(np.uint8).tobytes())
        for plane in (pixels >> 8, pixels & 255)
    ]
    return struct.pack("<16I", 2, 64, 64 + len(planes[0]), *[0] * 13) + b"".join(planes)


def compressed(slices, syntax, **how):
    return encapsulate([encoded(one, syntax) for one in slices], **how)


def only(path):
    (series,), skipped = find_series([path])
    return series, skipped


def same_pixels(series, slices):
    assert len(series.slices) == len(slices)
    for header, data in zip(series.slices, slices, strict=True):
        np.testing.assert_array_equal(read_stored(header), data.pixel_array)


def test_a_frame_says_what_a_slice_of_its_own_says(files, slices, tmp_path):
    series, skipped = only(write_enhanced(tmp_path / "image", files))
    single, _ = only(files[0].parent)
    assert skipped == ()
    assert series.files == (str(tmp_path / "image"),)
    assert (series.faults, series.defects, series.breaks) == ((), (), ())
    assert series.positions_mm == single.positions_mm
    for number, (one, other) in enumerate(zip(series.slices, single.slices, strict=True), 1):
        assert (one.frame.number, one.frame.count, one.frame.stack_id) == (number, COUNT, "1")
        for name in (
            *("pixel_spacing_mm", "image_position_mm", "image_orientation", "rescale_slope"),
            *("rescale_intercept", "rescale_type", "image_type", "kvp", "slice_thickness_mm"),
            *("convolution_kernel", "patient_id", "study_uid", "series_uid", "rows", "columns"),
        ):
            assert getattr(one, name) == getattr(other, name), name
    same_pixels(series, slices)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DEFLATED])
@pytest.mark.parametrize("undefined", [False, True])
def test_sequences_and_values_in_every_native_form(files, slices, tmp_path, syntax, undefined):
    data = enhanced_dataset(slices)
    if undefined:
        for key in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
            data[key].is_undefined_length = True
            for item in data[key]:
                item.is_undefined_length_sequence_item = True
    if syntax == ExplicitVRBigEndian:
        data.PixelData = np.frombuffer(data.PixelData, "<i2").astype(">i2").tobytes()
    series, skipped = only(save(data, tmp_path / "image", syntax))
    assert (skipped, series.defects) == ((), ())
    same_pixels(series, slices)


@pytest.mark.parametrize(
    ("syntax", "fragments"),  # RLE has one fragment a frame
    [*((one, n) for one in (JPEG_LOSSLESS, JPEG_LS, JPEG_2000) for n in (1, 3)), (RLE, 1)],
)
@pytest.mark.parametrize("table", [True, False])
def test_compressed_frames_in_one_fragment_or_several(
    files, slices, tmp_path, syntax, table, fragments
):
    value = compressed(slices, syntax, has_bot=table, fragments_per_frame=fragments)
    path = write_enhanced(tmp_path / "image", files, transfer_syntax_uid=syntax, PixelData=value)
    series, skipped = only(path)
    assert (skipped, series.defects) == ((), ())
    same_pixels(series, slices)


def test_an_extended_offset_table_is_passed_over(files, slices, tmp_path):
    from pydicom.encaps import encapsulate_extended

    value, offsets, lengths = encapsulate_extended([encoded(one, RLE) for one in slices])
    path = write_enhanced(
        *(tmp_path / "image", files),
        transfer_syntax_uid=RLE,
        PixelData=value,
        ExtendedOffsetTable=offsets,
        ExtendedOffsetTableLengths=lengths,
    )
    same_pixels(only(path)[0], slices)


@pytest.mark.parametrize("syntax", [None, JPEG_LS, RLE])
def test_a_file_cut_anywhere_is_a_line_that_counts_and_never_whole(files, slices, tmp_path, syntax):
    few = files[:4]
    more = {} if syntax is None else {"PixelData": compressed(slices[:4], syntax)}
    syntax = syntax or "1.2.840.10008.1.2.1"
    content = write_enhanced(
        tmp_path / "whole", few, transfer_syntax_uid=syntax, **more
    ).read_bytes()
    for at in range(0, len(content) - 8, 64):
        (tmp_path / "cut").write_bytes(content[:at])
        found, skipped = find_series([tmp_path / "cut"])
        assert all("\n" not in one.reason for one in skipped)
        lost = [one for one in skipped if one.may_be_ct]
        left_out = 0
        for series in found:
            try:
                volume = read_volume(series)
            except UnreadableFile:
                left_out += len(series.slices)
                continue
            left_out += len(volume.left_out)
            assert series.defects or volume.left_out
        assert lost or left_out


def test_frames_of_a_deflated_image_are_read_in_any_order(files, slices, tmp_path):
    series, _ = only(write_enhanced(tmp_path / "image", files, transfer_syntax_uid=DEFLATED))
    for index in (7, 8, 3, 11, 3, 0):
        np.testing.assert_array_equal(read_stored(series.slices[index]), slices[index].pixel_array)
    write_enhanced(tmp_path / "image", files[::-1], transfer_syntax_uid=DEFLATED)  # changed since
    np.testing.assert_array_equal(read_stored(series.slices[0]), slices[-1].pixel_array)


def test_a_deflated_image_may_be_longer_than_a_slice(files, tmp_path, monkeypatch):
    monkeypatch.setattr(elements, "_MAX_INFLATED_BYTES", 10_000)
    image = write_enhanced(tmp_path / "image", files, transfer_syntax_uid=DEFLATED)
    assert len(only(image)[0].slices) == COUNT
    monkeypatch.setattr(elements, "MAX_MEMBER_BYTES", 10_000)
    (refusal,) = read_headers(str(image))
    assert "the deflated data set is too large" in refusal.reason
    assert refusal.may_be_ct


def test_frames_that_are_cut_off_are_missing_slices(files, tmp_path):
    path = write_enhanced(tmp_path / "image", files)
    content = path.read_bytes()
    path.write_bytes(content[: -2 * SIDE * SIDE * 3 - 100])
    series, (skipped,) = only(path)
    assert len(series.slices) == COUNT - 4
    assert skipped.reason == "4 frames, from frame 9 on: the pixel data is short"
    assert skipped.may_be_ct
    assert series.defects[0].startswith("4 of its slices cannot be used, so slices are missing")


def test_a_damaged_frame_is_left_out_and_the_others_are_read(files, slices, tmp_path):
    frames = [encoded(one, JPEG_LS) for one in slices]
    frames[5] = frames[5][:40]
    path = write_enhanced(
        *(tmp_path / "image", files), transfer_syntax_uid=JPEG_LS, PixelData=encapsulate(frames)
    )
    series, skipped = only(path)
    volume = read_volume(series)
    assert skipped == ()
    assert [(one.file, one.frame, one.may_be_ct) for one in volume.left_out] == [
        (str(path), 6, True)
    ]
    assert volume.series.breaks == (4,)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"NumberOfFrames": COUNT - 1}, "NumberOfFrames does not fit PerFrameFunctional"),
        ({"NumberOfFrames": COUNT + 1}, "NumberOfFrames does not fit PerFrameFunctional"),
        ({"NumberOfFrames": 0}, "NumberOfFrames is out of range"),
        ({"NumberOfFrames": 2_000_000_000}, "NumberOfFrames is out of range"),
        ({"NumberOfFrames": None}, "no NumberOfFrames"),
        ({"PerFrameFunctionalGroupsSequence": None}, "NumberOfFrames does not fit"),
        ({"PixelData": bytes(2 * SIDE * SIDE * (COUNT - 1))}, "the pixel data is short"),
        ({"PixelData": bytes(2 * SIDE * SIDE * (COUNT + 1))}, "the pixel data is long"),
        ({"Rows": 60_000, "Columns": 60_000}, "60000x60000"),
        ({"PixelData": b"", "FloatPixelData": b"\0" * 64}, "floating-point"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused_in_a_line_that_counts(
    files, tmp_path, overrides, says
):
    path = write_enhanced(tmp_path / "image", files, **overrides)
    (refusal,) = read_headers(str(path))
    assert isinstance(refusal, Refusal)
    assert says in refusal.reason
    assert refusal.may_be_ct
    assert find_series([path])[0] == ()


def test_another_number_of_compressed_frames_is_refused(files, slices, tmp_path):
    for syntax in (JPEG_LS, RLE):
        for count in (COUNT - 1, COUNT + 1):
            value = compressed([*slices, slices[0]][:count], syntax)
            path = write_enhanced(
                tmp_path / "image", files, transfer_syntax_uid=syntax, PixelData=value
            )
            (refusal,) = read_headers(str(path))
            assert "NumberOfFrames does not fit the compressed pixel data" in refusal.reason
            assert refusal.may_be_ct


def test_a_frame_without_a_place_or_with_nonsense_is_lost_alone(files, slices, tmp_path):
    data = enhanced_dataset(slices)
    groups = data.PerFrameFunctionalGroupsSequence
    del groups[3].PlanePositionSequence
    groups[4].PlanePositionSequence[0].ImagePositionPatient = [0, 0, 1e99]
    series, skipped = only(save(data, tmp_path / "image"))
    assert {one.frame: one.may_be_ct for one in skipped} == {4: True, 5: True}
    assert len(series.slices) == COUNT - 2
    assert "2 of its slices cannot be used" in series.defects[0]


@pytest.mark.parametrize(
    ("macro", "keyword", "value", "says"),
    [
        ("FrameContentSequence", "StackID", "2", "mixed stacks in one series; found 2"),
        ("FrameContentSequence", "TemporalPositionIndex", 2, "mixed temporal positions"),
        ("CTImageFrameTypeSequence", "FrameType", ["DERIVED", "PRIMARY"], "mixed frame types"),
        ("CTReconstructionSequence", "ConvolutionKernel", "H60s", "mixed convolution kernels"),
    ],
)
def test_frames_of_several_kinds_are_refused_as_mixed(
    slices, tmp_path, macro, keyword, value, says
):
    data = enhanced_dataset(slices)
    for group in data.PerFrameFunctionalGroupsSequence[COUNT // 2 :]:
        if macro not in group:
            setattr(group, macro, [Dataset()])
        setattr(group[macro][0], keyword, value)
    for group in data.PerFrameFunctionalGroupsSequence[: COUNT // 2]:
        if macro not in group:
            shared = data.SharedFunctionalGroupsSequence[0][macro]
            setattr(group, macro, shared.value)
    if macro in data.SharedFunctionalGroupsSequence[0]:
        delattr(data.SharedFunctionalGroupsSequence[0], macro)
    series, _ = only(save(data, tmp_path / "image"))
    assert any(says in fault for fault in series.faults)
    assert any(says in reason for reason in judge_series(series).refusals)


def test_scouts_among_the_frames_are_parted(slices, tmp_path):
    data = enhanced_dataset(slices)
    group = data.PerFrameFunctionalGroupsSequence[0]
    group.CTImageFrameTypeSequence = [Dataset()]
    group.CTImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    del data.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence
    series, (scout,) = only(save(data, tmp_path / "image"))
    assert len(series.slices) == COUNT - 1
    assert (scout.frame, scout.may_be_ct) == (1, False)


def test_contrast_and_body_part_are_those_of_the_codes(slices, tmp_path):
    data = enhanced_dataset(slices)
    agent, region = Dataset(), Dataset()
    agent.CodeMeaning, region.CodeMeaning = "Iohexol", "Chest"
    data.ContrastBolusAgentSequence = [agent]
    anatomy = Dataset()
    anatomy.AnatomicRegionSequence = [region]
    data.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]
    series, _ = only(save(data, tmp_path / "image"))
    refusals = " ".join(judge_series(series).refusals)
    assert "a contrast agent was given; found IOHEXOL" in refusals
    assert "found BodyPartExamined CHEST" in refusals


def test_values_of_a_converted_image_are_found(slices, tmp_path):
    data = enhanced_dataset(slices, SOPClassUID=LEGACY)
    shared = data.SharedFunctionalGroupsSequence[0]
    del shared.CTReconstructionSequence
    del shared.CTXRayDetailsSequence
    converted = Dataset()
    converted.ConvolutionKernel, converted.KVP = "H31s", "120"
    shared.UnassignedSharedConvertedAttributesSequence = [converted]
    series, _ = only(save(data, tmp_path / "image"))
    assert {(one.convolution_kernel, one.kvp) for one in series.slices} == {("H31s", 120.0)}
    same_pixels(series, slices)


def write_parts(folder, slices, sizes, **said):
    """Write a concatenation: an image in parts."""
    before = 0
    for number, size in enumerate(sizes, 1):
        data = enhanced_dataset(
            slices[before : before + size],
            SOPInstanceUID=f"{UID_ROOT}1.1.{number}.7",
            ConcatenationUID=UID_ROOT + "5",
            InConcatenationNumber=number,
            ConcatenationFrameOffsetNumber=before,
            **said,
        )
        save(data, folder / f"part-{number}")
        before += size


def test_the_parts_of_a_concatenation_are_joined(slices, tmp_path):
    write_parts(tmp_path, slices, (5, 4, 3), InConcatenationTotalNumber=3)
    series, skipped = only(tmp_path)
    assert (skipped, series.defects, series.faults) == ((), (), ())
    same_pixels(series, slices)


@pytest.mark.parametrize("gone", [1, 2, 3])
@pytest.mark.parametrize("total", [3, None])
def test_a_part_that_is_missing_is_a_defect(slices, tmp_path, gone, total):
    said = {} if total is None else {"InConcatenationTotalNumber": total}
    write_parts(tmp_path, slices, (5, 4, 3), **said)
    (tmp_path / f"part-{gone}").unlink()
    series, _ = only(tmp_path)
    assert any("stored in parts" in defect for defect in series.defects)


def test_parts_that_do_not_follow_each_other_are_a_defect(slices, tmp_path):
    write_parts(tmp_path, slices, (5, 4, 3), InConcatenationTotalNumber=2)
    (tmp_path / "part-2").unlink()
    series, _ = only(tmp_path)
    assert "an image was stored in parts that do not follow each other" in series.defects[0]


def test_a_copy_is_left_out_once_for_all_its_frames(files, tmp_path):
    path = write_enhanced(tmp_path / "image", files)
    (tmp_path / "other").write_bytes(path.read_bytes())
    series, (copy,) = only(tmp_path)
    assert len(series.slices) == COUNT
    assert copy.reason == f"{COUNT} frames, from frame 1 on: a copy of {path}"
    assert not copy.may_be_ct


def test_one_slice_a_file_is_what_read_header_gives(files, tmp_path):
    found = read_header(str(write_enhanced(tmp_path / "image", files)))
    assert isinstance(found, Refusal)
    assert "12 frames; expected one slice a file" in found.reason
    assert found.may_be_ct


def test_the_published_enhanced_ct_is_understood(shared_data):
    path = shared_data / "odd" / "pydicom-data" / "eCT_Supplemental.dcm"
    series, skipped = only(path)
    assert (skipped, series.positions_mm) == ((), (-159.0, -149.0))
    assert [one.frame.number for one in series.slices] == [1, 2]
    expected = dcmread(path).pixel_array
    for header, pixels in zip(series.slices, expected, strict=True):
        np.testing.assert_array_equal(read_stored(header), pixels)
    assert any("IOHEXOL" in reason for reason in judge_series(series).refusals)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_damage_to_the_groups_is_a_reason_and_never_a_crash(files, tmp_path, data):
    content = bytearray(write_enhanced(tmp_path / "image", files[:3]).read_bytes())
    end = content.index(b"\xe0\x7f\x10\x00")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(132, end))
        content[at : at + 4] = data.draw(
            st.binary(max_size=8) | st.sampled_from([b"\xff" * 4, b"\xfe\xff\x00\xe0"])
        )
    (tmp_path / "damaged").write_bytes(content)
    for one in read_headers(str(tmp_path / "damaged")):
        if isinstance(one, Refusal):
            assert one.reason
            assert "\n" not in one.reason
        else:
            assert read_stored(one).shape == (one.rows, one.columns)


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=12),
    st.booleans(),
    st.booleans(),
    st.integers(0, 400),
)
def test_fragments_and_frames_cover_what_is_there(lengths, table, single, cut):
    import io

    frames = [b"\xff\xd8\xff" + bytes(length) for length in lengths]
    value = encapsulate(frames, has_bot=table) + b"\xfe\xff\xdd\xe0\0\0\0\0"
    file = io.BytesIO(value[:cut])
    try:
        found = find_fragments(file, 0, min(cut, len(value)))
        spans = frame_spans(found, len(frames), single=single)
    except UnreadableFile:
        return
    assert len(spans) == len(frames) if found.whole else len(spans) <= len(frames)
    for (start, end), frame in zip(spans, frames, strict=False):
        assert value[start + 8 : end].rstrip(b"\0") == frame.rstrip(b"\0")


def test_a_table_tells_frames_that_marks_do_not():
    spans = ((0, 10), (10, 20), (20, 30))
    all_marked = Fragments(spans, (True,) * 3, (0, 20), whole=True)
    assert frame_spans(all_marked, 2, single=False) == [(0, 20), (20, 30)]


def test_a_table_that_is_wrong_is_not_believed():
    spans = ((0, 10), (10, 20), (20, 30))
    wrong = Fragments(spans, (True, False, True), (0, 12), whole=True)
    assert frame_spans(wrong, 2, single=False) == [(0, 20), (20, 30)]
    with pytest.raises(UnreadableFile, match="NumberOfFrames does not fit"):
        frame_spans(Fragments(spans, (False,) * 3, (), whole=True), 2, single=False)
