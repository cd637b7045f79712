"""Fixtures that every stage's tests share: the check data beside the checkout, when it is there."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings
from tests.dicom_files import write_head_series

from ichlite.data.archives import extract_tar

# Machines are shared and slow at times; and what lands is decided on the same examples every time.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real check files, `../shared/data` beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no ../shared/data beside this checkout: real files are not tested")
    return SHARED_DATA


def _unpack(archives: list[Path], to: Path) -> Path:
    for archive in archives:
        with tarfile.open(archive) as tar:
            extract_tar(tar, to / archive.name.split(".")[0])
    return to


@pytest.fixture(scope="session")
def ge_head(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the 28-slice GE head: gantry tilt, varying spacing."""
    return _unpack([shared_data / "ge-head" / "GE.tar.xz"], tmp_path_factory.mktemp("ge-head"))


@pytest.fixture(scope="session")
def philips_mixed(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scanner export: plastic head phantom, scouts, RGB screens, DICOMDIR."""
    archive = shared_data / "philips-mixed" / "In_Philips_subset.tar.xz"
    return _unpack([archive], tmp_path_factory.mktemp("philips"))


@pytest.fixture(scope="session")
def rsna_scan(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one whole RSNA 2019 scan."""
    archives = sorted((shared_data / "rsna-dev").glob("ID_*.tar.xz"))[:1]
    return _unpack(archives, tmp_path_factory.mktemp("rsna"))


@pytest.fixture(scope="session")
def head_series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small synthetic head scan of 28 slices that the gate accepts."""
    folder = tmp_path_factory.mktemp("head")
    write_head_series(folder, side=256, study="8")
    return folder


class Outcome(NamedTuple):
    """What a command line did."""

    exit_code: int
    out: str
    err: str


@pytest.fixture
def ichlite(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """The `ichlite` command in this process: words in; exit code, stdout and stderr out."""
    from ichlite.cli import main

    def run(*words: object) -> Outcome:
        monkeypatch.setattr("sys.argv", ["ichlite", *map(str, words)])
        capsys.readouterr()
        on_interrupt = signal.getsignal(signal.SIGINT)
        files_mode = os.umask(0o022)
        os.umask(files_mode)
        try:
            with pytest.raises(SystemExit) as stop:
                main()
        finally:
            signal.signal(signal.SIGINT, on_interrupt)
            os.umask(files_mode)
        code = stop.value.code
        return Outcome(
            code if isinstance(code, int) else int(code is not None), *capsys.readouterr()
        )

    return run


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """An empty folder in which this process may make no file, be it root's or not."""
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    with _bound_by_rights():
        try:
            (folder / "probe").touch()
        except PermissionError:
            pass
        else:
            pytest.skip("this system lets its user write into read-only folders")
        yield folder


@contextmanager
def _bound_by_rights() -> Iterator[None]:
    """Let rights of files bind root, too, in this thread: its leave to override them is put off."""
    if sys.platform != "linux" or os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None)
    version_3, override = 0x20080522, 1 << 1  # _LINUX_CAPABILITY_VERSION_3, CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(version_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 of each
    libc.capget(header, sets)
    before = sets[0]
    sets[0] = before & ~override
    libc.capset(header, sets)
    try:
        yield
    finally:
        sets[0] = before
        libc.capset(header, sets)
