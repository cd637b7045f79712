"""The reader of multipart bodies: the same parts wherever the network cuts, and bounds."""

import re
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ichlite.node.web.multipart import Malformed, PartTooLarge, parse_related, read_parts

BOUNDARY = b"x-1"
PARTS = st.lists(
    st.binary(max_size=60) | st.sampled_from([b"\r\n--x-", b"\r\n--", b"--x-1", b"\r\n\r\n", b"\r"])
)


def body_of(parts, preamble=b"", epilogue=b""):
    text = preamble
    for part in parts:
        text += b"\r\n--x-1\r\nContent-Type: application/dicom\r\n\r\n" + part
    return (text + b"\r\n--x-1--" + epilogue).removeprefix(b"\r\n")


def parts_of(pieces, most_parts=99, most_part_bytes=999):
    return [
        (part.content_type, b"".join(part.body))
        for part in read_parts(
            pieces, BOUNDARY, most_parts=most_parts, most_part_bytes=most_part_bytes
        )
    ]


@given(PARTS.filter(bool), st.lists(st.integers(0, 400)), st.sampled_from([b"", b"\r\nhello"]))
def test_parts_are_the_same_wherever_the_network_cuts(parts, cuts, epilogue):
    body = body_of(parts, epilogue=epilogue)
    places = [0, *sorted({min(cut, len(body)) for cut in cuts}), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]
    expected = [("application/dicom", part) for part in parts]
    if any(b"\r\n--x-1" in b"\r\n" + part for part in parts):
        return  # this boundary could not have been chosen for them
    assert parts_of(pieces) == expected


def test_every_single_cut_and_every_byte_alone():
    parts = [b"DICM" * 9, b"\r\n--x-\r\n", b""]
    body = body_of(parts, preamble=b"hello")
    expected = [("application/dicom", part) for part in parts]
    for at in range(len(body)):
        assert parts_of([body[:at], body[at:]]) == expected
    assert parts_of([bytes([byte]) for byte in body]) == expected


def test_what_ends_too_early_is_refused_at_every_byte():
    body = body_of([b"hello", b"you"])
    for end in range(len(body)):
        with pytest.raises(Malformed):
            parts_of([body[:end]])


@given(st.binary(max_size=300) | st.binary(max_size=80).map(lambda b: body_of([b])[: 10 + len(b)]))
@example(b"--x-1--")
@example(b"--x-1\r\n")
def test_whatever_comes_is_read_or_refused(body):
    with suppress(Malformed, PartTooLarge):
        parts_of([body])


def test_a_part_that_is_not_read_is_passed_over():
    found = read_parts([body_of([b"one", b"two"])], BOUNDARY, most_parts=9, most_part_bytes=9)
    assert [part.content_type for part in found] == ["application/dicom"] * 2


def test_bounds():
    with pytest.raises(PartTooLarge):
        parts_of([body_of([b"x" * 1000])])
    with pytest.raises(Malformed, match="more than 2 parts"):
        parts_of([body_of([b"", b"", b""])], most_parts=2)
    endless = iter(lambda: b"x" * 1000, None)
    with pytest.raises(Malformed, match="boundary"):
        parts_of(endless)
    headers = iter([b"--x-1\r\n", *[b"a: b\r\n"] * 100_000])
    with pytest.raises(Malformed, match="headers"):
        parts_of(headers)
    assert next(headers) is not None  # it has not read on
    line = iter([b"--x-1", *[b" " * 100] * 1000])
    with pytest.raises(Malformed, match="line"):
        parts_of(line)


@given(st.text(max_size=80))
def test_only_a_boundary_of_the_standard_is_taken(text):
    found = parse_related(f'multipart/related; type="application/dicom"; boundary="{text}"')
    if found is not None:
        assert re.fullmatch(rb"[0-9A-Za-z'()+_,./:=? -]{1,70}", found.boundary)
    assert parse_related("multipart/form-data; boundary=x") is None
    assert parse_related("multipart/related; boundary=" + "x" * 71) is None
