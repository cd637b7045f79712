"""The API reference shows docstrings as they are written here, and says which section is none."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

griffe = pytest.importorskip("griffe", reason="needs pip install '.[docs]'")

MODULE = '''
def mean(first: int, second: int) -> float:
    """Return the mean.

    Args:
        first, second: Numbers
            of any size.

    Returns:
        Half of their sum (a float): never
        rounded.

    Raises:
        TypeError, ValueError: They are none.

    Source:
        Nobody, Nowhere (1900) 1-2,
        section 3.

    {title}:
        >>> mean(1, 2)
        1.5
    """
    return (first + second) / 2
'''


def sections_of(folder: Path, title: str) -> list[Any]:
    from scripts.api_reference import Docstrings

    (folder / "averages.py").write_text(MODULE.format(title=title))
    module = griffe.load(
        "averages",
        search_paths=[folder],
        extensions=griffe.load_extensions(Docstrings()),
        docstring_parser="google",
        docstring_options={"returns_multiple_items": False},
    )
    return module["mean"].docstring.parsed


def test_sections_are_told_apart(tmp_path: Path) -> None:
    text, arguments, returns, raises, source, examples = sections_of(tmp_path, "Example")
    assert text.value == "Return the mean."
    assert [(one.name, str(one.annotation), one.description) for one in arguments.value] == [
        (name, "int", "Numbers\nof any size.") for name in ("first", "second")
    ]
    [given] = returns.value
    said = (given.name, str(given.annotation), given.description)
    assert said == ("", "float", "Half of their sum (a float): never\nrounded.")
    assert [str(one.annotation) for one in raises.value] == ["TypeError", "ValueError"]
    assert source.value == "**Source:**\n\nNobody, Nowhere (1900) 1-2,\nsection 3."
    assert [content for _, content in examples.value] == [">>> mean(1, 2)\n1.5"]


def test_a_section_that_is_none_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        sections_of(tmp_path, "Example")
        assert caplog.messages == []
        sections_of(tmp_path, "Exmaple")
    assert len(caplog.messages) == 1
    assert "averages.mean: the section Exmaple is none of Args" in caplog.messages[0]
