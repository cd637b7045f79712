"""The facts beside a measured time."""

from __future__ import annotations

import pytest

from ichlite.bench.machine import describe_machine


def test_the_machine() -> None:
    machine = describe_machine(["pytest", "no-such-package", "numpy"])
    assert machine.cores >= 1
    assert machine.cpu
    assert machine.packages["pytest"] == pytest.__version__
    assert "no-such-package" not in machine.packages
