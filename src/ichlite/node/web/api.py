"""Answer programs: the JSON interface."""

from __future__ import annotations

import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from ichlite.node import audit
from ichlite.node.hooks import target_names
from ichlite.node.study_child import DOCUMENT
from ichlite.node.web import study_record
from ichlite.node.web.documents import Done
from ichlite.node.web.metrics import node_status
from ichlite.node.web.pages import find_drift, result_file, uid_of, wanted_of
from ichlite.node.web.replies import json_reply
from ichlite.node.web.services import services_of
from ichlite.node.web.worklist import list_studies


async def status(request: Request) -> Response:
    """Handle GET /api/status: return the node's state as JSON."""
    services = services_of(request)
    return json_reply(await services.read(lambda tables: node_status(tables, services)))


async def studies(request: Request) -> Response:
    """Handle GET /api/studies: return one page of the worklist, 100 studies, as JSON.

    Query parameters are `show`, `sort`, `backwards` and `page`.
    """
    wanted = wanted_of(request)
    return json_reply(await services_of(request).read(lambda tables: list_studies(tables, wanted)))


async def study(request: Request) -> Response:
    """Handle GET /api/studies/UID: return everything known of a study as JSON."""
    services, uid, user = services_of(request), uid_of(request), request.state.user.name
    detail = await services.read(lambda tables: study_record.study_detail(tables, uid))
    if detail is None:
        raise HTTPException(404, "there is no such study")
    await services.write(lambda tables: audit.append(tables, user, "study.viewed", study=uid))
    return json_reply(detail)


async def reading(request: Request) -> Response:
    """Handle GET /api/studies/UID/versions/N/reading: the `read` document."""
    file = result_file(
        services_of(request), uid_of(request), request.path_params["version"], DOCUMENT
    )
    if file is None:
        raise HTTPException(404, "there is no such result")
    return FileResponse(file, media_type="application/json")


async def complete(request: Request) -> Response:
    """Handle POST /api/studies/UID/complete: stop waiting for further instances of a study."""
    uid, user = uid_of(request), request.state.user.name
    return _done(
        await services_of(request).write(lambda tables: study_record.complete(tables, uid, user))
    )


async def retry(request: Request) -> Response:
    """Handle POST /api/studies/UID/retry: read a parked study again."""
    uid, user = uid_of(request), request.state.user.name
    return _done(
        await services_of(request).write(
            lambda tables: study_record.retry(tables, uid, user, time.time())
        )
    )


async def send_again(request: Request) -> Response:
    """Handle POST /api/deliveries/N/retry: queue a delivery that was given up."""
    number, user = request.path_params["number"], request.state.user.name
    targets = target_names(services_of(request).settings)
    return _done(
        await services_of(request).write(
            lambda tables: study_record.send_again(tables, number, user, time.time(), targets)
        )
    )


async def drift(request: Request) -> Response:
    """Handle GET /api/drift: return weekly statistics of each source as JSON."""
    return json_reply(await find_drift(services_of(request)))


async def openapi(request: Request) -> Response:
    """Handle GET /api/openapi.json: return the OpenAPI description of this interface."""
    from ichlite.node.web.openapi import openapi_text

    del request
    return Response(openapi_text(), media_type="application/json")


def _done(found: bool | None) -> Response:
    if found is None:
        raise HTTPException(404, "it is not known")
    return json_reply(Done(done=found))
