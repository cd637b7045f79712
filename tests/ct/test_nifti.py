"""What a NIfTI file claims is checked before anything is unpacked by it."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension, Nifti1Image
from tests.nifti_files import lopsided, write_volume

from ichlite.ct.nifti import read_nifti_geometry, read_nifti_volume
from ichlite.errors import UnreadableFile

DIM, OFFSET = 40, 108
"""Where a NIfTI-1 header has the sizes of its axes, and the place of its voxels."""


def changed(path: Path, at: int, values: np.ndarray, more: bytes = b"") -> Path:
    """Write a volume whose header was changed at a place, with more bytes after it."""
    raw = bytearray(write_volume(path.with_name("whole.nii"), lopsided(3, 32, 32)).read_bytes())
    raw[at : at + values.nbytes] = values.tobytes()
    path.write_bytes(gzip.compress(bytes(raw) + more) if path.suffix == ".gz" else raw + more)
    return path


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize(
    ("at", "values"),
    [
        (DIM, np.array([3, 30000, 30000, 30000], np.int16)),
        (DIM, np.array([7, 512, 512, 512, 512, 512, 512, 512], np.int16)),
        (DIM, np.array([3, 4096, 4096, 1999], np.int16)),
        (OFFSET, np.array([1e9], np.float32)),
        (OFFSET, np.array([np.nan], np.float32)),
        (OFFSET, np.array([-1.0], np.float32)),
    ],
)
def test_what_claims_to_be_too_large_is_refused_by_its_header(tmp_path, name, at, values):
    path = changed(tmp_path / name, at, values)
    for read in (read_nifti_geometry, read_nifti_volume):
        with pytest.raises(UnreadableFile, match="larger than a scan can be"):
            read(path)


def test_a_header_that_claims_more_or_less_than_the_file_holds(tmp_path):
    longer = np.array([3, 32, 32, 400], np.int16)
    for name in ("v.nii", "v.nii.gz"):
        path = changed(tmp_path / name, DIM, longer)
        with pytest.raises(UnreadableFile):
            read_nifti_volume(path)
    bomb = changed(tmp_path / "bomb.nii.gz", DIM, np.array([3], np.int16), b"\0" * 2**25)
    with pytest.raises(UnreadableFile, match="does not unpack"):
        read_nifti_volume(bomb)


def test_a_bomb_takes_no_memory(tmp_path):
    """Two GiB of zeros in two MB: claimed as voxels, behind them, or as a header extension."""
    zeros = b"".join([gzip.compress(b"\0" * 2**26)] * 32)
    raw = write_volume(tmp_path / "whole.nii", lopsided(3, 32, 32)).read_bytes()
    behind = tmp_path / "behind.nii.gz"
    behind.write_bytes(gzip.compress(raw) + zeros)
    header = bytearray(raw[:352])
    header[OFFSET : OFFSET + 4] = np.float32(2.0**23).tobytes()
    header[348] = 1
    extension = np.array([2**31 - 16, 4], np.int32).tobytes()
    claimed = tmp_path / "claimed.nii.gz"
    claimed.write_bytes(gzip.compress(bytes(header) + extension) + zeros)
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "import nibabel\n"
        "from ichlite.ct.nifti import read_nifti_volume\n"
        "from ichlite.errors import UnreadableFile\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[1:]:\n"
        "    try: read_nifti_volume(Path(path))\n"
        "    except UnreadableFile: print('refused')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    words = [sys.executable, "-c", program, str(behind), str(claimed)]
    run = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    first, second, grown_kib = run.stdout.split()
    assert (first, second) == ("refused", "refused")
    assert int(grown_kib) < 100_000


def test_damage_is_noticed_by_the_sum_of_the_compressed_file(tmp_path):
    path = write_volume(tmp_path / "v.nii.gz", lopsided(3, 64, 64))
    whole = bytearray(path.read_bytes())
    whole[-6] ^= 1  # of the sum
    path.write_bytes(whole)
    with pytest.raises(UnreadableFile, match="CRC"):
        read_nifti_volume(path)


def test_header_extensions_that_fit_are_read_over(tmp_path):
    image = Nifti1Image(np.zeros((20, 20, 3), np.int16), np.eye(4))
    image.header.extensions.append(Nifti1Extension("comment", b"x" * 1000))
    image.to_filename(tmp_path / "v.nii.gz")
    assert read_nifti_volume(tmp_path / "v.nii.gz").stored.shape == (3, 20, 20)
