"""Multipart bodies: the same parts however they are cut; what is none, or too large, is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichlite.node.web.multipart import Malformed, PartTooLarge, parse_related, read_parts

_LIMITS = {"most_parts": 9, "most_part_bytes": 1000}


def _body(parts: list[bytes], boundary: bytes = b"x1") -> bytes:
    opened = (
        b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % (boundary, p) for p in parts
    )
    return b"".join(opened) + b"--%s--\r\n" % boundary


def _read(pieces: list[bytes], boundary: bytes = b"x1") -> list[tuple[str, bytes]]:
    found = read_parts(pieces, boundary, **_LIMITS)
    return [(part.content_type, b"".join(part.body)) for part in found]


def test_cut_at_every_byte_the_parts_are_the_same():
    parts = [b"DICM\r\n--x", b"", b"\r\n--x2\r\n\r\n", b"-" * 40]
    whole = _body(parts)
    expected = [("application/dicom", part) for part in parts]
    for at in range(len(whole) + 1):
        assert _read([whole[:at], whole[at:]]) == expected
    assert _read([whole[at : at + 1] for at in range(len(whole))]) == expected


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5), st.data())
def test_any_bytes_come_through(parts, data):
    parts = [part.replace(b"--x1", b"") for part in parts]
    whole = _body(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert [body for _, body in _read(pieces)] == parts


@given(st.binary(max_size=300))
def test_nonsense_is_refused_and_nothing_else_happens(body):
    with pytest.raises((Malformed, PartTooLarge)):
        _read([body.replace(b"x1", b"y1")])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x1--",
        _body([b"a"])[:-9],
        _body([b"a"] * 10),
        b"--x1 and more\r\n\r\na\r\n--x1--",
        b"--x1\r\nno colon\r\n\r\na\r\n--x1--",
        b"--x1\r\nA: " + b"b" * 9000 + b"\r\n\r\na\r\n--x1--",
        b"c" * 9000 + b"--x1\r\n\r\na\r\n--x1--",
    ],
)
def test_what_is_no_body_or_beyond_a_bound_is_malformed(body):
    with pytest.raises(Malformed):
        _read([body])


def test_a_part_beyond_its_bound_is_cut_off_before_it_ends():
    def endless():
        yield b"--x1\r\n\r\n"
        while True:
            yield b"a" * 64

    with pytest.raises(PartTooLarge):
        _read(endless())


@pytest.mark.parametrize(
    "said",
    [
        *("", "multipart/related", "multipart/form-data; boundary=x"),
        *(f"multipart/related; boundary={boundary}" for boundary in ("", "b" * 71, "a<b")),
    ],
)
def test_what_announces_no_parts_is_not_read(said):
    assert parse_related(said) is None
