"""Make text from headers and file names safe to show in any result."""

from __future__ import annotations

from html import escape


def unicode_text(text: str) -> str:
    r"""Return text as valid Unicode; bytes of a file name that are not UTF-8 become `\xe9`.

    Example:
        >>> unicode_text("caf\udce9")
        'caf\\xe9'
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        # A surrogate that stands for no byte; Python makes none of file names, JSON may hold one.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str) -> str:
    r"""Return untrusted text in one line, with blanks in place of control characters.

    A header or file name may hold escape sequences, which a terminal would obey.

    Example:
        >>> printable("head\x1b[2J")
        'head [2J'
    """
    return "".join(c if c.isprintable() else " " for c in unicode_text(text))


def html_text(text: str) -> str:
    r"""Return untrusted text, such as a header value or file name, printable and escaped for HTML.

    Example:
        >>> html_text("1 < 2\x1b")
        '1 &lt; 2 '
    """
    return escape(printable(text))


def unicode_document(value: object) -> object:
    r"""Return a JSON-ready value with every text in it made valid Unicode by `unicode_text`.

    Example:
        >>> unicode_document({"files": ["caf\udce9", 1]})
        {'files': ['caf\\xe9', 1]}
    """
    if isinstance(value, str):
        return unicode_text(value)
    if isinstance(value, dict):
        return {unicode_document(key): unicode_document(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [unicode_document(one) for one in value]
    return value
