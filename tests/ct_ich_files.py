"""Label tables and pictures of CT-ICH, small enough for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEADER = (
    "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,"
    "No_Hemorrhage,Fracture_Yes_No"
)


def line(patient: object, number: object, *positive: str, clean: int | None = None) -> str:
    """A line of the table; `clean` is No_Hemorrhage, by default what the subtypes say."""
    bleeds = [int(name in positive) for name in HEADER.split(",")[2:7]]
    clean = int(not any(bleeds)) if clean is None else clean
    return ",".join(map(str, [patient, number, *bleeds, clean, 0]))


def write_table(table: Path, *lines: str, mark: str = "\ufeff") -> Path:
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_bytes((mark + "\r\n".join([HEADER, *lines, ""])).encode())
    return table


def head_grey(side: int = 128, brain: int = 119, rows: int | None = None) -> NDArray[np.uint8]:
    """A picture of a head in the window: black around, a white ring, grey inside."""
    rows = side if rows is None else rows
    row, column = np.ogrid[:rows, :side]
    radius = np.hypot(row - (rows - 1) / 2, column - (side - 1) / 2) / min(rows, side)
    return np.select([radius < 0.3, radius < 0.4], [brain, 255], 0).astype(np.uint8)


def write_picture(path: Path, grey: NDArray[np.uint8], mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).convert(mode).save(path, quality=90)
    return path
