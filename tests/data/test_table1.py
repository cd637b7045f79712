"""Table 1: counted by hand on a handful of images."""

from __future__ import annotations

import numpy as np

from ichlite.data.table1 import table1

PATIENTS = ["a", "a", "b", "b", "c"]
STUDIES = ["a1", "a1", "b1", "b2", "c1"]
SPLITS = ["train", "train", "test", "test", "unused"]
LABELS = np.array([[0] * 5, [1, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0] * 5], np.uint8)


def test_slices_are_counted_by_split() -> None:
    table = table1(PATIENTS, STUDIES, SPLITS, LABELS, LABELS.any(1).astype(np.uint8))
    assert table.counts["train"] == {
        "patients": 1, "studies": 1, "slices": 2, "without": 1, "with": 1, "epidural": 1,
        "intraparenchymal": 0, "intraventricular": 0, "subarachnoid": 0, "subdural": 1,
    }  # fmt: skip
    assert table.counts["test"]["studies"] == 2
    assert table.counts["validation"]["slices"] == 0
    assert table.counts["unused"]["patients"] == 1
    assert "| Slices | 2 | 0 | 2 | 1 |" in table.markdown()


def test_scan_labels_count_once_a_study() -> None:
    labels = LABELS.copy()
    labels[0] = labels[1]
    any_bleed = labels.any(1).astype(np.uint8)
    table = table1(PATIENTS, STUDIES, SPLITS, labels, any_bleed, unit="scan")
    assert table.counts["train"]["slices"] == 2
    assert (table.counts["train"]["with"], table.counts["train"]["epidural"]) == (1, 1)
    assert (table.counts["test"]["with"], table.counts["test"]["without"]) == (2, 0)
    assert "| With haemorrhage (scans) | 1 |" in table.markdown()
