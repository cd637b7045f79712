"""Parse raw element values into typed ones. Absent is None; nonsense raises with its keyword."""

from __future__ import annotations

import math
import re
from functools import lru_cache

from ichlite.ct.elements import Elements
from ichlite.ct.tags import TAGS
from ichlite.errors import UnreadableFile

_LARGEST_MM = {
    "ImagePositionPatient": 1e5,
    "ImageOrientationPatient": 1e5,
    "PixelSpacing": 1e5,
    "SliceThickness": 1e5,
}
"""No scanner is 100 m long; beyond that, arithmetic on the values could overflow."""

_AGE = re.compile(r"([0-9]{1,3}) ?([DWMY]?)", re.IGNORECASE)
_PER_YEAR = {"": 1.0, "D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}


class Values:
    """Typed access, by DICOM keyword, to what `read_elements` found.

    Args:
        elements: Of one file.

    Example:
        >>> values = Values(Elements(values={TAGS["Rows"]: bytes([0, 2]), TAGS["KVP"]: b"120 "}))
        >>> values.whole("Rows"), values.number("KVP"), values.text("PatientID")
        (512, 120.0, None)
    """

    def __init__(self, elements: Elements) -> None:
        self._values = elements.values
        self._big_endian = elements.big_endian

    def text(self, keyword: str) -> str | None:
        """Return text without padding: UTF-8, else Latin-1; it is only shown or compared."""
        raw = self._values.get(TAGS[keyword])
        if raw is None:
            return None
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
        return text.strip(" \0\r\n\t") or None

    def required_text(self, keyword: str) -> str:
        """Return text that must be there."""
        text = self.text(keyword)
        if text is None:
            raise UnreadableFile(f"no {keyword} in the file")
        return text

    def whole(self, keyword: str) -> int | None:
        """Return a 16-bit unsigned number."""
        raw = self._values.get(TAGS[keyword])
        if not raw:
            return None
        if len(raw) != 2:
            raise UnreadableFile(
                f"{keyword} has a wrong length", found=f"{len(raw)} bytes", expected=2
            )
        return int.from_bytes(raw, "big" if self._big_endian else "little")

    def required_whole(self, keyword: str) -> int:
        """Return a 16-bit unsigned number that must be there."""
        number = self.whole(keyword)
        if number is None:
            raise UnreadableFile(f"no {keyword} in the file")
        return number

    def long(self, keyword: str) -> int | None:
        """Return a 32-bit unsigned number."""
        raw = self._values.get(TAGS[keyword])
        if not raw:
            return None
        if len(raw) != 4:
            raise UnreadableFile(
                f"{keyword} has a wrong length", found=f"{len(raw)} bytes", expected=4
            )
        return int.from_bytes(raw, "big" if self._big_endian else "little")

    def padding(self, *, signed: bool) -> int | None:
        """Return PixelPaddingValue, which has the pixels' sign whatever its own type says."""
        raw = self._values.get(TAGS["PixelPaddingValue"])
        if not raw or len(raw) != 2:
            return None
        return int.from_bytes(raw, "big" if self._big_endian else "little", signed=signed)

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Return exactly `count` decimal numbers, none so large that it makes no sense."""
        text = self.text(keyword)
        if text is None:
            return None
        numbers = _finite_numbers(text)
        if len(numbers) != count:
            raise UnreadableFile(
                f"{keyword} is not {count} number{'s'[: count > 1]}", found=repr(text[:60])
            )
        if keyword in _LARGEST_MM and max(map(abs, numbers)) > _LARGEST_MM[keyword]:
            raise UnreadableFile(
                f"{keyword} makes no sense",
                found=repr(text[:60]),
                expected=f"at most {_LARGEST_MM[keyword]:.0f}",
            )
        return numbers

    def number(self, keyword: str) -> float | None:
        """Return one finite decimal number."""
        numbers = self.numbers(keyword, 1)
        return None if numbers is None else numbers[0]

    def age_years(self, keyword: str) -> float | None:
        """Return an age in years; None for what is no age: a slice is not lost over it.

        A bare number, which some devices write, counts as years: else a child would be read as if
        its age were not said.

        Source:
            DICOM PS3.5 table 6.2-1, AS.

        Example:
            >>> Values(Elements(values={TAGS["PatientAge"]: b"018M"})).age_years("PatientAge")
            1.5
        """
        found = _AGE.fullmatch(self.text(keyword) or "")
        return None if found is None else int(found[1]) / _PER_YEAR[found[2].upper()]

    def integer_text(self, keyword: str) -> int | None:
        """Return one whole number that is written as text."""
        number = self.number(keyword)
        if number is not None and not (number.is_integer() and abs(number) < 2**31):
            raise UnreadableFile(f"{keyword} is not a whole number", found=number)
        return None if number is None else int(number)


@lru_cache(maxsize=256)
def _finite_numbers(text: str) -> tuple[float, ...]:
    """Return the numbers between backslashes; none of them where one is no finite number.

    Kept for a while: most are the same in all files of a series.
    """
    try:
        numbers = tuple(map(float, text.split("\\")))
    except ValueError:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()
