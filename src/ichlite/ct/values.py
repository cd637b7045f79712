"""Parse raw element values into typed ones. Absent is None; nonsense raises with its keyword."""

from __future__ import annotations

import math
import re
from contextlib import suppress
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

_ESCAPE = b"\x1b"
_SWITCH = re.compile(rb"(\x1b(?:\$[()]?.|[^$].))", re.DOTALL)
"""Escape sequence of three or four bytes that switches to another character set."""
_DELIMITER = re.compile(rb"[\^=\\]")
"""Caret, equals sign or backslash, after which the first character set holds again."""

_AGE = re.compile(r"([0-9]{1,3}) ?([DWMY]?)", re.IGNORECASE)
_PER_YEAR = {"": 1.0, "D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}


class Values:
    """Typed access, by DICOM keyword, to the header elements of one file.

    Every method returns None where the file does not have the element, unless it says otherwise,
    and raises `UnreadableFile` where the value is malformed.

    Args:
        elements: Header elements from `read_elements`.

    Example:
        >>> values = Values(Elements(values={TAGS["Rows"]: bytes([0, 2]), TAGS["KVP"]: b"120 "}))
        >>> values.whole("Rows"), values.number("KVP"), values.text("PatientID")
        (512, 120.0, None)
    """

    def __init__(self, elements: Elements) -> None:
        self._values = elements.values
        self._big_endian = elements.big_endian

    def text(self, keyword: str) -> str | None:
        """Return an element as text without padding.

        It is decoded by SpecificCharacterSet, where that is stated; else as UTF-8, else Latin-1.
        """
        raw = self._values.get(TAGS[keyword])
        if raw is None:
            return None
        if raw.isascii() and _ESCAPE not in raw:
            text = raw.decode("ascii")
        else:
            declared = self._values.get(TAGS["SpecificCharacterSet"], b"").decode("latin-1")
            text = decoded_text(raw, declared.strip(" \0"))
        return text.strip(" \0\r\n\t") or None

    def required_text(self, keyword: str) -> str:
        """Return a mandatory element as text.

        Raises:
            UnreadableFile: The file does not have the element.
        """
        text = self.text(keyword)
        if text is None:
            raise UnreadableFile(f"no {keyword} in the file")
        return text

    def whole(self, keyword: str) -> int | None:
        """Return an element of 16-bit unsigned integer type (US)."""
        raw = self._values.get(TAGS[keyword])
        if not raw:
            return None
        if len(raw) != 2:
            raise UnreadableFile(
                f"{keyword} has a wrong length", found=f"{len(raw)} bytes", expected=2
            )
        return int.from_bytes(raw, "big" if self._big_endian else "little")

    def required_whole(self, keyword: str) -> int:
        """Return a mandatory element of 16-bit unsigned integer type (US).

        Raises:
            UnreadableFile: The file does not have the element, or it is not two bytes long.
        """
        number = self.whole(keyword)
        if number is None:
            raise UnreadableFile(f"no {keyword} in the file")
        return number

    def long(self, keyword: str) -> int | None:
        """Return an element of 32-bit unsigned integer type (UL)."""
        raw = self._values.get(TAGS[keyword])
        if not raw:
            return None
        if len(raw) != 4:
            raise UnreadableFile(
                f"{keyword} has a wrong length", found=f"{len(raw)} bytes", expected=4
            )
        return int.from_bytes(raw, "big" if self._big_endian else "little")

    def padding(self, *, signed: bool) -> int | None:
        """Return PixelPaddingValue; None where it is missing or not two bytes long.

        Args:
            signed: Whether pixels are signed (PixelRepresentation 1); the value is read likewise,
                whatever its own value representation.
        """
        raw = self._values.get(TAGS["PixelPaddingValue"])
        if not raw or len(raw) != 2:
            return None
        return int.from_bytes(raw, "big" if self._big_endian else "little", signed=signed)

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Return an element of `count` decimal numbers (DS), all finite.

        Args:
            keyword: DICOM keyword of the element.
            count: Number of values that the element must have.

        Raises:
            UnreadableFile: The number of values is another, one is not finite, or a length is
                beyond 100 m.
        """
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
        """Return an element of one finite decimal number (DS)."""
        numbers = self.numbers(keyword, 1)
        return None if numbers is None else numbers[0]

    def age_years(self, keyword: str) -> float | None:
        """Return an age (AS) in years; None where it is missing or malformed.

        A bare number, which some devices write, counts as years: else a child would be read as if
        its age were not known.

        Source:
            DICOM PS3.5 table 6.2-1, AS.

        Example:
            >>> Values(Elements(values={TAGS["PatientAge"]: b"018M"})).age_years("PatientAge")
            1.5
        """
        found = _AGE.fullmatch(self.text(keyword) or "")
        return None if found is None else int(found[1]) / _PER_YEAR[found[2].upper()]

    def integer_text(self, keyword: str) -> int | None:
        """Return an element of one integer written as text (IS)."""
        number = self.number(keyword)
        if number is not None and not (number.is_integer() and abs(number) < 2**31):
            raise UnreadableFile(f"{keyword} is not a whole number", found=number)
        return None if number is None else int(number)


def decoded_text(raw: bytes, character_set: str) -> str:
    r"""Decode a text value (VR LO, PN, SH) by its declared character set, else UTF-8, else Latin-1.

    Args:
        raw: Value of the element.
        character_set: Value of SpecificCharacterSet; empty if it is not stated.

    Source:
        DICOM PS3.5 section 6.1.2.

    Example:
        >>> decoded_text("Ägypten^José".encode(), "ISO_IR 192")
        'Ägypten^José'
        >>> decoded_text(b"Yamada^Tarou=\x1b$B;3ED\x1b(B", "\\\\ISO 2022 IR 87")
        'Yamada^Tarou=山田'
    """
    if character_set:
        with suppress(UnicodeError, LookupError):
            return _by_character_sets(raw, [one.strip() for one in character_set.split("\\")])
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _by_character_sets(raw: bytes, names: list[str]) -> str:
    """Decode by pydicom's tables; its own function warns of what is malformed, and quotes it.

    Raises:
        LookupError: A character set, or the code that switches to one, is unknown.
        UnicodeError: The value cannot be decoded by them.
    """
    from pydicom.charset import CODES_TO_ENCODINGS, handled_encodings, python_encoding

    first = python_encoding[names[0]]
    start, *switched = _SWITCH.split(raw)
    text = start.decode(first)
    for code, part in zip(switched[::2], switched[1::2], strict=True):
        encoding = CODES_TO_ENCODINGS[code]
        if encoding in handled_encodings:  # Python's codec wants the code
            text += (code + part).decode(encoding)
            continue
        ends = _DELIMITER.search(part)
        end = ends.start() if ends else len(part)
        text += part[:end].decode(encoding) + part[end:].decode(first)
    return text


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
