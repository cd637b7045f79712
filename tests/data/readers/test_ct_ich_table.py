"""The label table of CT-ICH: read as it was published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.ct_ich_files import line, write_table

from ichlite.data.audit import Finding
from ichlite.data.readers.ct_ich_table import Scan, read_scans, read_slice_labels
from ichlite.data.rows import StoreRow
from ichlite.data.workers import in_this_process
from ichlite.labels import NAMES


def test_each_scan_gets_the_labels_of_its_patient(tmp_path: Path) -> None:
    table = write_table(tmp_path / "a.csv", line(49, 1), line(50, 1, "Epidural"), line("x", 1))
    seen: list[Scan] = []

    def read_scan(scan: Scan) -> tuple[list[StoreRow], list[Finding]]:
        seen.append(scan)
        return [], []

    paths = {50: tmp_path / "50", 51: tmp_path / "51"}
    _, findings = read_scans(
        tmp_path, table, paths, read_scan, "no file", lambda _done, _total: None, in_this_process
    )
    assert seen == [
        Scan(tmp_path, 50, paths[50], {(50, 1): ((1, 0, 0, 0, 0), 1)}, frozenset({1}), named=True),
        Scan(tmp_path, 51, paths[51], {}, frozenset(), named=False),
    ]
    assert [(one.kind, one.item, one.detail) for one in findings] == [
        ("missing_patient", "a.csv line 4", "PatientNumber 'x'"),
        ("label_without_image", "049", "no file"),
    ]


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
