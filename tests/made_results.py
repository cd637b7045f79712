"""Results of scans that nobody read, for tests of what shows them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ichlite.infer.results import Analysed
from ichlite.labels import CLASSES, NAMES


def analysed(**said: Any) -> Analysed:
    """Return a result; what is not said is that of a quiet scan without slices."""
    quiet: dict[str, Any] = {
        "study": "1",
        "series": "2",
        "files": (),
        "scan": dict.fromkeys(CLASSES, 0.1),
        "slices": (),
        "urgent": False,
        "operating_point": "balanced",
        "threshold": 0.5,
        "logits": np.zeros((0, len(NAMES)), np.float32),
    }
    return Analysed(**{**quiet, **said})
