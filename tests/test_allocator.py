"""Memory that is kept: a second large array costs no page faults."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ichlite import app

FAULTS = """
import resource, sys
from ichlite.allocator import keep_memory
if sys.argv[1] == "keep" and not keep_memory():
    print(-1)
    sys.exit()
import numpy as np
for turn in range(5):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(50_000_000, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*words: str, **environment: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, *words],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


def test_freed_memory_is_used_again_without_asking_the_system() -> None:
    kept = faults("keep")
    if kept < 0:
        pytest.skip("the allocator of this system cannot be told: not glibc")
    assert kept < 100
    # With transparent huge pages a fault brings 2 MB, else 4 KB.
    assert faults("leave") >= max(20, 5 * kept)


def test_every_command_keeps_memory(
    ichlite: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(app, "keep_memory", lambda: asked.append(True))
    assert ichlite("info").exit_code == 0
    assert asked == [True]


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_"])
def test_who_set_the_allocator_up_by_hand_is_left_alone(name: str) -> None:
    assert faults("keep", **{name: "3"}) == -1
