"""Tables without images: studies, patients and a split of them, at full scale where they are."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ichlite.data.store_tables import read_tables, split_tables
from ichlite.errors import InputError
from ichlite.labels import CLASSES


def write(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def test_studies_of_several_tables_are_counted_once(tmp_path: Path) -> None:
    labels = [1, 1, 0, 0, 0, 0]
    write(
        tmp_path / "studies.csv",
        ["PatientID", "StudyInstanceUID", *CLASSES],
        [["p1", "s1", *labels], ["p1", "s2", *[0] * 6], ["p2", "s3", *labels]],
    )
    write(
        tmp_path / "headers.csv",
        ["SOPInstanceUID", "PatientID", "StudyInstanceUID"],
        [[k, "p3", "s4"] for k in range(30)] + [[99, "p2", "s3"]],
    )
    write(tmp_path / "other.csv", ["Image", "any"], [["x", 1]])
    tables = read_tables(tmp_path)
    assert sorted(tables.studies) == ["s1", "s2", "s3", "s4"]
    assert (tables.names, tables.slices) == (("headers.csv", "studies.csv"), 31)
    dealt = split_tables(tables, preset="paper", seed=0, out=tmp_path / "split.csv")
    said = dealt.as_json()
    assert (said["studies"], said["patients"], said["studies_without_labels"]) == (4, 3, 1)
    assert dealt.split["p3"] == "unused"
    with (tmp_path / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["study"], row["any"]) for row in rows] == [
        ("s1", "1"), ("s2", "0"), ("s3", "1"), ("s4", ""),
    ]  # fmt: skip
    assert "| Patients |" in dealt.markdown()


def test_contradictions_are_findings(tmp_path: Path) -> None:
    write(
        tmp_path / "studies.csv",
        ["PatientID", "StudyInstanceUID"],
        [["p1", "s1"], ["p2", "s1"], ["p3", "s2"]],
    )
    tables = read_tables(tmp_path / "studies.csv")
    assert list(tables.studies) == ["s2"]
    assert [(one.kind, one.item) for one in tables.findings] == [("conflicting_labels", "s1")]


def test_faults_of_rows_are_named(tmp_path: Path) -> None:
    write(
        tmp_path / "studies.csv",
        ["PatientID", "StudyInstanceUID", *CLASSES],
        [
            ["p1", "s1", *[0] * 6], ["", "s2", *[0] * 6], ["nan", "s3", *[0] * 6],
            ["p4", "s4", 7, *[0] * 5], ["p5", "s5", *[""] * 6],
        ],
    )  # fmt: skip
    tables = read_tables(tmp_path)
    assert sorted(tables.studies) == ["s1", "s5"]
    assert [one.kind for one in tables.findings] == [
        "missing_patient", "missing_patient", "incomplete_labels",
    ]  # fmt: skip


def test_other_tables_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "other.csv", ["Image", "any"], [["x", 1]])
    with pytest.raises(InputError, match="PatientID and StudyInstanceUID"):
        read_tables(tmp_path)


def test_the_full_set_has_21744_studies_of_18938_patients(shared_data: Path) -> None:
    dealt = split_tables(read_tables(shared_data / "tables"), preset="all", seed=0)
    assert (len(dealt.tables.studies), len(dealt.split)) == (21_744, 18_938)
    owner: dict[str, set[str]] = {}
    for study in dealt.tables.studies.values():
        owner.setdefault(study.patient, set()).add(dealt.split[study.patient])
    assert all(len(sides) == 1 for sides in owner.values())
    assert dealt.table.counts["validation"]["patients"] == 1893
