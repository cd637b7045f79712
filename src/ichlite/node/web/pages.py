"""Show the pages, and do what their forms ask for."""

from __future__ import annotations

import re
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args
from urllib.parse import urlencode

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response

from ichlite.node import audit, studies
from ichlite.node.hooks import hook_names, target_names
from ichlite.node.settings import Settings
from ichlite.node.study_child import DOCUMENT, PAGE
from ichlite.node.web import study_record
from ichlite.node.web.documents import Group, StudyDetail, VerdictWord
from ichlite.node.web.drift import Drift, drift_of
from ichlite.node.web.metrics import node_status
from ichlite.node.web.replies import page
from ichlite.node.web.services import Services, services_of
from ichlite.node.web.worklist import ORDERS, Wanted, find_study, list_studies

STATIC = Path(__file__).with_name("static")
STATIC_FILES = {
    "icon.svg": "image/svg+xml",
    "style.css": "text/css",
    "page.js": "text/javascript",
    "worklist.js": "text/javascript",
    "study.js": "text/javascript",
    "upload.js": "text/javascript",
}
UID = re.compile(r"[0-9.]{1,64}")
REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts"
)
"""Of a reading's page. It was made from files that anybody may have sent, by a process that they
may have taken over: it gets no origin, so no cookie, no request and no word to the page around it.
Its own policy, inside it, lets its one script run and no other."""
_HIDDEN = re.compile(r"secret|password|authorization|token")
_MORE = 300


async def worklist(request: Request) -> Response:
    """Handle GET / (the worklist page) and GET /worklist (its rows only)."""
    services = services_of(request)
    wanted = wanted_of(request)
    found, status = await services.read(
        lambda tables: (list_studies(tables, wanted), node_status(tables, services))
    )
    template = "rows.html" if request.url.path == "/worklist" else "worklist.html"

    def address(**changes: object) -> str:
        asked = {
            "show": wanted.group, "sort": wanted.order, "backwards": wanted.backwards,
            "page": wanted.page,
        } | changes  # fmt: skip
        usual = {"show": None, "sort": "urgency", "backwards": False, "page": 1}
        said = {key: value for key, value in asked.items() if value != usual[key]}
        return "/?" + urlencode({key: int(v) if v is True else v for key, v in said.items()})

    return page(
        request, template, found=found, wanted=wanted, node=status, address=address, title=""
    )


async def study(request: Request) -> Response:
    """Handle GET /studies/UID: show a study with its latest result or the version asked for."""
    services = services_of(request)
    uid = uid_of(request)
    detail = await _detail(services, uid)
    versions = {one.version: one for one in detail.versions}
    asked = request.query_params.get("version", "")
    shown = versions.get(int(asked)) if asked.isdigit() and len(asked) < 6 else None
    if asked and shown is None:
        raise HTTPException(404, "this study has no such version")
    if shown is None:
        shown = versions.get(detail.study.read_version or detail.study.version)
    user = request.state.user.name
    await services.write(
        lambda tables: audit.append(
            tables, user, "study.viewed", study=uid, version=shown.version if shown else None
        )
    )
    mine = next(
        (
            one
            for one in detail.verdicts
            if shown is not None and (one.version, one.reader) == (shown.version, user)
        ),
        None,
    )
    has_report = shown is not None and result_file(services, uid, shown.version, PAGE) is not None
    return page(
        request, "study.html", detail=detail, shown=shown, mine=mine, has_report=has_report,
        title="Study",
    )  # fmt: skip


async def study_state(request: Request) -> Response:
    """Handle GET /studies/UID/state: return state and versions, to detect an outdated page."""
    uid = uid_of(request)
    found = await services_of(request).read(lambda tables: find_study(tables, uid))
    if found is None:
        raise HTTPException(404, "there is no such study")
    return JSONResponse(
        {"state": found.state, "version": found.version, "read": found.read_version or 0}
    )


async def report(request: Request) -> Response:
    """Handle GET /studies/UID/versions/N/report: return the viewer page of a reading, isolated."""
    file = result_file(services_of(request), uid_of(request), request.path_params["version"], PAGE)
    if file is None:
        raise HTTPException(404, "this reading has no page")
    headers = {"Content-Security-Policy": REPORT_POLICY, "X-Frame-Options": "SAMEORIGIN"}
    return FileResponse(file, headers=headers, media_type="text/html")


async def verdict(request: Request) -> Response:
    """Handle POST /studies/UID/verdict: record a reader's opinion of a result."""
    form, uid = request.state.form, uid_of(request)
    word, version = form.get("verdict"), form.get("version", "")
    if word not in get_args(VerdictWord) or not version.isdigit() or len(version) > 6:
        raise HTTPException(400, "a verdict is agree, disagree or unsure, on a version")
    known = await services_of(request).write(
        lambda tables: study_record.give_verdict(
            tables, uid, int(version), request.state.user.name, cast("VerdictWord", word),
            form.get("remark", ""), time.time(),
        )
    )  # fmt: skip
    if not known:
        raise HTTPException(404, "this study has no such result")
    return RedirectResponse(f"/studies/{uid}?version={version}#verdict", 303)


async def complete(request: Request) -> Response:
    """Handle POST /studies/UID/complete: stop waiting for further instances of a study."""
    uid = uid_of(request)
    user = request.state.user.name
    known = await services_of(request).write(
        lambda tables: study_record.complete(tables, uid, user)
    )
    return _back_to_study(uid, known=known is not None)


async def retry(request: Request) -> Response:
    """Handle POST /studies/UID/retry: read a parked study again."""
    uid = uid_of(request)
    user = request.state.user.name
    known = await services_of(request).write(
        lambda tables: study_record.retry(tables, uid, user, time.time())
    )
    return _back_to_study(uid, known=known is not None)


async def send_again(request: Request) -> Response:
    """Handle POST /deliveries/N/retry: queue a delivery that was given up."""
    number, user = request.path_params["number"], request.state.user.name
    targets = target_names(services_of(request).settings)
    known = await services_of(request).write(
        lambda tables: study_record.send_again(tables, number, user, time.time(), targets)
    )
    if known is None:
        raise HTTPException(404, "there is no such delivery")
    return RedirectResponse("/queue", 303)


async def queue(request: Request) -> Response:
    """Handle GET /queue: show readings and deliveries that wait or failed, and the peers."""
    services = services_of(request)

    def look(tables: sqlite3.Connection) -> tuple[Any, ...]:
        return (
            node_status(tables, services),
            study_record.deliveries(tables, "delivery.state = 'dead'", (), _MORE),
            study_record.deliveries(tables, "delivery.state = 'waiting'", (), _MORE),
            tables.execute(
                "SELECT uid, patient_name, patient_id, reading.version, reading.state, queued_at, "
                "priority FROM reading JOIN study ON study.id = study_id WHERE reading.state IN "
                "('queued', 'running') ORDER BY reading.state DESC, priority DESC, queued_at "
                "LIMIT ?",
                (_MORE,),
            ).fetchall(),
            {
                (row["peer"], row["state"]): row["count"]
                for row in tables.execute(
                    "SELECT peer, state, count(*) AS count FROM delivery GROUP BY peer, state"
                )
            },
        )

    status, dead, waiting, readings, counts = await services.read(look)
    return page(
        request, "queue.html", node=status, dead=dead, waiting=waiting, readings=readings,
        counts=counts, peers=services.settings.peer,
        hooks=hook_names(services.settings), title="Queue and peers",
    )  # fmt: skip


async def drift(request: Request) -> Response:
    """Handle GET /drift: show weekly statistics of each source."""
    found = await find_drift(services_of(request))
    return page(request, "drift.html", drift=found, title="Drift")


async def find_drift(services: Services) -> Drift:
    """Return the weekly statistics that the drift page shows."""
    wanted = await services.in_thread(partial(_wanted_level, services.settings))
    return await services.read(lambda tables: drift_of(tables, wanted, time.time()))


async def verdicts_csv(request: Request) -> Response:
    """Handle GET /verdicts.csv: return all readers' verdicts as CSV."""
    from ichlite.node.web.verdict_table import verdict_table

    services, user = services_of(request), request.state.user.name
    text = await services.read(verdict_table)
    await services.write(lambda tables: audit.append(tables, user, "verdicts.exported"))
    headers = {"Content-Disposition": 'attachment; filename="verdicts.csv"'}
    return Response(text, 200, headers, "text/csv; charset=utf-8")


async def settings(request: Request) -> Response:
    """Handle GET /settings: show the node's settings, read-only and without secrets."""
    found = services_of(request).settings
    return page(request, "settings.html", tables=shown_settings(found), title="Settings")


async def upload_page(request: Request) -> Response:
    """Handle GET /upload: show the upload form."""
    return page(request, "upload.html", title="Upload")


async def static(request: Request) -> Response:
    """Handle GET /static/NAME: return one of the page's static files."""
    name = request.path_params["name"]
    if name not in STATIC_FILES:
        raise HTTPException(404, "there is no such file")
    headers = {"Cache-Control": "public, max-age=300"}
    return FileResponse(STATIC / name, headers=headers, media_type=STATIC_FILES[name])


def wanted_of(request: Request) -> Wanted:
    """Return which part of the worklist a request asks for, from its query parameters.

    Raises:
        HTTPException: 400, a parameter has no valid value.
    """
    asked = request.query_params
    group, order, number = asked.get("show"), asked.get("sort", "urgency"), asked.get("page", "1")
    if group is not None and group not in get_args(Group):
        raise HTTPException(400, f"show is one of {', '.join(get_args(Group))}")
    if order not in ORDERS:
        raise HTTPException(400, f"sort is one of {', '.join(ORDERS)}")
    if not (number.isascii() and number.isdigit() and len(number) < 7):
        raise HTTPException(400, "page is a number from 1 on")
    backwards = asked.get("backwards", "0")
    if backwards not in ("0", "1"):
        raise HTTPException(400, "backwards is 0 or 1")
    return Wanted(cast("Group | None", group), order, backwards == "1", max(1, int(number)))


def uid_of(request: Request) -> str:
    """Return the StudyInstanceUID in a request's path.

    Raises:
        HTTPException: 404, the text is no UID.
    """
    uid = str(request.path_params["uid"])
    if not UID.fullmatch(uid):
        raise HTTPException(404, "there is no such study")
    return uid


def result_file(services: Services, uid: str, version: int, name: str) -> Path | None:
    """Return the path of a result file of a reading; None if there is no such file.

    Args:
        services: Services of the node.
        uid: StudyInstanceUID; it is hashed, so that no text from a request becomes part of a path.
        version: Version of the study.
        name: Name of the file: `PAGE` or `DOCUMENT`.
    """
    assert name in (PAGE, DOCUMENT)  # noqa: S101
    file = services.store.results / studies.result_folder(uid, version) / name
    return file if file.is_file() else None


def shown_settings(found: Settings) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the tables of `node.toml` as text for display, with secrets hidden."""
    shown = []
    for name in found.__struct_fields__:
        value = getattr(found, name)
        many = isinstance(value, tuple)
        for record in value if many else (value,):
            if record is None:
                continue
            pairs = [
                (key, "(hidden)" if _HIDDEN.search(key) and one else _as_text(one))
                for key, one in msgspec.structs.asdict(record).items()
            ]
            shown.append((f"[[{name}]]" if many else f"[{name}]", pairs))
    return shown


async def _detail(services: Services, uid: str) -> StudyDetail:
    detail = await services.read(lambda tables: study_record.study_detail(tables, uid))
    if detail is None:
        raise HTTPException(404, "there is no such study")
    return detail


def _back_to_study(uid: str, *, known: bool) -> Response:
    if not known:
        raise HTTPException(404, "there is no such study")
    return RedirectResponse(f"/studies/{uid}", 303)


def _as_text(value: object) -> str:
    if value is None or value == ():
        return "—"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _wanted_level(settings: Settings) -> float | None:
    from ichlite.infer.bundle import load_bundle

    return load_bundle(settings.read.bundle).brain_level_hu
