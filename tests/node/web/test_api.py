"""The JSON interface: its description is true, odd requests get no 5xx, machines can watch."""

import json
import time
import warnings

import pytest
from tests.node.web.site import PASSWORDS

from ichlite.contracts.codec import read_document
from ichlite.node.web.documents import NodeStatus, StudyDetail, StudyList
from ichlite.node.web.drift import Drift
from ichlite.node.web.openapi import openapi_document
from ichlite.node.web.routes import ROUTES

CANARY = "Canary^Marked^7f3a"


def test_every_route_of_programs_is_described_and_the_file_is_served(site):
    described = {
        (method.upper(), path)
        for path, methods in openapi_document()["paths"].items()
        for method in methods
    }
    wanted = {
        (route.method, route.path.replace(":number", ""))
        for route in ROUTES
        if route.path.startswith(("/api", "/dicomweb", "/health", "/ready", "/metrics"))
    }
    assert described == wanted
    served = site.ask("GET", "/api/openapi.json")
    assert served.json == json.loads(json.dumps(openapi_document()))
    names = [one["operationId"] for path in served.json["paths"].values() for one in path.values()]
    assert len(names) == len(set(names))


def test_answers_are_the_documents_that_are_described(site, slices):
    (file,) = slices(count=1)
    uid = site.services.intake.take([file], "CT1").header.study_uid
    site.read(uid)
    for path, kind in (
        ("/api/status", NodeStatus), ("/api/studies", StudyList),
        (f"/api/studies/{uid}", StudyDetail), ("/api/drift", Drift),
    ):  # fmt: skip
        read_document(kind, site.ask("GET", path, user="eva").body)


def test_errors_of_programs_are_json_and_of_people_pages(site):
    assert site.ask("GET", "/api/studies/9", user="eva").json["error"]
    assert site.ask("GET", "/api/nothing", user="eva").status == 404
    html = {"Accept": "text/html"}
    page = site.ask("GET", "/studies/9", headers=html, user="eva")
    assert (page.status, "Not possible" in page.text) == (404, True)
    assert site.ask("DELETE", "/api/status", user="eva").status == 405
    assert site.ask("HEAD", "/", user="eva").status == 200


def test_health_ready_and_metrics(site, slices):
    (file,) = slices(count=1)
    uid = site.services.intake.take([file], "CT1").header.study_uid
    site.read(uid)
    assert site.ask("GET", "/health").text == "ok\n"
    assert site.ask("GET", "/ready").json == {"ready": True, "reasons": []}
    text = site.ask("GET", "/metrics").text
    for line in (
        'ichlite_studies{state="done"} 1.0', 'ichlite_results{result="urgent"} 1.0',
        "ichlite_instances 1.0", "ichlite_readings_total 1.0", "ichlite_disk_reserve_bytes 2e+09",
        "process_resident_memory_bytes ",
    ):  # fmt: skip
        assert line in text, text


def test_what_marks_a_patient_is_in_no_log_no_metric_and_no_error(site, slices, capfd, monkeypatch):
    (file,) = slices(count=1, PatientName=CANARY, PatientID="Canary-7f3a")
    body = file[:200] + file[200:].replace(
        b"1.2.840.10008.5.1.4.1.1.2", b"Canary-7f3a" + b"\0" * 14
    )
    answers = [
        site.ask("POST", "/api/uploads", body, user="eva", kind="application/dicom"),
        site.ask("POST", "/api/uploads", file, user="eva", kind="application/dicom"),
        site.ask("GET", "/metrics"),
    ]
    uid = answers[1].json["studies"][0]
    html = {"Accept": "text/html"}
    answers.append(site.ask("GET", f"/studies/{uid}?version=9", headers=html, user="eva"))
    from ichlite.node.web import study_record

    def fail(*_):
        raise RuntimeError(f"{CANARY} cannot be shown")

    monkeypatch.setattr(study_record, "study_detail", fail)
    answers.append(site.ask("GET", f"/studies/{uid}", headers=html, user="eva"))
    assert answers[-1].status == 500
    for answer in answers[1:]:  # the first tells who sent it what is wrong with it
        assert "Canary" not in answer.text
        assert "Canary" not in str(answer.headers)
    said, until = "", time.monotonic() + 30
    while "RuntimeError" not in said:  # it is logged after the answer
        assert time.monotonic() < until
        said += "".join(capfd.readouterr())
    assert "Canary" not in said
    rows = site.tables("SELECT actor, action, details FROM audit")
    assert "Canary" not in str(rows)


def test_requests_of_every_described_kind_get_no_5xx_and_no_status_that_is_not_described(
    site, slices
):
    pytest.importorskip("schemathesis", reason="schemathesis is missing")
    from scripts.check_node_api import ask_everything

    (file,) = slices(count=1)
    site.read(site.services.intake.take([file], "CT1").header.study_uid)
    base = f"http://127.0.0.1:{site.server.port}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        count = ask_everything(base, ("anna", PASSWORDS["anna"]), examples=10)
    assert count > 100
