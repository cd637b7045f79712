"""Say how the node does, for machines that watch it: alive, ready, and counts for Prometheus.

No label holds a name, a UID or an address of a patient, a study or a sender.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ichlite import __version__
from ichlite.node.studies import status_counts
from ichlite.node.web.access import host_of, may, user_of
from ichlite.node.web.documents import NodeStatus, Ready
from ichlite.node.web.replies import json_reply
from ichlite.node.web.services import Services, services_of

if TYPE_CHECKING:
    from prometheus_client.core import Metric


async def health(request: Request) -> Response:
    """Handle GET /health: answer 200 whenever the process responds."""
    del request
    return PlainTextResponse("ok\n")


async def ready(request: Request) -> Response:
    """Handle GET /ready: return 200 if the node can work, else 503 with the reasons.

    It can if its database is readable, its disk has space beyond the reserve and the thread that
    reads studies is alive.
    """
    services = services_of(request)
    reasons = []
    try:
        await services.read(lambda tables: tables.execute("SELECT 1 FROM study LIMIT 1").fetchone())
    except sqlite3.Error:
        reasons.append("the tables cannot be read")
    if not services.store.has_space():
        reasons.append("the disk is full but for its reserve")
    if not services.working():
        reasons.append("no study is read")
    return json_reply(Ready(ready=not reasons, reasons=tuple(reasons)), 503 if reasons else 200)


async def metrics(request: Request) -> Response:
    """Handle GET /metrics: return Prometheus metrics; other machines must log in."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    services = services_of(request)
    if not _is_at_home(request, services) and not may(await user_of(request), "reader"):
        raise HTTPException(401, "log in", {"WWW-Authenticate": 'Basic realm="ichlite"'})
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    found = await services.read(lambda tables: list(_families(tables, services)))
    registry.register(_Collected(found))
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")


def node_status(tables: sqlite3.Connection, services: Services) -> NodeStatus:
    """Return the state of the node: counts by state, connections and disk space."""
    counts, outbox = status_counts(tables)
    free = os.statvfs(services.store.folder)
    return NodeStatus(
        version=__version__,
        **counts,
        outbox=outbox,
        associations=services.associations(),
        free_bytes=free.f_bavail * free.f_frsize,
        reserve_bytes=services.store.reserve_bytes,
        takes=services.store.has_space(),
        aet=services.settings.dicom.aet,
    )


class _Collected:
    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> list[Metric]:
        return self._found


def _families(tables: sqlite3.Connection, services: Services) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    status = node_status(tables, services)
    studies = GaugeMetricFamily("ichlite_studies", "Studies by state", labels=["state"])
    for state in ("received", "queued", "running", "done", "parked"):
        studies.add_metric([state], getattr(status, state))
    yield studies
    deliveries = GaugeMetricFamily("ichlite_deliveries", "Results to peers", labels=["state"])
    for state, count in status.outbox.items():
        deliveries.add_metric([state], count)
    yield deliveries
    results = GaugeMetricFamily("ichlite_results", "Studies by last result", labels=["result"])
    rows = tables.execute(
        "SELECT CASE WHEN status = 'not_analysed' THEN 'not_analysed' WHEN urgent THEN 'urgent' "
        "WHEN urgent IS NULL THEN 'not_cleared' ELSE 'not_flagged' END, count(*) FROM reading "
        "WHERE state = 'done' AND NOT superseded GROUP BY 1"
    )
    for word, count in rows:
        results.add_metric([word], count)
    yield results
    readings, seconds, last = tables.execute(
        "SELECT count(*), coalesce(sum(finished_at - started_at), 0), "
        "coalesce(max(finished_at), 0) FROM reading WHERE state = 'done'"
    ).fetchone()
    yield CounterMetricFamily("ichlite_readings", "Readings that are kept", value=readings)
    yield CounterMetricFamily("ichlite_reading_seconds", "That they took", value=seconds)
    yield GaugeMetricFamily("ichlite_last_reading_timestamp_seconds", "Of the last", value=last)
    (waiting,) = tables.execute(
        "SELECT coalesce(min(queued_at), 0) FROM reading WHERE state = 'queued'"
    ).fetchone()
    yield GaugeMetricFamily(
        "ichlite_oldest_queued_timestamp_seconds", "0 when nothing waits", value=waiting
    )
    instances, size = tables.execute(
        "SELECT count(*), coalesce(sum(bytes), 0) FROM instance"
    ).fetchone()
    yield GaugeMetricFamily("ichlite_instances", "Instances that are kept", value=instances)
    yield GaugeMetricFamily("ichlite_instance_bytes", "Their size", value=size)
    for name, what, value in (
        ("ichlite_associations", "DICOM associations that are open", status.associations),
        ("ichlite_disk_free_bytes", "Of the store's disk", status.free_bytes),
        ("ichlite_disk_reserve_bytes", "That stay free", status.reserve_bytes),
    ):
        yield GaugeMetricFamily(name, what, value=value)


def _is_at_home(request: Request, services: Services) -> bool:
    """Return whether a request is of this machine; behind a proxy all seem to be."""
    if services.settings.http.behind_https:
        return False
    try:
        return ip_address(host_of(request)).is_loopback
    except ValueError:
        return False
