"""Features of invented scans, as a network would give them, quick to make and to learn."""

from __future__ import annotations

import numpy as np

from ichlite.models.features import SliceFeatures

SUBTYPES = 5


def made_features(
    *, scans: int = 24, slices: int = 12, seed: int = 0, width: int = 4, first: int = 0
) -> SliceFeatures:
    """Give scans of which every other bleeds, a different subtype each.

    A bleed is three slices of middling logits in a row; quiet scans have one much higher slice, so
    that only who looks at neighbours can tell. One feature says which slices bleed.
    """
    rng = np.random.default_rng(seed)
    count = scans * slices
    logits = rng.normal(-3, 0.3, (count, SUBTYPES))
    labels = np.zeros((count, 1 + SUBTYPES), np.uint8)
    scan = np.repeat(np.arange(first, first + scans), slices)
    for number in range(scans):
        start, subtype = number * slices, (number // 2) % SUBTYPES
        place = start + int(rng.integers(1, slices - 3))
        if number % 2:
            logits[place : place + 3, subtype] += 3
            labels[place : place + 3, [0, 1 + subtype]] = 1
        else:
            logits[place, subtype] += 7
    features = rng.normal(0, 1, (count, width))
    features[:, 0] += 6.0 * labels[:, 0]
    name = np.char.mod("P%03d", scan)
    place = np.tile(np.arange(slices), scans)
    return SliceFeatures(
        image=np.char.add(np.char.add(name, "-"), place.astype(str)),
        patient=name,
        series=name,
        split=np.full(count, "train"),
        position_mm=(5.0 * place).astype(np.float32),
        labels=labels,
        features=features.astype(np.float32),
        logits=logits.astype(np.float32),
        map_maxima=np.empty((count, 0), np.float32),
    )
