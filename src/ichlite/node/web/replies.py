"""Make answers: JSON documents, pages from templates, and files."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from ichlite import __version__
from ichlite.contracts.codec import Document
from ichlite.node.web import words
from ichlite.node.web.documents import moment

TEMPLATES = Path(__file__).with_name("templates")


def json_reply(document: Document, status: int = 200) -> Response:
    """Return a document as a JSON response."""
    return Response(msgspec.json.encode(document), status, media_type="application/json")


def error_reply(status: int, why: str, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response that says why a request was refused.

    Args:
        status: HTTP status code.
        why: Reason in words.
        headers: Further headers of the response.
    """
    return Response(json.dumps({"error": why}), status, headers, "application/json")


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Render a template as an HTML response; all values are escaped.

    Args:
        request: Request that is answered, for the user and the current path.
        template: File name of the template.
        status: HTTP status code.
        values: Variables of the template.
    """
    user = getattr(request.state, "user", None)
    text = (
        environment()
        .get_template(template)
        .render(user=user, here=request.url.path, version=__version__, **values)
    )
    return Response(text, status, media_type="text/html; charset=utf-8")


@cache
def environment() -> Environment:
    """Return the Jinja environment that renders the page templates."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    made.globals.update(words=words, moment=moment)
    made.filters.update(
        date=words.shown_date,
        name=words.shown_name,
        bytes=words.shown_bytes,
    )
    return made
