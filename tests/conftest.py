"""Fixtures that every stage's tests share: the check data beside the checkout, when it is there."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings
from tests.dicom_files import write_head_series

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
            tar.extractall(to / archive.name.split(".")[0], filter="data")
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
        with pytest.raises(SystemExit) as stop:
            main()
        code = stop.value.code
        return Outcome(
            code if isinstance(code, int) else int(code is not None), *capsys.readouterr()
        )

    return run
