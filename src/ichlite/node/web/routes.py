"""List every route once: who may call it, what handles it, what it takes and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from ichlite.contracts.reading import Reading
from ichlite.node.web import api, live, login, metrics, pages, stow, uploads
from ichlite.node.web.access import Role
from ichlite.node.web.documents import (
    Done,
    NodeStatus,
    Ready,
    StudyDetail,
    StudyList,
    UploadAnswer,
)
from ichlite.node.web.drift import Drift

Handler = Callable[[Request], Awaitable[Response]]


class _SmallNumber(IntegerConvertor):
    regex = "[0-9]{1,9}"


register_url_convertor("number", _SmallNumber())


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP method on one path, with its handler and access rules.

    Attributes:
        method, path: HTTP method and path, such as `GET` and `/api/studies/{uid}`.
        handler: Function that handles the request.
        role: Role that the caller must have.
        kind: `page` for people, who are sent to the login; `program` for programs, who get JSON.
        says: Description for the OpenAPI file; None if the route is not listed there.
        form: Whether the body is a form, which must carry a token against request forgery.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    role: Role = "reader"
    kind: Literal["page", "program"] = "page"
    says: Description | None = None
    form: bool = False


@dataclass(frozen=True, slots=True)
class Description:
    """Description of a route for the OpenAPI file.

    Attributes:
        summary: What the route does.
        answers: Document type, or media type, of the answer with each status code.
        statuses: Further status codes, each answered with a `Fault`.
        takes: Media types accepted as body.
        query: Schema of each query parameter, by name.
    """

    summary: str
    answers: Mapping[int, Any]
    statuses: tuple[int, ...] = ()
    takes: tuple[str, ...] = ()
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _form(path: str, handler: Handler, role: Role = "reader") -> Route:
    return Route("POST", path, handler, role, form=True)


def _program(
    method: Literal["GET", "POST"],
    path: str,
    handler: Handler,
    says: Description,
    role: Role = "reader",
) -> Route:
    return Route(method, path, handler, role, "program", says)


_WORKLIST_QUERY: dict[str, dict[str, Any]] = {
    "show": {"type": "string", "enum": ["urgent", "look", "work", "unflagged"]},
    "sort": {
        "type": "string",
        "enum": ["urgency", "patient", "date", "received", "source", "probability", "slices"],
        "default": "urgency",
    },
    "backwards": {"type": "string", "enum": ["0", "1"], "default": "0"},
    "page": {"type": "integer", "minimum": 1, "maximum": 999_999, "default": 1},
}
_STORED = dict.fromkeys((200, 202, 409), "application/dicom+json")
_STOW = Description(
    "Store instances (DICOMweb STOW-RS); a 200 means that each is durable",
    {**_STORED, 400: "application/dicom+json", 413: "application/dicom+json"},
    (406, 415, 507),
    ('multipart/related; type="application/dicom"',),
)

ROUTES: tuple[Route, ...] = (
    Route("GET", "/", pages.worklist),
    Route("GET", "/worklist", pages.worklist),
    Route("GET", "/events", live.events, kind="program"),
    Route("GET", "/studies/{uid}", pages.study),
    Route("GET", "/studies/{uid}/state", pages.study_state, kind="program"),
    Route("GET", "/studies/{uid}/versions/{version:number}/report", pages.report),
    _form("/studies/{uid}/verdict", pages.verdict),
    _form("/studies/{uid}/complete", pages.complete),
    _form("/studies/{uid}/retry", pages.retry),
    Route("GET", "/queue", pages.queue),
    _form("/deliveries/{number:number}/retry", pages.send_again, "admin"),
    Route("GET", "/drift", pages.drift),
    Route("GET", "/verdicts.csv", pages.verdicts_csv, "admin"),
    Route("GET", "/settings", pages.settings, "admin"),
    Route("GET", "/upload", pages.upload_page),
    Route("GET", "/login", login.login_page, "open"),
    Route("POST", "/login", login.login, "open", form=True),
    _form("/logout", login.logout),
    Route("GET", "/static/{name}", pages.static, "open"),
    Route("GET", "/health", metrics.health, "open", "program", Description(
        "Whether the process answers", {200: "text/plain"})),
    Route("GET", "/ready", metrics.ready, "open", "program", Description(
        "Whether the node can do its work, and else why not", {200: Ready, 503: Ready})),
    Route("GET", "/metrics", metrics.metrics, "open", "program", Description(
        "Counts for Prometheus; without login from the node's own machine alone",
        {200: "text/plain"}, (401,))),
    _program("GET", "/api/openapi.json", api.openapi, Description(
        "This description", {200: "application/json"}), "open"),
    _program("GET", "/api/status", api.status, Description(
        "Where the node stands", {200: NodeStatus})),
    _program("GET", "/api/studies", api.studies, Description(
        "The worklist, most urgent first, 100 studies a page", {200: StudyList}, (400,),
        query=_WORKLIST_QUERY)),
    _program("GET", "/api/studies/{uid}", api.study, Description(
        "All that is known of a study", {200: StudyDetail}, (404,))),
    _program(
        "GET", "/api/studies/{uid}/versions/{version:number}/reading", api.reading, Description(
            "The document of a reading, as `ichlite read --json` prints it",
            {200: Reading}, (404,))),
    _program("POST", "/api/studies/{uid}/complete", api.complete, Description(
        "Take a study for complete, without waiting for its quiet time", {200: Done}, (404,))),
    _program("POST", "/api/studies/{uid}/retry", api.retry, Description(
        "Read a parked study again", {200: Done}, (404,))),
    _program("POST", "/api/deliveries/{number:number}/retry", api.send_again, Description(
        "Try again to send what was given up", {200: Done}, (404,)), "admin"),
    _program("GET", "/api/drift", api.drift, Description(
        "What came of each source, week by week", {200: Drift})),
    _program("POST", "/api/uploads", uploads.upload, Description(
        "Take a DICOM file, or a ZIP archive of some", {200: UploadAnswer, 422: UploadAnswer},
        (413, 415, 507), (uploads.DICOM, uploads.ZIP))),
    _program("POST", "/dicomweb/studies", stow.store_instances, _STOW),
    _program("POST", "/dicomweb/studies/{uid}", stow.store_instances, _STOW),
)  # fmt: skip
"""All routes of the node's web server."""
