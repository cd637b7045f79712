"""CT-ICH: the release that is there is read, under one command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.ct_ich_files import head_grey, line, write_picture, write_table
from tests.nifti_files import write_volume

from ichlite.data.readers.ct_ich import read
from ichlite.errors import InputError

PICTURES, VOLUMES = "hemorrhage_diagnosis.csv", "hemorrhage_diagnosis_raw_ct.csv"


@pytest.mark.parametrize("below", ["", "computed-tomography-images"])
def test_volumes_are_read_rather_than_pictures(below: str, tmp_path: Path) -> None:
    top = tmp_path / below
    write_picture(top / "Patients_CT" / "050" / "brain" / "1.jpg", head_grey())
    write_table(top / PICTURES, line(50, 1))
    index = read(tmp_path, lambda *_: None)
    assert [one.image for one in index.images] == ["050-001"]
    assert index.hu_range == (-20, 100)
    write_volume(top / "ct_scans" / "051.nii", np.zeros((1, 64, 64), np.int16))
    write_table(top / VOLUMES, line(51, 1))
    index = read(tmp_path, lambda *_: None)
    assert [one.image for one in index.images] == ["051-001"]
    assert index.hu_range is None


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no label table; expected {PICTURES} or {VOLUMES};"):
        read(tmp_path, lambda *_: None)
