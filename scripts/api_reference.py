"""Make the API reference for mkdocs: the pages under `api/` in its navigation, a package each.

mkdocs.yml names this file twice: as a hook, which adds the pages, and as an extension of Griffe,
which reads the docstrings.
"""

from __future__ import annotations

import re
from inspect import cleandoc
from pathlib import Path
from textwrap import dedent
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from ichlite.train.recipe import Recipe

SOURCE = Path(__file__).resolve().parents[1] / "src"
LEFT_OUT = {"ichlite.commands", "ichlite.node"}
"""Packages that nobody imports: the command line, and what is not built yet."""
EXPORTING = ("ichlite", "ichlite.train", "ichlite.train.losses")
"""Packages whose page shows what they export; that of any other shows its modules."""
EXPORTS = """\
    options:
      filters: public
      show_submodules: false
      summary: {attributes: true, classes: true, functions: true}
"""
SECTIONS = ("Args", "Attributes", "Example", "Raises", "Returns", "Source", "Yields")
logger = griffe.get_logger(__name__)


def on_files(files: Files, *, config: MkDocsConfig) -> None:
    """Add the pages that the navigation names.

    Raises:
        PluginError: A package has none.
    """
    named = re.findall(r"api/([\w.]+)\.md", str(config.nav))
    packages = {
        ".".join(init.relative_to(SOURCE).parts[:-1]) for init in SOURCE.glob("*/*/__init__.py")
    }
    missing = packages - {*named} - LEFT_OUT
    if missing:
        raise PluginError(f"the navigation of mkdocs.yml has no api/{missing.pop()}.md")
    for name in named:
        content = f"::: {name}\n{EXPORTS if name in EXPORTING else ''}"
        files.append(File.generated(config, f"api/{name}.md", content=content))


class Docstrings(griffe.Extension):
    """Read docstrings as ichlite writes them."""

    def on_alias(self, *, alias: griffe.Alias, **_: Any) -> None:
        """Hide an import where the module that it is from is shown."""
        alias.public = alias.parent.path in EXPORTING and alias.name in alias.parent.exports

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Show the default of a recipe's option, not the call that holds it and more."""
        if isinstance(attr.value, griffe.ExprCall) and str(attr.value.function) == "_option":
            attr.value = attr.value.arguments[0]

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite a docstring for Griffe, and warn of a section that is none: it would be prose."""
        if obj.docstring is None:
            return
        text = obj.docstring.value
        if obj.path == "ichlite.train.recipe.Recipe":
            text = cleandoc(str(Recipe.__doc__))  # made of its options
        for title in re.findall(r"^(\w+):\n +\S", text, flags=re.MULTILINE):
            if title not in SECTIONS:
                logger.warning(f"{obj.path}: the section {title} is none of {', '.join(SECTIONS)}")
        for pattern, replacement in REWRITTEN:
            text = pattern.sub(replacement, text)
        obj.docstring.value = text


def _source(found: re.Match[str]) -> str:
    return f"**Source:**\n\n{dedent(found[1])}"


def _each(found: re.Match[str]) -> str:
    return "\n".join(f"    {name}:{found[2]}" for name in found[1].split(", "))


REWRITTEN = (
    (re.compile(r"^Example:$", re.MULTILINE), "Examples:"),
    (re.compile(r"^Source:\n((?: +.*\n?)+)", re.MULTILINE), _source),
    # What is returned has no name, whatever stands before a colon in its text.
    (re.compile(r"^(Returns|Yields):\n +", re.MULTILINE), r"\1:\n    : "),
    # Two and more arguments, attributes or errors of one description.
    (re.compile(r"^ {4}(\w+(?:, \w+)+):( .*(?:\n {5,}.*)*)$", re.MULTILINE), _each),
)
