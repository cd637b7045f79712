"""What multi-label LDAM does to each subtype, with the positives of the paper's Table 1."""

from __future__ import annotations

import numpy as np

from ichlite.labels import SUBTYPES
from ichlite.train.losses import bce, ldam, ldam_margins

TRAINING_POSITIVES = {"EDH": 2_709, "IPH": 29_860, "IVH": 21_586, "SAH": 29_299, "SDH": 38_864}


def main() -> None:
    positives = [TRAINING_POSITIVES[subtype.abbreviation] for subtype in SUBTYPES]
    margins = np.asarray(ldam_margins(positives, max_margin=0.5))
    print("subtype  positives  margin  loss of a positive at logit 0: BCE  LDAM")
    for number, subtype in enumerate(SUBTYPES):
        label, logit = np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
        plain = float(bce(label, logit)[0])
        pushed = float(ldam(label, logit, margins=margins[number : number + 1])[0])
        print(
            f"{subtype.abbreviation:7}  {positives[number]:9}  {margins[number]:6.2f}"
            f"  {plain:34.3f}  {pushed:.3f}"
        )


if __name__ == "__main__":
    main()
