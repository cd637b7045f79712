"""Name the sample studies that come with ichlite, with their folders and origins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "assets" / "samples"


@dataclass(frozen=True, slots=True)
class Sample:
    """Study that may be shipped and shown.

    Attributes:
        name: Short name, as its folder.
        folder: Where its DICOM files are; a licence of them lies beside it.
        origin: What it is, in one line.
    """

    name: str
    folder: Path
    origin: str

    @property
    def files(self) -> tuple[Path, ...]:
        """Return its DICOM files, by name."""
        return tuple(sorted(self.folder.glob("*.dcm")))


GE_HEAD = Sample(
    "ge-head",
    _FOLDER / "ge-head",
    "a real head CT, 28 slices, GE scanner, tilted gantry; BSD-2-Clause",
)
PHANTOM_BLEED = Sample(
    "phantom-bleed",
    _FOLDER / "phantom-bleed",
    "a synthetic head CT with a bleed, made by `ichlite phantom`",
)
SAMPLES: tuple[Sample, ...] = (GE_HEAD, PHANTOM_BLEED)
