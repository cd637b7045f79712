"""Phantoms are made once for all tests: the template takes seconds to load."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from ichlite.phantom.subject import Subject, generate_subject


@pytest.fixture(scope="session")
def phantom_with() -> Callable[..., Subject]:
    """Subtype names in; a phantom with exactly these bleeds out (the same head for all)."""

    @cache
    def make(*names: str) -> Subject:
        return generate_subject(5, 3, ((names, 1.0),))

    return make
