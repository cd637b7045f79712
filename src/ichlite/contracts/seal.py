"""The hash that a document carries of its own text, so that a change to it is noticed.

It is the SHA-256 of the text's bytes with the hash's own 64 digits as zeros; anyone can work it out
with `sed` and `sha256sum`. It guards against damage and slips, not against someone who means harm.
"""

from __future__ import annotations

import hashlib

NO_DIGITS = "0" * 64
"""What stands in the place of the hash while it is worked out."""


def seal_of(text: bytes, said: str = NO_DIGITS) -> str:
    """Return the hash that a document should carry.

    Args:
        text: Bytes of the whole document.
        said: Hash that it carries, 64 hexadecimal digits.

    Returns:
        64 hexadecimal digits; equal to `said` where the document is unchanged.

    Example:
        >>> blank = '{"manifest_sha256": "' + NO_DIGITS + '"}'
        >>> text = sealed(blank)
        >>> text == blank.replace(NO_DIGITS, seal_of(blank.encode()))
        True
        >>> seal_of(text.encode(), seal_of(blank.encode())) in text
        True
    """
    return hashlib.sha256(text.replace(said.encode(), NO_DIGITS.encode())).hexdigest()


def sealed(text: str) -> str:
    """Return a document's text with its hash in the place of `NO_DIGITS`.

    Args:
        text: Text that contains `NO_DIGITS` once.
    """
    return text.replace(NO_DIGITS, seal_of(text.encode()))
