"""Fixtures that every stage's tests share: the check data beside the checkout, when it is there."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

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
