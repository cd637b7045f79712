"""The page of a node without its DICOM port and reader, in this process, and a plain client."""

from __future__ import annotations

import base64
import http.client
import json
import time
from pathlib import Path
from urllib.parse import urlencode

from ichlite.node import studies
from ichlite.node.database import Database
from ichlite.node.intake import Intake
from ichlite.node.settings import DicomSettings, HttpSettings, Settings
from ichlite.node.store import FileStore
from ichlite.node.studies import Outcome
from ichlite.node.web.passwords import hash_password
from ichlite.node.web.server import serve_web
from ichlite.node.web.services import Services
from ichlite.node.web.users import add_user, begin_session

PASSWORDS = {"anna": "correct horse", "eva": "battery staple"}
"""Of an admin and a reader."""


class Site:
    """A page that is served, and what its node has.

    Args:
        folder: Of the store.
        settings: Of the node; the page takes a free port.
    """

    def __init__(self, folder: Path, **settings):
        self.settings = Settings(**{"http": HttpSettings(port=0), **settings})
        self.database = Database(folder)
        self.store = FileStore(folder, self.settings.store.reserve_bytes)
        intake = Intake(self.database, self.store, self.settings)
        self.services = Services(self.database, self.store, self.settings, intake)
        for name, password in PASSWORDS.items():
            kept = hash_password(password)
            self.database.write(
                lambda tables, name=name, kept=kept: add_user(
                    tables, name, kept, admin=name == "anna", now=time.time()
                )
            )
        self.server = serve_web(self.services)

    def close(self):
        self.server.close()
        self.database.close()

    def ask(self, method, path, body=None, headers=None, *, user=None, session=None, kind=None):
        """Send a request, and return its answer."""
        sent = dict(headers or {})
        if user is not None:
            pair = f"{user}:{PASSWORDS.get(user, 'wrong')}".encode()
            sent["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        if session is not None:
            sent["Cookie"] = f"ichlite={session.token}"
        if kind is not None:
            sent["Content-Type"] = kind
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            connection.request(method, path, body, sent)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def form(self, path, session, **fields):
        """Send a form as a page does."""
        body = urlencode({"csrf": session.csrf, **fields})
        return self.ask(
            "POST", path, body, session=session, kind="application/x-www-form-urlencoded"
        )

    def session(self, user):
        """Begin a session."""
        return self.database.write(lambda tables: begin_session(tables, user, time.time()))

    def tables(self, query, *values):
        """Return rows of the tables."""
        with self.database.read() as tables:
            return [tuple(row) for row in tables.execute(query, values)]

    def read(self, uid, *, now=None, **outcome):
        """Queue a study that came and end its reading, as the reader would."""
        now = time.time() if now is None else now
        self.database.write(
            lambda tables: tables.execute("UPDATE study SET due_at = 0 WHERE uid = ?", (uid,))
        )
        self.database.write(lambda tables: studies.queue_due(tables, now))
        claim = self.database.write(lambda tables: studies.claim(tables, now))
        assert claim is not None
        assert claim.study_uid == uid
        folder = studies.result_folder(uid, claim.version)
        found = {
            "status": "analysed", "urgent": True, "complete": True, "any_probability": 0.9,
            "reasons": (), "bundle": "b 1", "settings": "s", "objects": (), "folder": str(folder),
        } | outcome  # fmt: skip
        self.database.write(
            lambda tables: studies.finish(
                tables, claim, Outcome(**found), self.settings.peer, now + 1
            )
        )
        return claim


class Answer:
    """Status, headers and body of an answer."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


SMALL = DicomSettings(max_instance_bytes=1 << 20)
