"""Zip archives are read member by member, in place, or refused by name."""

import os
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.dicom_files import write_enhanced, write_head_series

from ichlite.ct import archives
from ichlite.ct.header import read_headers
from ichlite.ct.hounsfield import read_stored
from ichlite.ct.series import find_series
from ichlite.ct.tensor import read_volume
from ichlite.errors import InputError, UnreadableFile

COUNT = 12


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    folder = tmp_path_factory.mktemp("head")
    write_head_series(folder, COUNT, side=32)
    return folder


def packed(path, files, method=zipfile.ZIP_DEFLATED, prefix="scan/"):
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in files:
            archive.write(file, prefix + file.name)
    return path


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_head_in_an_archive_is_the_head_in_a_folder(head, tmp_path, method):
    path = packed(tmp_path / "head.zip", sorted(head.iterdir()), method)
    ((plain,), _), ((series,), skipped) = find_series([head]), find_series([path])
    assert skipped == ()
    assert series.files == tuple(f"{path}/scan/IM{index:04d}" for index in range(COUNT))
    assert (series.positions_mm, series.defects) == (plain.positions_mm, plain.defects)
    np.testing.assert_array_equal(read_volume(series).hu, read_volume(plain).hu)
    assert os.listdir(tmp_path) == ["head.zip"]  # noqa: PTH208  nothing was written


def test_an_archive_is_found_in_a_folder_and_joined_with_what_lies_beside_it(head, tmp_path):
    files = sorted(head.iterdir())
    packed(tmp_path / "half", files[::2])
    for file in files[1::2]:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (series,), skipped = find_series([tmp_path])
    assert (len(series.slices), series.defects, skipped) == (COUNT, (), ())


def test_an_image_of_many_frames_is_read_in_an_archive(head, tmp_path):
    image = write_enhanced(tmp_path / "image.dcm", sorted(head.iterdir()))
    (series,), skipped = find_series([packed(tmp_path / "a.zip", [image])])
    assert skipped == ()
    assert series.files == (f"{tmp_path}/a.zip/scan/image.dcm",)
    np.testing.assert_array_equal(read_volume(series).hu, read_volume(find_series([head])[0][0]).hu)


def test_other_members_are_skipped_each_with_its_reason(head, tmp_path):
    path = packed(tmp_path / "a.zip", sorted(head.iterdir()))
    inner = packed(tmp_path / "inner.zip", sorted(head.iterdir())[:2])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "what the radiologist wrote " * 9)
        archive.writestr("empty", "")
        archive.writestr("folder/", "")
        archive.writestr("../../etc/out", "x")
        archive.writestr("/etc/out", "x")
        archive.write(inner, "inner.zip")
    (series,), skipped = find_series([path])
    assert len(series.slices) == COUNT
    found = {one.file.removeprefix(f"{path}/"): (one.reason, one.may_be_ct) for one in skipped}
    leads_out = ("the name of the member leads out of the zip archive", True)
    assert found == {
        "notes.txt": ("not a DICOM file", False),
        "empty": ("empty file", True),
        "../../etc/out": leads_out,
        "/etc/out": leads_out,
        "inner.zip": ("zip archive: unpack it first", True),
    }


def reasons(path):
    found, skipped = find_series([path])
    assert found == ()
    assert all(one.may_be_ct and "\n" not in one.reason for one in skipped)
    return {one.reason for one in skipped}


def test_an_encrypted_member_is_refused(head, tmp_path):
    path = packed(tmp_path / "a.zip", sorted(head.iterdir())[:1])
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # the flag, in the directory and the member
    content[6] |= 1
    path.write_bytes(content)
    assert reasons(path) == {"the member of the zip archive is encrypted"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(head, tmp_path):
    path = packed(tmp_path / "a.zip", sorted(head.iterdir())[:1] * 2)
    assert reasons(path) == {"two members have this name"}


def test_members_that_are_too_large_or_too_many_are_refused_unread(head, tmp_path, monkeypatch):
    path = packed(tmp_path / "a.zip", sorted(head.iterdir())[:3])
    for limit, value, says in (
        ("MAX_MEMBERS", 2, "the zip archive has too many members; found 3; expected 2"),
        ("MAX_ARCHIVE_BYTES", 4000, "the zip archive is too large"),
        ("MAX_MEMBER_BYTES", 2000, "the member of the zip archive is too large"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(archives, limit, value)
            assert all(one.startswith(says) for one in reasons(path))
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes((1 << 26) + 1))
    assert bomb.stat().st_size < 100_000
    (only,) = reasons(bomb)
    assert "too large; found 67108865 bytes in" in only


def test_no_more_is_inflated_than_is_declared(head, tmp_path):
    (file,) = sorted(head.iterdir())[:1]
    path = packed(tmp_path / "a.zip", [file])
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 24
    size = int.from_bytes(content[at : at + 4], "little")
    content[at : at + 4] = (size - 100).to_bytes(4, "little")
    path.write_bytes(content)
    (reason,) = reasons(path)
    assert reason == "the member of the zip archive is damaged"  # its sum is that of the whole
    member = archives.open_member(f"{path}/scan/{file.name}")
    with pytest.raises(UnreadableFile, match="damaged"):
        member.read()


def test_an_empty_damaged_or_cut_archive_is_a_line_that_counts(head, tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    assert reasons(tmp_path / "empty.zip") == {"the zip archive is empty"}
    content = packed(tmp_path / "a.zip", sorted(head.iterdir())[:2]).read_bytes()
    for at in range(4, len(content) - 1, 64):
        (tmp_path / "cut.zip").write_bytes(content[:at])
        assert reasons(tmp_path / "cut.zip") == {"the zip archive is damaged or cut short"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(data=st.data())
def test_damage_anywhere_is_noticed_or_harmless(head, tmp_path, data):
    files = sorted(head.iterdir())[:3]
    content = bytearray(packed(tmp_path / "a.zip", files).read_bytes())
    at = data.draw(st.integers(4, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "damaged.zip"
    path.write_bytes(content)
    found, skipped = find_series([path])
    assert all("\n" not in one.reason for one in skipped)
    plain = {read_headers(str(one))[0].instance_uid: read_headers(str(one))[0] for one in files}
    for series in found:
        for header in series.slices:
            try:
                stored = read_stored(header)
            except UnreadableFile:
                continue
            np.testing.assert_array_equal(stored, read_stored(plain[header.instance_uid]))


def test_members_are_read_by_their_paths(head, tmp_path):
    path = packed(tmp_path / "head.zip", sorted(head.iterdir()))
    ((whole,), _), ((series,), _) = (
        find_series([path]),
        find_series([f"{path}/scan/IM{index:04d}" for index in range(COUNT)]),
    )
    assert (series.files, series.positions_mm) == (whole.files, whole.positions_mm)
    for gone in (f"{path}/scan/none", f"{path}/scan", f"{sorted(head.iterdir())[0]}/x"):
        with pytest.raises(InputError, match="does not exist"):
            find_series([gone])


def test_a_path_into_nothing_is_a_reason(head, tmp_path):
    path = packed(tmp_path / "a.zip", sorted(head.iterdir())[:1])
    for name in (f"{path}/gone", f"{sorted(head.iterdir())[0]}/x"):
        (refusal,) = read_headers(name)
        assert refusal.may_be_ct
    with pytest.raises(OSError, match="No such file"):
        archives.open_member(str(tmp_path / "gone.zip" / "x"))
