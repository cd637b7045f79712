import os
import stat

import pytest

from ichlite.errors import IchliteError
from ichlite.write import files
from ichlite.write.files import write_text


def test_it_writes_what_it_is_given_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "report.html"
    target.write_text("old")
    write_text(target, "näw\n")
    assert target.read_bytes() == "näw\n".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_others_may_read_it_as_far_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "x", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_half_way_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, error):
    target = tmp_path / "report.html"
    target.write_text("old")

    class FullDisk:
        def __init__(self, descriptor, *_, **__):
            self.descriptor = descriptor

        def __enter__(self):
            return self

        def __exit__(self, *_):
            os.close(self.descriptor)

        def write(self, text):
            os.write(self.descriptor, text[: len(text) // 2].encode())
            raise error

    monkeypatch.setattr(files.os, "fdopen", FullDisk)
    with pytest.raises((IchliteError, KeyboardInterrupt)):
        write_text(target, "new and longer")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(IchliteError, match=r"cannot write .*No such file"):
        write_text(tmp_path / "nowhere" / "x", "")


def test_the_mode_of_an_existing_file_is_kept(tmp_path):
    target = tmp_path / "x"
    target.write_text("old")
    target.chmod(0o600)
    write_text(target, "new")
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("new", 0o600)


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path):
    (tmp_path / "to").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "to" / "x")
    write_text(link, "text")
    assert link.is_symlink()
    assert (tmp_path / "to" / "x").read_text() == "text"


def test_a_pipe_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text(pipe, "text")
        assert os.read(reader, 99) == b"text"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
