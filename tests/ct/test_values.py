"""Text values in the character sets of DICOM: as pydicom decodes them, and never a warning."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import convert_encodings, decode_bytes, python_encoding

from ichlite.ct.values import decoded_text


@pytest.mark.parametrize(
    ("raw", "character_set"),
    [
        (b"Buc^J\xe9r\xf4me", "ISO_IR 100"),
        (b"\xc4\xdc\xc3\xdf\xd8\xdb^\xd7\xe6\xe1", "ISO_IR 13"),
        ("Люкceмбypг".encode("iso8859_5"), "ISO_IR 144"),  # noqa: RUF001
        (b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", r"\ISO 2022 IR 87"),
        (b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", r"\ISO 2022 IR 149"),
        ("王^小东".encode("gb18030"), "GB18030"),
        ("Wang^小东".encode(), "ISO_IR 192"),
    ],
)
def test_names_are_decoded_as_pydicom_decodes_them(raw, character_set):
    names = character_set.split("\\")
    expected = decode_bytes(raw, convert_encodings(names), {0x5C, 0x5E, 0x3D})
    assert decoded_text(raw, character_set) == expected


@given(st.binary(max_size=40), st.sampled_from([*python_encoding, "nonsense", r"\ISO 2022 IR 87"]))
def test_any_bytes_are_text_without_a_warning(raw, character_set):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(decoded_text(raw + b"\x1b$B", character_set), str)
