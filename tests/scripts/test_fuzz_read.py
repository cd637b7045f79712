"""Damaged files: some hundred of them here, a million by the script (docs/log.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scripts.fuzz_read import fuzz, mutate

from ichlite.samples import GE_HEAD
from scripts import fuzz_read


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    counts, faults = fuzz(400, seed=0, faults=tmp_path / "faults")
    assert faults == []
    assert sum(counts.values()) == 400
    assert min(counts[what] for what in ("HU", "no series", "refused", "read to the end")) > 0
    assert not (tmp_path / "faults").exists()


def test_a_mutation_is_a_matter_of_its_seed() -> None:
    content = GE_HEAD.files[0].read_bytes()
    one, same, other = (mutate(content, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == same != other
    assert one != content


def test_a_fault_is_kept_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(fuzz_read, "find_series", broken)
    _, faults = fuzz(3, seed=5, faults=tmp_path / "faults")
    assert faults == [f"seed 5, mutation {n}: ZeroDivisionError: a fault" for n in (1, 2)]
    assert len(list((tmp_path / "faults").glob("*.dcm"))) == 2
