"""The page of a running node: who may call what, what comes in by it, and what it gives away."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from pydicom import dcmread
from tests.dicom_files import write_head_series
from tests.node.running_node import RunningNode, running_node

from ichlite.node.web.routes import ROUTES

CANARY = "CANARY^<script>alert(1)</script>"
SHIELD = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


class Client:
    """A program that speaks HTTP to a node, with cookies, that follows no redirection."""

    def __init__(self, node: RunningNode) -> None:
        self.base = f"http://127.0.0.1:{node.http_port}"
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(CookieJar()), _Stay()
        )

    def call(self, path: str, body: bytes | None = None, method: str = "", **headers: str):
        """Return status, headers and body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            self.base + path, body, named, method=method or ("GET" if body is None else "POST")
        )
        try:
            with self._opener.open(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def form(self, path: str, **fields: str):
        """Send a form."""
        body = urllib.parse.urlencode(fields).encode()
        return self.call(path, body, content_type="application/x-www-form-urlencoded")

    def log_in(self, name: str, password: str):
        """Log in as a person does."""
        _, _, page = self.call("/login")
        found = re.search(r'name="csrf" value="([^"]*)"', page.decode())
        answer = self.form("/login", name=name, password=password, csrf=found[1] if found else "")
        token = re.search(r'name="csrf" value="([^"]*)"', self.call("/")[2].decode())
        self.csrf = token[1] if token else ""
        return answer


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _password(name: str, password: str) -> dict[str, str]:
    said = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"authorization": f"Basic {said}"}


ANN, BOB = _password("ann", "correct horse 1"), _password("bob", "correct horse 2")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web") / "node"
    with running_node(folder) as started:
        for name, password, *admin in (
            ("ann", "correct horse 1", "--admin"), ("bob", "correct horse 2"),
        ):  # fmt: skip
            command = (*(sys.executable, "-m", "ichlite", "node", "add-user", str(folder), name),
                       "--password-stdin", *admin)  # fmt: skip
            subprocess.run(command, input=password.encode(), check=True, capture_output=True)
        yield started


@pytest.fixture(scope="module")
def study(node, tmp_path_factory) -> str:
    """A study that came by the page, read; its UID."""
    folder = tmp_path_factory.mktemp("head")
    files = write_head_series(
        folder, 28, study="77", side=128, PatientName=CANARY, PatientID="=CANARY-ID"
    )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        for file in files:
            made.write(file, f"../{file.name}")
        made.writestr("readme.txt", "no DICOM")
    status, _, answer = Client(node).call(
        "/api/uploads", archive.getvalue(), content_type="application/zip", **BOB
    )
    assert status == 200
    answer = json.loads(answer)
    assert (answer["stored"], len(answer["refused"])) == (28, 1)
    node.wait_for(lambda s: s["done"] == 1, 120)
    return str(dcmread(files[0]).StudyInstanceUID)


def _path(route) -> str:
    filled = route.path.replace("{uid}", "1.2.3").replace("{name}", "style.css")
    return re.sub(r"\{[a-z]+:number\}", "1", filled)


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
def test_who_has_not_logged_in_gets_nothing_but_what_is_open(node, route):
    body = b"a=b" if route.method == "POST" else None
    status, headers, _ = Client(node).call(_path(route), body)
    if route.role == "open":
        assert status in (200, 400, 403)
    elif route.kind == "program":
        assert status == 401
    else:
        assert status == 303
        assert headers["location"].startswith("/login")
    for name, value in SHIELD.items():
        if not _path(route).startswith("/static"):
            assert headers[name] == value
    assert "default-src 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.role == "admin"], ids=lambda r: f"{r.method} {r.path}"
)
def test_a_reader_is_no_admin(node, route):
    client = Client(node)
    client.log_in("bob", "correct horse 2")
    if route.method == "GET":
        status, _, _ = client.call(_path(route))
    else:
        status, _, _ = client.form(_path(route), csrf=client.csrf)
    assert status == 403


def test_a_wrong_password_and_an_unknown_name_are_answered_alike(node):
    answers = [Client(node).log_in(name, "wrong") for name in ("ann", "nobody")]
    assert {status for status, _, _ in answers} <= {401, 403}
    assert answers[0][2].count(b"\n") == answers[1][2].count(b"\n")


def test_a_form_without_its_token_does_nothing(node, study):
    client = Client(node)
    client.log_in("bob", "correct horse 2")
    for token in ("", "0" * 43):
        status, _, _ = client.form(f"/studies/{study}/verdict", verdict="agree", csrf=token)
        assert status == 403


def test_a_verdict_is_kept_and_exported_without_formulas(node, study):
    reader = Client(node)
    reader.log_in("bob", "correct horse 2")
    status, _, _ = reader.form(
        f"/studies/{study}/verdict", verdict="disagree", remark="=cmd|' /C calc'!A0",
        version="1", csrf=reader.csrf,
    )  # fmt: skip
    assert status == 303
    status, _, table = Client(node).call("/verdicts.csv", **ANN)
    assert status == 200
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    assert [(row["verdict"], row["reader"]) for row in rows] == [("disagree", "bob")]
    assert not any(cell.startswith("=") for row in rows for cell in row.values())


def test_pages_escape_what_files_say(node, study):
    client = Client(node)
    client.log_in("bob", "correct horse 2")
    for path in ("/", f"/studies/{study}"):
        _, _, page = client.call(path)
        assert b"<script>alert" not in page
        assert b"CANARY" in page


def test_numbers_of_the_interface_are_those_of_the_reading(node, study):
    _, _, answer = Client(node).call(f"/api/studies/{study}/versions/1/reading", **BOB)
    reading = json.loads(answer)
    (read,) = [one for one in reading["studies"] if one["status"] == "analysed"]
    (status,) = node.status()["studies"]
    assert read["scan"]["any"] == status["any"]
    assert "CANARY" not in answer.decode()


def test_no_patient_is_named_where_no_patient_should_be(node, study):
    for path in ("/health", "/ready", "/metrics", "/no/such/page", "/api/openapi.json"):
        _, _, answer = Client(node).call(path)
        assert b"CANARY" not in answer, path
    assert "CANARY" not in node.log.read_text()
    assert b"CANARY" not in Client(node).call("/settings", **ANN)[2]


def test_a_study_is_stored_by_dicomweb_and_each_part_is_answered(node, tmp_path):
    files = write_head_series(tmp_path / "head", 3, study="78", side=128)
    parts = [file.read_bytes() for file in files] + [b"no DICOM"]
    body = b"".join(
        b"--b1\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts
    )
    kind = 'multipart/related; type="application/dicom"; boundary=b1'
    client = Client(node)
    status, _, answer = client.call("/dicomweb/studies", body + b"--b1--", content_type=kind, **BOB)
    said = json.loads(answer)
    assert status == 202
    stored = said["00081199"]["Value"]
    assert [one["00081155"]["Value"][0] for one in stored] == [
        str(dcmread(file).SOPInstanceUID) for file in files
    ]
    assert len(said["0008119A"]["Value"]) == 1
    for spoiled, headers, expected in (
        (b"x", {"content_type": "text/plain"}, 415),
        (body, {"content_type": kind}, 400),
        (body + b"--b1--", {"content_type": kind, "content_encoding": "gzip"}, 415),
    ):
        assert client.call("/dicomweb/studies", spoiled, **headers, **BOB)[0] == expected


def test_guesses_are_slowed_down(tmp_path):
    with running_node(tmp_path / "node") as fresh:
        statuses = [Client(fresh).log_in("ann", "guess")[0] for _ in range(30)]
    assert 429 in statuses


def test_the_interface_is_described_as_openapi(node):
    status, _, answer = Client(node).call("/api/openapi.json")
    described = json.loads(answer)
    assert status == 200
    assert described["openapi"].startswith("3.1")
    paths = {re.sub(r":number", "", r.path) for r in ROUTES if r.says is not None}
    assert set(described["paths"]) == paths


def test_the_worklist_in_a_browser(node, study):
    from tests.node.web.browsing import NARROW, WIDE, Browsing
    from tests.write.browser import chromium

    browser = chromium()
    try:
        page = Browsing(browser, f"http://127.0.0.1:{node.http_port}")
        page.log_in("ann", "correct horse 1")
        for path in ("/", f"/studies/{study}", "/queue", "/drift", "/upload", "/settings"):
            for size in (WIDE, NARROW):
                for scheme in ("light", "dark"):
                    page.look(size, scheme)
                    page.go(path)
                    assert page.faults() == [], (path, size, scheme)
                    assert page.overflow() <= 0, (path, size)
        assert page.said() == []
        page.look()
        page.go("/")
        assert "CANARY, <script>alert(1)</script>" in page.text("main")
        before = len(page.all("main tbody tr"))
        head = Path(node.folder).parent / "later"
        files = write_head_series(head, 3, study="79", side=128)
        client = Client(node)
        for file in files:
            client.call("/api/uploads", file.read_bytes(), content_type="application/dicom", **BOB)
        page.wait(lambda: len(page.all("main tbody tr")) > before)
    finally:
        browser.quit()
        time.sleep(0.1)
