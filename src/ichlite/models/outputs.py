"""Name the outputs of models, and find the slice logits among those of any model."""

from __future__ import annotations

from typing import Any

import keras

FEATURES, LOGITS, LESION_MAP = "features", "logits", "lesion_map"
"""Names of layers that export needs; the last two are also output keys of a model with a map."""
POOLED_LOGITS, MAP_GAIN = "pooled_logits", "map_gain"
"""Names of the layers from which a model with a lesion map computes its slice logits."""


def slice_logits(outputs: Any) -> Any:
    """Return the slice logits (batch, 5) from a model's outputs, with or without a lesion map.

    Example:
        >>> slice_logits({"logits": 1, "lesion_map": 2}), slice_logits(1)
        (1, 1)
    """
    return outputs[LOGITS] if isinstance(outputs, dict) else outputs


def has_lesion_map(model: keras.Model) -> bool:
    """Return whether a model outputs a lesion map in addition to its logits."""
    return isinstance(model.output, dict) and LESION_MAP in model.output
