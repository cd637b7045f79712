"""Archives: what leaves the folder that it is unpacked to is not unpacked, on any Python."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from ichlite.data.archives import extract_tar


@pytest.fixture(params=["with filters", "without"])
def _python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As this Python is, and as one before 3.11.4."""
    if request.param == "without":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
        monkeypatch.setattr(tarfile.TarFile, "extractall", None)


def _extract(tmp_path: Path, member: tarfile.TarInfo, content: bytes = b"") -> Path:
    member.size = len(content)
    with tarfile.open(tmp_path / "made.tar", "w") as tar:
        tar.addfile(member, io.BytesIO(content))
    target = tmp_path / "target"
    with tarfile.open(tmp_path / "made.tar") as tar:
        extract_tar(tar, target)
    return target


@pytest.mark.usefixtures("_python")
def test_files_are_put_below_the_target(tmp_path: Path) -> None:
    target = _extract(tmp_path, tarfile.TarInfo("folder/file"), b"content")
    assert (target / "folder" / "file").read_bytes() == b"content"


@pytest.mark.usefixtures("_python")
@pytest.mark.parametrize("name", ["../file", "folder/../../file", "link", "device"])
def test_what_would_leave_it_is_refused(tmp_path: Path, name: str) -> None:
    member = tarfile.TarInfo(name)
    if name == "link":
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    if name == "device":
        member.type = tarfile.CHRTYPE
    with pytest.raises(tarfile.TarError):
        _extract(tmp_path, member)
    assert sorted(path.name for path in tmp_path.rglob("*")) in (
        ["made.tar"],
        ["made.tar", "target"],
    )
