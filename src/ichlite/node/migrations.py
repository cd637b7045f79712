"""Tables of the node's database, as numbered steps: a step is never changed, only followed."""

from __future__ import annotations

_FIRST = """
CREATE TABLE study (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('received', 'queued', 'running', 'done', 'parked')),
    source TEXT NOT NULL,
    first_at REAL NOT NULL,
    last_at REAL NOT NULL,
    due_at REAL,                       -- when it is complete; NULL when nothing waits
    priority INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0,
    patient_name TEXT NOT NULL DEFAULT '',
    patient_id TEXT NOT NULL DEFAULT '',
    study_date TEXT NOT NULL DEFAULT '',
    accession TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX study_due ON study (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX study_last ON study (last_at);

CREATE TABLE instance (
    id INTEGER PRIMARY KEY,
    study_id INTEGER NOT NULL REFERENCES study ON DELETE CASCADE,
    series_uid TEXT NOT NULL,
    series_description TEXT NOT NULL DEFAULT '',
    uid TEXT NOT NULL,
    class_uid TEXT NOT NULL,
    digest TEXT NOT NULL,              -- SHA-256 of the file, which is its name in the store
    bytes INTEGER NOT NULL,
    source TEXT NOT NULL,
    received_at REAL NOT NULL,
    UNIQUE (study_id, uid, digest)
) STRICT;
CREATE INDEX instance_digest ON instance (digest);

CREATE TABLE reading (
    id INTEGER PRIMARY KEY,
    study_id INTEGER NOT NULL REFERENCES study ON DELETE CASCADE,
    version INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'parked')),
    queued_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    claims INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0, -- of the child process, while this node lived
    superseded INTEGER NOT NULL DEFAULT 0,
    instances INTEGER NOT NULL DEFAULT 0,
    inputs TEXT NOT NULL DEFAULT '',   -- SHA-256 over the digests of what was read
    status TEXT,                       -- analysed, not_analysed
    urgent INTEGER,
    complete INTEGER,
    any_probability REAL,
    reasons TEXT NOT NULL DEFAULT '[]',
    bundle TEXT NOT NULL DEFAULT '',
    settings TEXT NOT NULL DEFAULT '', -- SHA-256 of what decides the result
    folder TEXT,                       -- of the result's files, in the store
    brain_level_hu REAL,               -- of the scan that was judged; NULL where none was
    noise_hu REAL,
    UNIQUE (study_id, version)
) STRICT;
CREATE INDEX reading_state ON reading (state);
CREATE INDEX reading_folder ON reading (folder);
CREATE UNIQUE INDEX one_unfinished_reading ON reading (study_id)
    WHERE state IN ('queued', 'running');

CREATE TABLE delivery (
    id INTEGER PRIMARY KEY,
    reading_id INTEGER NOT NULL REFERENCES reading ON DELETE CASCADE,
    peer TEXT NOT NULL,                -- or hook that gets a notice
    file TEXT NOT NULL,                -- in the reading's folder; '' for a notice
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'dead', 'superseded')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL,
    tried_at REAL NOT NULL,            -- or when it was queued
    waited_s REAL NOT NULL DEFAULT 0,  -- while attempts failed and the node ran
    refused INTEGER NOT NULL DEFAULT 0, -- by the peer at the last attempt; else it was not reached
    fault TEXT NOT NULL DEFAULT '',
    UNIQUE (reading_id, peer, file)
) STRICT;
CREATE INDEX delivery_waiting ON delivery (next_at) WHERE state = 'waiting';

CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    details TEXT NOT NULL,
    hash TEXT NOT NULL                 -- over the hash before it and this row
) STRICT;
CREATE INDEX audit_study ON audit (details ->> '$.study');
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TABLE user (
    name TEXT PRIMARY KEY,
    password TEXT NOT NULL,            -- argon2
    admin INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL
) STRICT;

CREATE TABLE session (
    token TEXT PRIMARY KEY,            -- SHA-256 of the cookie
    user TEXT NOT NULL REFERENCES user ON DELETE CASCADE,
    csrf TEXT NOT NULL,
    expires_at REAL NOT NULL
) STRICT;

CREATE TABLE verdict (
    id INTEGER PRIMARY KEY,
    reading_id INTEGER NOT NULL REFERENCES reading ON DELETE CASCADE,
    reader TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('agree', 'disagree', 'unsure')),
    remark TEXT NOT NULL DEFAULT '',
    at REAL NOT NULL,
    UNIQUE (reading_id, reader)
) STRICT;
"""

_SECOND = """
CREATE TABLE doomed (                  -- files and folders whose rows were deleted on purpose
    path TEXT PRIMARY KEY              -- in the store
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND)
