"""The label table of CT-ICH: read as it was published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.ct_ich_files import line, write_table

from ichlite.data.readers.ct_ich_table import labels_by_patient, read_slice_labels
from ichlite.labels import NAMES


def test_labels_are_parted_by_patient(tmp_path: Path) -> None:
    table = write_table(tmp_path / "a.csv", line(49, 1), line(50, 1, "Epidural"), line("x", 1))
    labels, said, findings = read_slice_labels(table)
    assert labels_by_patient(labels, [*said, 51]) == {
        49: {(49, 1): ((0,) * 5, 0)},
        50: {(50, 1): ((1, 0, 0, 0, 0), 1)},
        51: {},
    }
    assert [(one.kind, one.item) for one in findings] == [("missing_patient", "a.csv line 4")]


def test_the_real_table(shared_data: Path) -> None:
    table = shared_data / "tables" / "physionet_hemorrhage_diagnosis.csv"
    labels, said, findings = read_slice_labels(table)
    assert findings == []
    assert len(labels) == 2501
    assert sorted(said) == list(range(49, 131))
    assert all(numbers == set(range(1, len(numbers) + 1)) for numbers in said.values())
    counts = np.array([[*subtypes, any_bleed] for subtypes, any_bleed in labels.values()]).sum(0)
    assert dict(zip((*NAMES, "any"), counts.tolist(), strict=True)) == {
        "epidural": 173,
        "intraparenchymal": 73,
        "intraventricular": 24,
        "subarachnoid": 18,
        "subdural": 56,
        "any": 318,
    }
