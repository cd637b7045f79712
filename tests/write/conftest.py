"""Fixtures of what is written."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest


@pytest.fixture(scope="session")
def at() -> datetime:
    """When the results of the tests are made."""
    return datetime(2026, 11, 27, 12, 30, 15, tzinfo=timezone(timedelta(hours=1)))
