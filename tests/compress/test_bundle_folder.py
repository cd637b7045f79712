"""The folder of a bundle: whole or not at all, and refused before the work."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from ichlite.compress.bundle_folder import check_folder, filled
from ichlite.errors import IchliteError, UsageError


def test_what_is_filled_replaces_a_bundle_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "bundle"
    for text in ("first", "second"):
        with filled(folder) as part:
            (part / "manifest.json").write_text(text)
        assert (folder / "manifest.json").read_text() == text
        assert [one.name for one in folder.parent.iterdir()] == ["bundle"]
        assert folder.stat().st_mode & 0o777 == 0o755


def interrupted(folder: Path, fault: type[BaseException]) -> None:
    with filled(folder) as part:
        (part / "manifest.json").write_text("second")
        raise fault


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ValueError])
def test_what_is_interrupted_leaves_the_bundle_as_it_was(
    tmp_path: Path, fault: type[BaseException]
) -> None:
    folder = tmp_path / "bundle"
    with filled(folder) as part:
        (part / "manifest.json").write_text("first")
    with pytest.raises(fault):
        interrupted(folder, fault)
    assert (folder / "manifest.json").read_text() == "first"
    assert [one.name for one in tmp_path.iterdir()] == ["bundle"]


def test_two_at_once_do_not_share_a_part(tmp_path: Path) -> None:
    with filled(tmp_path / "bundle") as one, filled(tmp_path / "bundle") as other:
        assert one != other
        (one / "manifest.json").write_text("one")
        (other / "manifest.json").write_text("other")
    assert (tmp_path / "bundle" / "manifest.json").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_what_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("a file")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "other").mkdir()
    for name in ("manifest.json", "model.tflite"):
        (tmp_path / "other" / name).write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "new")
    for folder, why in (
        (tmp_path / "file", "is a file, not a folder"),
        (tmp_path / "file" / "bundle", "is a file, not a folder"),
        (tmp_path / "thesis", "holds something other than a bundle"),
        (tmp_path / "link", "is a link"),
        (tmp_path / "other" / "deep" / "inner", "lies inside a bundle"),
        (tmp_path / "two\nlines", "no proper name"),
        (Path("/"), "no proper name"),
    ):
        with pytest.raises(UsageError, match=why):
            check_folder(folder)
    monkeypatch.chdir(tmp_path / "thesis")
    with pytest.raises(UsageError, match=r"chapter\.txt"):
        check_folder(Path())


@pytest.mark.parametrize("refused", ["", "bundle"])
def test_a_place_that_takes_no_files_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    (tmp_path / "bundle").mkdir()
    make = tempfile.TemporaryFile

    def on_a_read_only_disk(**where: Path) -> Any:
        if where["dir"] == tmp_path / refused:
            raise OSError(30, "Read-only file system")
        return make(**where)

    monkeypatch.setattr(tempfile, "TemporaryFile", on_a_read_only_disk)
    with pytest.raises(IchliteError, match=r"no file can be created in .*: Read-only") as fault:
        check_folder(tmp_path / "bundle")
    assert fault.value.exit_code == 1


def test_an_interrupt_while_it_is_replaced_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    with filled(folder) as part:
        (part / "manifest.json").write_text("first")
    rename, done = Path.rename, []

    def interrupted(self: Path, target: Path) -> Path:
        done.append(rename(self, target))
        if len(done) == 1:  # the old one is aside, the new one not yet there
            raise KeyboardInterrupt
        return done[-1]

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), filled(folder) as part:
        (part / "manifest.json").write_text("second")
    assert (folder / "manifest.json").read_text() == "first"
    assert [one.name for one in tmp_path.iterdir()] == ["bundle"]
