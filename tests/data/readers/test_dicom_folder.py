"""A folder of DICOM: positions along the slice normal, faults by name, nothing read twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.dicom_files import write_ct_slice

from ichlite.data.readers.dicom_folder import list_files, walk
from ichlite.errors import InputError

PIXELS = np.zeros((16, 16), np.int16)


def test_tilted_slices_are_placed_along_their_normal(tmp_path: Path) -> None:
    cos, sin = np.cos(0.3), np.sin(0.3)
    for k in range(3):
        # The gantry moves the table straight along z; the slices lean.
        write_ct_slice(
            tmp_path / f"{k}.dcm",
            PIXELS,
            SOPInstanceUID=f"1.2.{k}",
            ImageOrientationPatient=[1.0, 0.0, 0.0, 0.0, float(cos), float(-sin)],
            ImagePositionPatient=[0.0, 7.0 * k, 10.0 * k],
        )
    found, findings = walk(tmp_path, lambda _done, _total: None)
    heights = [one.position_mm for one in found]
    expected = [round(float(7 * k * sin + 10 * k * cos), 3) for k in range(3)]
    assert heights == pytest.approx(expected, abs=2e-3)
    assert findings == []


def test_faults_have_their_names(tmp_path: Path) -> None:
    write_ct_slice(tmp_path / "good.dcm", PIXELS)
    write_ct_slice(tmp_path / "mr.dcm", PIXELS, Modality="MR")
    short = write_ct_slice(tmp_path / "short.dcm", PIXELS)
    short.write_bytes(short.read_bytes()[:-100])
    write_ct_slice(tmp_path / "odd.dcm", PIXELS, Rows=1)
    write_ct_slice(tmp_path / "lost.dcm", PIXELS, ImagePositionPatient=None)
    (tmp_path / "sub").mkdir()
    write_ct_slice(tmp_path / "sub" / "same.dcm", PIXELS, SOPInstanceUID="1.2.3")
    (tmp_path / "a\tb").write_text("tab")
    seen: list[tuple[int, int]] = []
    found, findings = walk(tmp_path, lambda *done: seen.append(done))
    assert [one.source for one in found] == ["good.dcm", "lost.dcm", "sub/same.dcm"]
    assert {(one.kind, one.item) for one in findings} == {
        ("not_an_image", "mr.dcm"),
        ("short_pixel_data", "short.dcm"),
        ("unreadable_header", "odd.dcm"),
        ("unknown_position", "lost.dcm"),
        ("repeated_position", "1.2.826.0.1.3680043.8.498.1.1"),
        ("unusual_file_name", "a\tb"),
        ("not_an_image", "a\tb"),
    }
    assert seen[-1] == (7, 7)


def test_files_come_in_order_with_sizes(tmp_path: Path) -> None:
    for name in ("b/2", "a", "b/1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert [(name, size) for name, size, _ in list_files(tmp_path)] == [
        ("a", 1), ("b/1", 3), ("b/2", 3),
    ]  # fmt: skip
    with pytest.raises(InputError, match="cannot be listed"):
        list(list_files(tmp_path, "c"))
