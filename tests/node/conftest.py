"""Parts of a node for tests: without the packages of its extra, all of them are skipped by name."""

from __future__ import annotations

import warnings

import pytest

pytest.importorskip("pynetdicom", reason="the node needs ichlite[node]")
structlog = pytest.importorskip("structlog", reason="the node needs ichlite[node]")


@pytest.fixture(autouse=True)
def _lines_of_its_own() -> None:
    """Log as a node does, whatever an earlier test of this process has set."""
    from ichlite.node.logs import set_up_logs

    structlog.reset_defaults()
    with warnings.catch_warnings():
        set_up_logs()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let pynetdicom's requestors, which tests send with, leave sockets to the garbage collector.

    Where the other side has closed first, they do not close their own.
    """
    for item in items:
        if "tests/node" in item.nodeid:
            item.add_marker(
                pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
            )
