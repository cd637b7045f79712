"""Read multipart/related piece by piece: what it holds in memory has a bound, whatever comes.

Source:
    RFC 2046 section 5.1, RFC 2387; DICOM PS3.18 section 8.6.1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import Message

BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
PREAMBLE_BYTES = 8_192
HEADER_BYTES = 8_192
_LINE_BYTES = 256


class Malformed(ValueError):
    """Error: a body is not valid multipart/related, or exceeds a limit."""


class PartTooLarge(ValueError):
    """Error: a part of a multipart body is longer than is accepted."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart/related body.

    Attributes:
        content_type: Media type of the part in lower case, without parameters; empty if absent.
        body: Bytes of the part, to be read before the next part is asked for.
    """

    content_type: str
    body: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Related:
    """Parameters of a multipart/related Content-Type.

    Attributes:
        boundary: Boundary between parts.
        kind: Media type of the parts (`type`).
    """

    boundary: bytes
    kind: str


def parse_related(content_type: str) -> Related | None:
    """Parse a multipart/related Content-Type; return None for any other or without a boundary.

    Args:
        content_type: Value of the header.

    Example:
        >>> parse_related('multipart/related; type="application/dicom"; boundary=x1')
        Related(boundary=b'x1', kind='application/dicom')
    """
    if len(content_type) > 1024:
        return None
    message = Message()
    message["Content-Type"] = content_type
    boundary, kind = message.get_param("boundary"), message.get_param("type", "")
    if message.get_content_type() != "multipart/related" or not isinstance(boundary, str):
        return None
    if BOUNDARY.fullmatch(boundary) is None or not isinstance(kind, str):
        return None
    return Related(boundary.encode("ascii"), kind.lower())


def read_parts(
    pieces: Iterable[bytes], boundary: bytes, *, most_parts: int, most_part_bytes: int
) -> Iterator[Part]:
    r"""Yield the parts of a body, in order; what of a part was not read is passed over.

    Args:
        pieces: The body, cut anywhere.
        boundary: Of its Content-Type.
        most_parts: Largest number of parts.
        most_part_bytes: Largest length of a part.

    Raises:
        Malformed: It is no multipart body, ends too early, or has too many parts.
        PartTooLarge: A part is longer than is taken.

    Example:
        >>> body = b"--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x--"
        >>> for part in read_parts([body], b"x", most_parts=9, most_part_bytes=99):
        ...     print(part.content_type, b"".join(part.body))
        text/plain b'hello'
    """
    buffer = _Buffer(pieces)
    delimiter = b"\r\n--" + boundary
    buffer.skip_past(delimiter, PREAMBLE_BYTES)
    count = 0
    while not buffer.ends_here():
        count += 1
        if count > most_parts:
            raise Malformed(f"more than {most_parts} parts")
        body = buffer.body(delimiter, most_part_bytes)
        yield Part(_content_type(buffer.headers()), body)
        for _ in body:
            pass
    if count == 0:
        raise Malformed("no part")
    # What follows the last boundary means nothing; its length has the bound of the whole body.
    buffer.drain()


class _Buffer:
    """What came of a body and was not yet looked at."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        # The first boundary may stand at the very start, where no line break is before it.
        self._held = bytearray(b"\r\n")

    def skip_past(self, mark: bytes, most: int) -> None:
        while (at := self._held.find(mark)) < 0:
            if len(self._held) > most:
                raise Malformed("no boundary where the body begins")
            self._more()
        del self._held[: at + len(mark)]

    def ends_here(self) -> bool:
        """Read the rest of a boundary's line; return whether it is the last one."""
        while len(self._held) < 2:
            self._more()
        if self._held.startswith(b"--"):
            return True
        line = self._until(b"\r\n", _LINE_BYTES, "a boundary's line")
        if line.strip(b" \t"):
            raise Malformed("a boundary's line goes on")
        return False

    def headers(self) -> bytes:
        while len(self._held) < 2:
            self._more()
        if self._held.startswith(b"\r\n"):
            del self._held[:2]
            return b""
        return self._until(b"\r\n\r\n", HEADER_BYTES, "the headers of a part")

    def body(self, delimiter: bytes, most: int) -> Iterator[bytes]:
        """Yield bytes up to the next boundary, and pass over that."""
        left = most
        while True:
            at = self._held.find(delimiter)
            # The start of a boundary may be all that came of it yet.
            sure = at if at >= 0 else max(0, len(self._held) - len(delimiter) + 1)
            left -= sure
            if left < 0:
                raise PartTooLarge(f"a part of more than {most} bytes")
            if sure:
                piece = bytes(self._held[:sure])
                del self._held[:sure]
                yield piece
            if at >= 0:
                del self._held[: len(delimiter)]
                return
            self._more()

    def drain(self) -> None:
        self._held.clear()
        for _ in self._pieces:
            pass

    def _until(self, mark: bytes, most: int, what: str) -> bytes:
        while (at := self._held.find(mark)) < 0:
            if len(self._held) > most:
                raise Malformed(f"{what}: more than {most} bytes")
            self._more()
        if at > most:
            raise Malformed(f"{what}: more than {most} bytes")
        found = bytes(self._held[:at])
        del self._held[: at + len(mark)]
        return found

    def _more(self) -> None:
        piece = next(self._pieces, None)
        if piece is None:
            raise Malformed("the body ends before its last boundary")
        self._held += piece


def _content_type(headers: bytes) -> str:
    for line in filter(None, headers.split(b"\r\n")):
        name, colon, value = line.partition(b":")
        if not colon:
            raise Malformed("a header without a colon")
        if name.strip().lower() == b"content-type":
            return value.partition(b";")[0].strip().lower().decode("latin-1")
    return ""
