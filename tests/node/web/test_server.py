"""The port itself: slow, silent, many and oversized clients, and the end."""

import socket
import threading
import time

import pytest
from tests.node.web.site import Site

from ichlite.errors import IchliteError
from ichlite.node.settings import HttpSettings
from ichlite.node.web import server, shield
from ichlite.node.web.server import WebServer


def closed_after(connection, seconds):
    """Return whether the other end closes within a time."""
    connection.settimeout(seconds)
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def connect(site):
    return socket.create_connection(("127.0.0.1", site.server.port))


@pytest.mark.parametrize("start", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\n"])
def test_who_does_not_send_its_headers_is_hung_up_on(site, monkeypatch, start):
    monkeypatch.setattr(server, "HEADER_S", 0.5)
    with connect(site) as connection:
        connection.sendall(start)
        began = time.monotonic()
        for _ in range(10):
            try:
                connection.sendall(b"a" if start else b"")
            except OSError:
                break
            time.sleep(0.1)
        assert closed_after(connection, 3)
        assert time.monotonic() - began < 4
    # the second request of a connection has a deadline of its own
    with connect(site) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        connection.sendall(b"GET /hea")
        assert closed_after(connection, 3)
    assert site.ask("GET", "/health").status == 200


def test_a_body_that_does_not_come_ends_the_request(site, monkeypatch):
    monkeypatch.setattr(shield, "RECEIVE_S", 0.5)
    with connect(site) as connection:
        connection.sendall(
            b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\ncsrf="
        )
        connection.settimeout(5)
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")
        assert closed_after(connection, 5)
    assert site.ask("GET", "/health").status == 200


def test_too_many_connections_are_closed_and_the_port_goes_on(site, monkeypatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 5)
    held = [connect(site) for _ in range(5)]
    time.sleep(0.3)
    with connect(site) as one_too_many:
        assert closed_after(one_too_many, 3)
    for connection in held:
        connection.close()
    time.sleep(0.3)
    assert site.ask("GET", "/health").status == 200


def test_oversized_and_odd_requests_are_refused(site):
    for request in (
        b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 300_000 + b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ):
        with connect(site) as connection:
            connection.settimeout(5)
            try:
                connection.sendall(request)
                assert connection.recv(100).startswith(b"HTTP/1.1 400")
            except (ConnectionResetError, BrokenPipeError):
                pass
    form = "application/x-www-form-urlencoded"
    assert site.ask("POST", "/login", b"a=" + b"x" * 20_000, kind=form).status == 413
    assert site.ask("POST", "/login", b"a&" * 5_000, kind=form).status == 400
    assert site.ask("POST", "/login", b"\xff", kind=form).status == 400
    assert site.ask("POST", "/login", b"{}", kind="application/json").status == 415


def test_two_nodes_cannot_have_one_port(site):
    settings = HttpSettings(port=site.server.port)
    with pytest.raises(IchliteError, match="port of the page"):
        WebServer(None, settings, None)


def test_it_ends_although_somebody_listens(tmp_path):
    site = Site(tmp_path / "store")
    heard = []

    def listen():
        ticket = site.session("eva")
        with connect(site) as connection:
            cookie = f"Cookie: ichlite={ticket.token}\r\n\r\n"
            connection.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n" + cookie.encode())
            while piece := connection.recv(4096):
                heard.append(piece)

    listener = threading.Thread(target=listen)
    listener.start()
    until = time.monotonic() + 10
    while b"ready" not in b"".join(heard):
        assert time.monotonic() < until
        time.sleep(0.05)
    site.database.write(
        lambda tables: tables.execute(
            "INSERT INTO study (uid, state, source, first_at, last_at) "
            "VALUES ('1.2', 'received', 'CT1', 0, 0)"
        )
    )
    while b"changed" not in b"".join(heard):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert b"1.2" not in b"".join(heard).partition(b"\r\n\r\n")[2].replace(b"HTTP/1.1", b"")
    began = time.monotonic()
    site.close()
    listener.join(5)
    assert not listener.is_alive()
    assert time.monotonic() - began < 5
