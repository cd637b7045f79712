"""Uploads of the page: files and archives, and what is said of what was refused."""

import io
import zipfile

from ichlite.node.web import uploads


def send(site, body, kind="application/dicom", **how):
    return site.ask("POST", "/api/uploads", body, user="eva", kind=kind, **how)


def zipped(files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def test_a_file_is_taken_once(site, slices):
    (file,) = slices(count=1)
    first, second = send(site, file), send(site, file)
    assert (first.status, second.status) == (200, 200)
    assert first.json | {"studies": []} == {
        "stored": 1, "new": 1, "studies": [], "passed_over": 0, "refused": []
    }  # fmt: skip
    assert second.json["new"] == 0
    assert site.tables("SELECT uid, source FROM study") == [(first.json["studies"][0], "upload")]


def test_a_cd_is_taken_and_what_is_not_is_named_with_its_reason(site, slices):
    files = slices()
    cd = {f"DICOM/ST0/IM{n}": one for n, one in enumerate(files)}
    cd |= {
        "DICOMDIR": b"x",
        "viewer/run.exe": b"MZ" * 500,
        "../evil": b"",
        "big": bytes(range(256)) * 8000,
    }
    answer = send(site, zipped(cd), "application/zip")
    assert answer.status == 200
    assert (answer.json["stored"], answer.json["new"], answer.json["passed_over"]) == (3, 3, 1)
    refused = {one["file"]: one["reason"] for one in answer.json["refused"]}
    assert refused.keys() == {"viewer/run.exe", "../evil", "big"}
    assert "DICOM" in refused["viewer/run.exe"]
    assert "larger" in refused["big"]
    assert list(site.store.incoming.iterdir()) == []


def test_what_is_no_file_of_ours_is_422_with_the_reason(site):
    assert send(site, b"hello").json["refused"][0]["reason"] == "not a DICOM file"
    assert send(site, b"hello").status == 422
    assert "ZIP" in send(site, b"hello", "application/zip").json["refused"][0]["reason"]
    assert send(site, b"hello", "text/plain").status == 415
    assert send(site, b"hello", headers={"Content-Encoding": "gzip"}).status == 415


def test_bounds(site, slices, monkeypatch):
    assert send(site, bytes(2 << 20)).status == 413
    monkeypatch.setattr(uploads, "MOST_BODY_BYTES", 100)
    assert send(site, bytes(200), "application/zip").status == 413
    monkeypatch.setattr(site.store, "has_space", lambda coming=0: False)
    assert send(site, b"x").status == 507
    assert list(site.store.incoming.iterdir()) == []
