"""Phantoms are made once for all tests: the template takes seconds to load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ichlite.data.windowed import AIR_HU, BONE_HU
from ichlite.data.writer import StoreWriter
from ichlite.phantom.generate import store_rows
from ichlite.phantom.real_head import RealHead, measure_head
from ichlite.phantom.subject import Subject, generate_subject


@pytest.fixture(scope="session")
def phantom_with() -> Callable[..., Subject]:
    """Return a function that makes a phantom, of one head, with exactly the bleeds named."""

    @cache
    def make(*names: str) -> Subject:
        return generate_subject(5, 3, ((names, 1.0),))

    return make


@pytest.fixture(scope="session")
def quiet_head(phantom_with: Callable[..., Subject]) -> RealHead:
    """A phantom without blood, measured as if it were a patient's head."""
    subject = phantom_with()
    return measure_head(subject.hu, subject.position_mm)


@pytest.fixture(scope="session")
def quiet_store(
    phantom_with: Callable[..., Subject], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A store of HU from -20 to 100 with a patient without blood (train), and one who bleeds."""
    folder = tmp_path_factory.mktemp("quiet") / "store"
    with StoreWriter(folder, kind="csv", hu_range=(-20, 100)) as writer:
        for patient, names in (("calm", ()), ("hurt", ("epidural",))):
            subject = phantom_with(*names)
            known = np.clip(subject.hu, -20, 100)
            known[subject.hu < -500] = AIR_HU
            known[subject.hu > 98] = BONE_HU
            rows = [
                replace(
                    row, image=f"{patient}-{k}", patient=patient, study=patient, series=patient,
                    split="train",
                )
                for k, row in enumerate(store_rows(subject, 5))
            ]  # fmt: skip
            if names:  # another patient's slices are others
                known = known[:, :, ::-1]
            writer.add(known, rows, subject.lesion_cells)
    return folder
