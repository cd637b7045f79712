"""Archives: their files, and what is refused of them."""

import io
import struct
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichlite.node.web import zips
from ichlite.node.web.zips import BadArchive, BadMember, members


def archive(tmp_path, files, kind=zipfile.ZIP_DEFLATED):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", kind) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def read(path, most=1 << 20):
    return {one.name: b"".join(one.pieces()) for one in members(path, most) if not one.passed_over}


def test_files_come_out_as_they_went_in_and_no_path_is_used(tmp_path):
    files = {"../../etc/passwd": b"a", "/abs": b"b", "a/b/IM1": bytes(range(256)) * 900, "d/": b""}
    assert read(archive(tmp_path, files)) == {k: v for k, v in files.items() if k != "d/"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_what_is_no_image_by_its_name_is_passed_over(tmp_path):
    names = ["DICOMDIR", "cd/dicomdir", "__MACOSX/a", "x/._IM1", "Thumbs.db"]
    found = members(archive(tmp_path, dict.fromkeys(names, b"x")), 99)
    assert [one.passed_over for one in found] == [True] * len(names)


def test_bombs_and_what_is_too_large_are_refused(tmp_path):
    path = archive(tmp_path, {"bomb": bytes(50 << 20)})
    with pytest.raises(BadMember, match="unpacks to more"):
        read(path, 1 << 30)
    with pytest.raises(BadMember, match="larger than"):
        read(archive(tmp_path, {"big": bytes(range(256)) * 100}), 1000)


@pytest.mark.parametrize("change", [-1000, 1000])
def test_a_size_that_is_a_lie_is_noticed(tmp_path, change):
    path = archive(tmp_path, {"a": bytes(range(256)) * 10})
    data = bytearray(path.read_bytes())
    for at, offset in ((data.find(b"PK\x03\x04"), 22), (data.rfind(b"PK\x01\x02"), 24)):
        struct.pack_into("<L", data, at + offset, 2560 + change)
    path.write_bytes(data)
    with pytest.raises(BadMember):
        read(path)


def test_encrypted_and_strangely_packed_members_are_refused(tmp_path):
    path = archive(tmp_path, {"a": b"x"})
    data = bytearray(path.read_bytes())
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(BadMember, match="encrypted"):
        read(path)
    with pytest.raises(BadMember, match="packed in a way"):
        read(archive(tmp_path, {"a": b"x" * 999}, zipfile.ZIP_LZMA))


def test_many_members_and_zip64_are_refused_before_the_directory_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(zips, "MOST_MEMBERS", 3)
    path = archive(tmp_path, {str(n): b"" for n in range(4)})
    with pytest.raises(BadArchive, match="more than 3"):
        read(path)
    data = path.read_bytes()
    at = data.rfind(b"PK\x05\x06")
    path.write_bytes(data[:at] + b"PK\x06\x07" + bytes(16) + data[at:])
    with pytest.raises(BadArchive, match="ZIP64"):
        read(path)
    monkeypatch.setattr(zips, "MOST_UNPACKED_BYTES", 10)
    with pytest.raises(BadArchive, match="together"):
        read(archive(tmp_path, {"a": b"x" * 11}))


@given(st.integers(0, 400), st.binary(max_size=8), st.integers(0, 400))
def test_damaged_archives_are_read_or_refused(at, junk, end):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive_:
        archive_.writestr("a", b"hello" * 50)
        archive_.writestr("b", b"you")
    data = bytearray(made.getvalue())
    data[at : at + len(junk)] = junk
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zip"
        path.write_bytes(data[: len(data) - end if end < 300 else len(data)])
        with suppress(BadArchive, BadMember):
            read(path)
