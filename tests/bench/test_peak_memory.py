"""Memory of this process, and of a command in one of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ichlite.bench.peak_memory import peak_of, peak_rss_mb, rss_mb
from ichlite.errors import IchliteError


def test_peaks_of_memory_are_of_one_process_alone() -> None:
    held = np.ones(400_000_000, np.uint8)
    peak_mb, command_mb = peak_rss_mb(), peak_of("info", "--json")
    if rss_mb() is None or peak_mb is None or command_mb is None:
        pytest.skip("only Linux says how much memory a process holds")
    assert peak_mb > held.nbytes / 1e6
    assert 10 < command_mb < 200


def test_a_command_that_fails_has_no_peak(tmp_path: Path) -> None:
    with pytest.raises(IchliteError, match="ichlite read failed; found ichlite: error: no bundle"):
        peak_of("read", tmp_path, "--bundle", tmp_path / "nothing")
