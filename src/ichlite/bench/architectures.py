"""Nothing in; each architecture, untrained, as a float32 and an int8 bundle for timing, out.

How long a model takes does not depend on what it has learned, so random weights will do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichlite import __version__
from ichlite.compress.flatbuffer import tidy
from ichlite.compress.flops import flops, one_slice
from ichlite.compress.graph import with_activation_map
from ichlite.compress.quantize import PRECISIONS, to_tflite
from ichlite.ct.series import find_series
from ichlite.ct.tensor import GRID, model_input, read_slice
from ichlite.ct.windows import PAPER_WINDOWS
from ichlite.infer.bundle import Bundle
from ichlite.infer.decision import Calibration, Rule
from ichlite.models import MODELS, build
from ichlite.samples import GE_HEAD


def architecture_bundles(names: Sequence[str] = tuple(MODELS)) -> Iterator[Bundle]:
    """Give a bundle for each architecture and precision, one at a time.

    Args:
        names: Keys of `models.MODELS`.

    Raises:
        UnknownName: No such model.
    """
    slices = sample_slices()
    for name in names:
        model = build(name, size=GRID)
        cost = {
            "params": model.count_params(),
            "flops_256": flops(one_slice(model, GRID)),
        }
        for precision in PRECISIONS:
            content = tidy(
                to_tflite(with_activation_map(model), precision, (model_input(hu) for hu in slices))
            )
            manifest = {"precision": precision, "cost": cost}
            yield Bundle(
                name,
                __version__,
                Path(name),
                manifest,
                PAPER_WINDOWS,
                Calibration(),
                Rule(),
                content,
            )


def sample_slices(every: int = 4) -> list[NDArray[np.int16]]:
    """Give every so-many-th slice of the real sample head on the model's grid, HU."""
    (series,), _ = find_series(GE_HEAD.files)
    return [read_slice(header)[0] for header in series.slices[::every]]
