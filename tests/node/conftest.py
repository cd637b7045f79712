"""Parts of a node for tests: without the packages of its extra, all of them are skipped by name."""

from __future__ import annotations

import pytest

pytest.importorskip("pynetdicom", reason="the node needs ichlite[node]")
pytest.importorskip("structlog", reason="the node needs ichlite[node]")
