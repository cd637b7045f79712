"""RSNA 2019's label file in, six 0/1 labels an image out.

`stage_2_train.csv` has one line for each image and class, `ID_<image>_<class>,<0 or 1>`; some
lines stand there twice.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from ichlite.errors import InputError
from ichlite.labels import ANY, NAMES

CLASSES: tuple[str, ...] = (ANY, *NAMES)
HEADER = ["ID", "Label"]


@dataclass(frozen=True, slots=True)
class RsnaLabels:
    """Labels of one file.

    Attributes:
        labels: Image, such as `ID_000259ccf`, → labels in the order of `CLASSES`.
        duplicates: Lines that repeat an earlier one.
        conflicts: Images with two different labels for one class, or without one, dropped.
    """

    labels: dict[str, tuple[int, ...]]
    duplicates: int
    conflicts: tuple[str, ...]


def read_labels(path: Path) -> RsnaLabels:
    """Label file (.csv, .csv.gz) → labels by image; repeats dropped, contradictions reported.

    Args:
        path: `stage_2_train.csv`, or one in its layout.

    Returns:
        The labels.

    Raises:
        InputError: No such file, another header, an unknown class or a label that is not 0 or 1.
    """
    values: dict[str, dict[str, int]] = {}
    bad: set[str] = set()
    duplicates = 0
    try:
        with _open(path) as file:
            lines = csv.reader(file)
            header = next(lines, None)
            if header != HEADER:
                raise InputError(
                    f"{path.name} is no RSNA label file", found=header, expected=HEADER
                )
            for number, line in enumerate(lines, start=2):
                image, name, label = _parse(line, path, number)
                classes = values.setdefault(image, {})
                if name in classes:
                    duplicates += 1
                    if classes[name] != label:
                        bad.add(image)
                classes[name] = label
    except (OSError, UnicodeDecodeError, csv.Error) as failure:
        raise InputError(f"{path.name} cannot be read", found=failure) from failure
    bad |= {image for image, classes in values.items() if len(classes) < len(CLASSES)}
    return RsnaLabels(
        labels={
            image: tuple(classes[name] for name in CLASSES)
            for image, classes in values.items()
            if image not in bad
        },
        duplicates=duplicates,
        conflicts=tuple(sorted(bad)),
    )


def _open(path: Path) -> TextIO:
    """Label file, plain or gzipped → its text."""
    if path.suffix == ".gz":
        return cast("TextIO", gzip.open(path, "rt", newline=""))
    return path.open(newline="")


def _parse(line: list[str], path: Path, number: int) -> tuple[str, str, int]:
    """`["ID_000259ccf_any", "0"]` → ("ID_000259ccf", "any", 0)."""
    image, _, name = (line[0] if len(line) == len(HEADER) else "").rpartition("_")
    if not image or name not in CLASSES or line[1] not in {"0", "1"}:
        raise InputError(
            f"{path.name} line {number} is no RSNA label",
            found=",".join(line),
            expected=f"ID_<image>_<one of {', '.join(CLASSES)}>,<0 or 1>",
        )
    return image, name, int(line[1])
