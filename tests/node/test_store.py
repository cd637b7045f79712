"""Files of the store: whole or not there, never into the reserve, swept after a crash."""

from __future__ import annotations

import hashlib

import pytest

from ichlite.node.store import FileStore, NoSpace


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path, reserve_bytes=0)


def _keep(store: FileStore, content: bytes) -> str:
    with store.arriving([content]) as part:
        store.keep(part)
    return part.digest


def test_what_is_kept_is_named_by_its_digest(store):
    digest = _keep(store, b"a slice")
    assert digest == hashlib.sha256(b"a slice").hexdigest()
    assert store.path(digest).read_bytes() == b"a slice"
    assert list(store.incoming.iterdir()) == []


def test_what_is_not_kept_leaves_no_trace(store):
    with pytest.raises(ZeroDivisionError), store.arriving([b"a"]):
        raise ZeroDivisionError
    with store.arriving([b"b"]):
        pass
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []


def test_the_reserve_is_not_touched(tmp_path):
    store = FileStore(tmp_path, reserve_bytes=1 << 60)
    assert not store.has_space()
    with pytest.raises(NoSpace, match="reserve"), store.arriving([b"a"]):
        pass


def test_what_was_left_half_written_is_removed_and_nothing_else(store):
    kept = _keep(store, b"kept")
    (store.incoming / "left.part").write_bytes(b"half")
    (store.incoming / "reading-1").mkdir()
    assert store.clear_incoming() == 2
    assert [path.stem for path in store.instance_files()] == [kept]
    assert list(store.incoming.iterdir()) == []
