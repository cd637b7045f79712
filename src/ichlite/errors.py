"""Define the errors of ichlite: one line each, with what was found, expected, and the remedy.

IchliteError
├── UsageError          wrong words on the command line or in a call (exit code 2)
│   ├── UnknownName     a model, loss or precision that does not exist
│   └── MissingExtra    the command needs an optional dependency group
├── InputError          a file, series or study that cannot be read (exit code 1)
│   ├── UnreadableFile  not DICOM, truncated, damaged, too large
│   ├── NotCT           DICOM, but no CT image (report, MR, RGB screen …)
│   ├── SeriesError     slices that do not form one volume
│   └── HounsfieldError stored values that cannot be turned into HU
├── BundleError         a bundle that is missing, incomplete or changed (exit code 1)
└── StoreError          a prepared store that is missing or inconsistent (exit code 1)
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar


class IchliteError(Exception):
    """A failure that ichlite explains in one line.

    Args:
        what: What went wrong, with the thing's name.
        found: What was there.
        expected: What should have been there.
        remedy: What the reader can do about it.
        code: Short name of the fault for programs, such as `short_pixel_data`.

    Example:
        >>> str(IchliteError("slice 3 has no RescaleSlope", expected="one", remedy="export again"))
        'slice 3 has no RescaleSlope; expected one; export again'
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        found: object | None = None,
        expected: object | None = None,
        remedy: str | None = None,
        code: str | None = None,
    ) -> None:
        self.code = code
        parts = [what]
        if found is not None:
            parts.append(f"found {found}")
        if expected is not None:
            parts.append(f"expected {expected}")
        if remedy is not None:
            parts.append(remedy)
        line = "; ".join(parts)
        super().__init__("".join(c if c.isprintable() else " " for c in line))


class UsageError(IchliteError):
    """The caller asked for something that does not exist or does not fit together."""

    exit_code: ClassVar[int] = 2


class UnknownName(UsageError):
    """A name that is in none of the explicit tables; lists the choices.

    Example:
        >>> str(UnknownName("model", "resnet", ["light_fcn", "sfcn"]))
        'unknown model; found resnet; expected one of light_fcn, sfcn'
    """

    def __init__(self, kind: str, name: str, choices: list[str]) -> None:
        super().__init__(f"unknown {kind}", found=name, expected=f"one of {', '.join(choices)}")


def check_name(kind: str, name: str, choices: Collection[str]) -> None:
    """Check that a name is one of those that exist.

    Args:
        kind: What it names, such as `loss`.
        name: The name.
        choices: All that exist.

    Raises:
        UnknownName: There is none of that name; lists the choices.
    """
    if name not in choices:
        raise UnknownName(kind, name, list(choices))


class MissingExtra(UsageError):
    """A dependency of an optional group is not installed.

    Example:
        >>> str(MissingExtra("train", "keras"))
        "keras is not installed; install the optional packages: ... pip install '.[train]'"
    """

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(
            f"{module} is not installed",
            remedy="install the optional packages: in the clone of ichlite, "
            f"pip install '.[{extra}]'",
        )


class InputError(IchliteError):
    """Input that cannot be read as asked."""


class UnreadableFile(InputError):
    """Not DICOM, truncated, damaged, or larger than a CT image can be."""


class NotCT(InputError):
    """Readable DICOM that is not a CT image in 16-bit greyscale, such as MR or a screenshot."""


class SeriesError(InputError):
    """Slices that do not form one volume."""


class HounsfieldError(InputError):
    """Stored values that cannot be turned into Hounsfield units without guessing."""


class BundleError(IchliteError):
    """A bundle that is missing, incomplete, or whose files changed."""


class StoreError(IchliteError):
    """A prepared store that is missing, incomplete, or inconsistent."""
