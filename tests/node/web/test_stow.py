"""STOW-RS: what is stored, refused, and how that is said."""

import io

import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from requests import Session

from ichlite.node.web import stow


def related(parts, kind="application/dicom", boundary="b-1", part_kind="application/dicom"):
    body = b"".join(
        f"--{boundary}\r\nContent-Type: {part_kind}\r\n\r\n".encode() + part + b"\r\n"
        for part in parts
    )
    body += f"--{boundary}--\r\n".encode()
    return body, f'multipart/related; type="{kind}"; boundary={boundary}'


def store(site, parts, study="", user="eva", headers=None, **how):
    body, kind = related(parts, **how)
    path = f"/dicomweb/studies{study}"
    return site.ask("POST", path, body, headers, user=user, kind=kind)


def uids(answer, tag="00081199"):
    return [one["00081155"]["Value"][0] for one in answer.json.get(tag, {}).get("Value", [])]


def reasons(answer, tag):
    return [one["00081197"]["Value"][0] for one in answer.json.get(tag, {}).get("Value", [])]


def uid_of(data):
    return str(pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True).SOPInstanceUID)


def test_what_is_answered_with_200_is_there(site, slices):
    files = slices()
    answer = store(site, files)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert uids(answer) == [uid_of(one) for one in files]
    kept = site.tables("SELECT uid, digest, source FROM instance ORDER BY id")
    assert [row[0] for row in kept] == uids(answer)
    assert {row[2] for row in kept} == {"stow"}
    for (_, digest, _), sent in zip(kept, files, strict=True):
        assert site.store.path(digest).read_bytes()[128:] == sent[128:]
    assert store(site, files).status == 200  # again, which changes nothing
    assert len(site.tables("SELECT 1 FROM instance")) == 3
    row = site.tables("SELECT actor, details FROM audit WHERE action = 'instances.received'")[0]
    assert row[0] == "eva"


def test_a_client_of_others_can_store(site, slices):
    session = Session()
    session.auth = ("eva", "battery staple")
    client = DICOMwebClient(f"http://127.0.0.1:{site.server.port}/dicomweb", session=session)
    found = client.store_instances([pydicom.dcmread(io.BytesIO(one)) for one in slices()])
    assert len(found.ReferencedSOPSequence) == 3


def test_one_that_is_refused_does_not_keep_the_others_out(site, slices):
    files = slices()
    study = str(pydicom.dcmread(io.BytesIO(files[0])).StudyInstanceUID)
    (alien,) = slices(study="8", count=1)
    answer = store(site, [files[0], b"no DICOM", alien, files[1]], study=f"/{study}")
    assert answer.status == 202
    assert uids(answer) == [uid_of(files[0]), uid_of(files[1])]
    assert uids(answer, "00081198") == [uid_of(alien)]
    assert reasons(answer, "00081198") == [stow.MISMATCH]
    assert reasons(answer, "0008119A") == [stow.CANNOT_UNDERSTAND]
    assert store(site, [alien], study=f"/{study}").status == 409
    assert store(site, [b"no DICOM"]).status == 409


def test_a_full_disk_is_507_and_nothing_is_taken(site, slices, monkeypatch):
    monkeypatch.setattr(site.store, "has_space", lambda coming=0: False)
    assert store(site, slices()).status == 507
    assert site.tables("SELECT 1 FROM instance") == []
    assert site.ask("GET", "/", user="eva").status == 200
    assert "full but for its reserve" in site.ask("GET", "/", user="eva").text
    assert site.ask("GET", "/ready").status == 503
    monkeypatch.undo()
    assert store(site, slices()).status == 200


def test_a_disk_that_fills_on_the_way_is_said_of_each_part(site, slices, monkeypatch):
    room = iter([True, True])
    monkeypatch.setattr(site.store, "has_space", lambda coming=0: next(room, False))
    answer = store(site, slices())
    assert answer.status == 202
    assert len(uids(answer)) == 1
    assert reasons(answer, "0008119A") == [stow.NO_SPACE] * 2


def test_bodies_that_are_none_are_refused(site, slices):
    body, kind = related(slices())
    ask = site.ask
    assert ask("POST", "/dicomweb/studies", body, user="eva", kind="text/plain").status == 415
    assert store(site, slices(), kind="application/dicom+json").status == 415
    assert store(site, slices(), headers={"Content-Encoding": "gzip"}).status == 415
    assert store(site, slices(), headers={"Accept": "text/html"}).status == 406
    assert store(site, slices(), study="/1.2.a").status == 400
    assert store(site, slices(), user="nobody").status == 401
    assert site.tables("SELECT 1 FROM instance") == []
    cut = ask("POST", "/dicomweb/studies", body[:-20], user="eva", kind=kind)
    assert cut.status == 400
    assert len(uids(cut)) == len(site.tables("SELECT 1 FROM instance")) == 2
    assert store(site, slices(study="5"), part_kind="text/plain").status == 409


@pytest.mark.parametrize("what", ["part", "body", "length"])
def test_what_is_too_large_is_413(site, monkeypatch, what):
    part = bytes(2 << 20) if what == "part" else bytes(1000)
    if what != "part":
        monkeypatch.setattr(stow, "MOST_BODY_BYTES", 500)
    body, kind = related([part])
    sent = iter([body]) if what == "body" else body
    answer = site.ask("POST", "/dicomweb/studies", sent, user="eva", kind=kind)
    assert answer.status == 413
    assert list(site.store.incoming.iterdir()) == []


def test_a_sender_that_goes_away_leaves_nothing_half(site, slices):
    import socket
    import time
    from base64 import b64encode

    body, kind = related(slices())
    password = b64encode(b"eva:battery staple").decode()
    with socket.create_connection(("127.0.0.1", site.server.port)) as connection:
        connection.sendall(
            f"POST /dicomweb/studies HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {password}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body[:-1000]
        )
        time.sleep(1)
    until = time.monotonic() + 10
    while list(site.store.incoming.iterdir()):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert len(site.tables("SELECT 1 FROM instance")) == 2
    assert site.ask("GET", "/health").status == 200
