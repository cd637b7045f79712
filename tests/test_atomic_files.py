import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ichlite.atomic_files import (
    held,
    remove_parts,
    replacing,
    replacing_folder,
    write_csv,
    write_json,
    write_text,
)
from ichlite.errors import IchliteError, StoreError, UsageError


def _replace_by_hand(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text)


WRITERS: tuple[Callable[[Path, str], None], ...] = (
    write_text,
    write_json,
    lambda path, text: write_csv(path, [text], []),
    _replace_by_hand,
)
every_writer = pytest.mark.parametrize("write", WRITERS)


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@every_writer
def test_it_writes_what_it_is_given_and_leaves_nothing_else(
    write: Callable[[Path, str], None], tmp_path: Path
) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    write(target, "new")
    assert target.read_text().strip('"\n') == "new"
    assert names_in(tmp_path) == ["report.html"]


def test_text_is_written_as_utf_8_and_bytes_that_are_none_are_spelled_out(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "näw\udce9\r\n")
    assert (tmp_path / "x").read_bytes() == "näw\\udce9\r\n".encode()


@every_writer
def test_others_may_read_it_as_far_as_the_umask_says(
    write: Callable[[Path, str], None], tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "x", "text")
    finally:
        assert os.umask(before) == 0o027
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


@pytest.mark.parametrize("disk_is_full", [True, False])
@every_writer
def test_a_failure_half_way_leaves_the_old_file_and_no_other(
    write: Callable[[Path, str], None],
    disk_is_full: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device") if disk_is_full else KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((OSError, IchliteError, KeyboardInterrupt)) as raised:
        write(target, "new and longer")
    assert target.read_text() == "old"
    assert names_in(tmp_path) == ["report.html"]
    if disk_is_full:
        assert str(target) in str(raised.value)


def test_a_disk_that_is_full_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    def save(part: Path) -> None:
        part.symlink_to("/dev/full")
        part.write_text("content")

    fault = r"No space left on device: '.*model\.keras'"
    with pytest.raises(OSError, match=fault), replacing(tmp_path / "model.keras") as part:
        save(part)
    assert names_in(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from ichlite.atomic_files import replacing
with replacing(Path(sys.argv[1])) as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_the_old_file_and_a_part_that_can_be_removed(
    tmp_path: Path,
) -> None:
    target = tmp_path / "store.json"
    target.write_text("old")
    run = subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False, timeout=60)
    assert run.returncode < 0
    assert target.read_text() == "old"
    assert len(names_in(tmp_path)) == 2
    remove_parts(tmp_path)
    assert names_in(tmp_path) == ["store.json"]


@every_writer
def test_many_threads_write_one_file_and_each_reader_sees_one_of_them_whole(
    write: Callable[[Path, str], None], tmp_path: Path
) -> None:
    target = tmp_path / "x"
    texts = [str(number) * 10_000 for number in range(8)]
    write(target, texts[0])

    def write_and_read(text: str) -> str:
        write(target, text)
        return target.read_text().strip('"\n')

    with ThreadPoolExecutor(len(texts)) as pool:
        read = list(pool.map(write_and_read, texts * 4))
    assert set(read) <= set(texts)
    assert names_in(tmp_path) == ["x"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(IchliteError, match=r"cannot write .*No such file"):
        write_text(tmp_path / "nowhere" / "x", "")


def test_the_mode_of_an_existing_file_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_text("old")
    target.chmod(0o600)
    write_text(target, "new")
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("new", 0o600)


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "to" / "x")
    write_text(link, "text")
    assert link.is_symlink()
    assert (tmp_path / "to" / "x").read_text() == "text"


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text(pipe, "text")
        assert os.read(reader, 99) == b"text"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_document_that_is_no_json_leaves_the_old_one(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(ValueError, match="nan"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}
    assert names_in(tmp_path) == ["x.json"]


def test_a_folder_takes_its_place_when_it_is_full(tmp_path: Path) -> None:
    (tmp_path / "store.part").mkdir()
    (tmp_path / "store.part" / "index.csv").write_text("half, of a process that was killed")
    (tmp_path / "store").mkdir()
    with replacing_folder(tmp_path / "store") as part:
        (part / "file").write_text("whole")
        assert names_in(tmp_path / "store") == []
    assert names_in(tmp_path) == ["store"]
    assert names_in(tmp_path / "store") == ["file"]


def test_a_folder_that_failed_leaves_nothing(tmp_path: Path) -> None:
    def fill(part: Path) -> None:
        (part / "file").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), replacing_folder(tmp_path / "store") as part:
        fill(part)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_folder_takes_the_place_of_nothing_that_somebody_needs(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "store"
    needed = target if kind == "file" else target / "file"
    needed.parent.mkdir(exist_ok=True)
    needed.write_text("needed")
    with pytest.raises((StoreError, UsageError)), replacing_folder(target):
        pass
    assert needed.read_text() == "needed"


def test_one_process_alone_holds_a_folder(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(StoreError, match="another process"), held(tmp_path):
        pass
    with held(tmp_path):
        pass
