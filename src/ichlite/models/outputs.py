"""Name the outputs of models, and find the slice logits among those of any model."""

from __future__ import annotations

from typing import Any

import keras

FEATURES, LOGITS, LESION_MAP = "features", "logits", "lesion_map"
"""Layers that export looks for; the last two are keys of a model with a lesion map."""
POOLED_LOGITS, MAP_GAIN = "pooled_logits", "map_gain"
"""Layers of a model with a lesion map: what its slice logits are made of."""


def slice_logits(outputs: Any) -> Any:
    """Return the slice logits (batch, 5) among a model's outputs, whether it has a map or not.

    Example:
        >>> slice_logits({"logits": 1, "lesion_map": 2}), slice_logits(1)
        (1, 1)
    """
    return outputs[LOGITS] if isinstance(outputs, dict) else outputs


def has_lesion_map(model: keras.Model) -> bool:
    """Return whether the model gives a lesion map beside its logits."""
    return isinstance(model.output, dict) and LESION_MAP in model.output
