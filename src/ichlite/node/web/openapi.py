"""Make the OpenAPI file of the table of routes and the types of documents."""

from __future__ import annotations

import json
import re
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec

from ichlite import __version__
from ichlite.node.web.documents import Fault
from ichlite.node.web.routes import ROUTES, Description, Route

_PARAMETERS: dict[str, dict[str, Any]] = {
    "uid": {"type": "string", "pattern": "^[0-9.]{1,64}$", "example": "1.2.840.113619.2.1"},
    "version": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    "number": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
}
_PREFIX = "#/components/schemas/{name}"


@cache
def openapi_text() -> str:
    """Return the OpenAPI description of the JSON interface as JSON text."""
    return json.dumps(openapi_document(), indent=1)


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of the JSON interface as a dict."""
    described = [route for route in ROUTES if route.says is not None]
    kinds = [Fault]
    for route in described:
        assert route.says is not None  # noqa: S101
        kinds += [one for one in route.says.answers.values() if not isinstance(one, str)]
    unique = list(dict.fromkeys(kinds))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_PREFIX)
    refs = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        assert route.says is not None  # noqa: S101
        path = re.sub(r":\w+}", "}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, route.says, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ichlite node",
            "version": __version__,
            "description": "Research use only. Not a medical device.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": json.loads(json.dumps(components)),
            "securitySchemes": {
                "password": {"type": "http", "scheme": "basic"},
                "session": {"type": "apiKey", "in": "cookie", "name": "ichlite"},
            },
        },
    }


def _operation(route: Route, says: Description, refs: dict[Any, Any]) -> dict[str, Any]:
    guarded = route.role != "open"
    found: dict[str, Any] = {
        "summary": says.summary,
        "operationId": route.handler.__name__ + ("_of_study" if "{uid}" in route.path else ""),
        "responses": {
            str(status): _response(status, kind, refs) for status, kind in says.answers.items()
        },
        "security": [{"password": []}, {"session": []}] if guarded else [],
    }
    failures = set(says.statuses)
    if guarded:
        failures |= {401, 429} | (
            {403} if route.role == "admin" or route.method == "POST" else set()
        )
    if route.method == "POST":
        failures |= {415}
    for status in sorted(failures - set(says.answers)):
        found["responses"][str(status)] = _response(status, Fault, refs)
    names = re.findall(r"{(\w+)", route.path)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _PARAMETERS[name]}
        for name in names
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in says.query.items()
    ]
    if parameters:
        found["parameters"] = parameters
    if says.takes:
        binary = {"schema": {"type": "string", "format": "binary"}}
        found["requestBody"] = {"required": True, "content": dict.fromkeys(says.takes, binary)}
    return found


def _response(status: int, kind: Any, refs: dict[Any, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if isinstance(kind, str):
        is_json = kind.endswith("json")
        content = {kind: {"schema": {"type": "object"} if is_json else {"type": "string"}}}
    else:
        content = {"application/json": {"schema": refs[kind]}}
    return {"description": HTTPStatus(status).phrase, "content": content}
