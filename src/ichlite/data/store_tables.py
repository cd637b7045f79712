"""Split a data set and compute Table 1 from tables of its studies, without any image.

For data sets whose pixels are elsewhere, or not yet here: RSNA's study list and header dumps. Every
table (.csv, .csv.gz) with the columns PatientID and StudyInstanceUID is read, one row a study or a
slice; labels are taken where they stand beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ichlite.atomic_files import write_csv
from ichlite.data.audit import Finding, counts_by_action
from ichlite.data.readers.label_table import is_blank, labels_of, read_rows
from ichlite.data.rows import CONSTANT, UNUSED
from ichlite.data.split import (
    check_leakage,
    groups_of,
    patient_labels,
    split_hash,
    split_patients,
)
from ichlite.data.table1 import Table1, table1
from ichlite.errors import InputError
from ichlite.labels import CLASSES

KEYS = ("PatientID", "StudyInstanceUID")
_UNKNOWN = ("",) * len(CLASSES)


@dataclass(frozen=True, slots=True)
class Study:
    """One study listed in tables, without images.

    Attributes:
        patient: Name of the patient.
        labels: 0 or 1 for each of `CLASSES`; None when no table has labels of the study.
    """

    patient: str
    labels: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Tables:
    """Studies listed in a folder of tables.

    Attributes:
        names: Names of the tables that were read.
        studies: Studies by StudyInstanceUID.
        slices: Number of rows in tables with one row for each slice.
        findings: Rows and studies that are left out: contradictions, missing patients or labels.
    """

    names: tuple[str, ...]
    studies: dict[str, Study]
    slices: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Dealt:
    """Split of the patients listed in tables, with its Table 1.

    Attributes:
        tables: Tables that list the patients.
        split: `train`, `validation`, `test` or `unused` for each patient.
        preset, seed: Preset and random seed that the split was drawn with.
        table: Table 1, counted over studies.
        unlabelled: Number of studies without labels.
    """

    tables: Tables
    split: dict[str, str]
    preset: str
    seed: int
    table: Table1
    unlabelled: int

    def as_json(self) -> dict[str, Any]:
        """Return counts, split and Table 1 as a JSON-serialisable dict."""
        return {
            "tables": list(self.tables.names),
            "studies": len(self.tables.studies),
            "patients": len(self.split),
            "slices_in_header_tables": self.tables.slices,
            "studies_without_labels": self.unlabelled,
            "split": self.preset,
            "seed": self.seed,
            "split_hash": split_hash(self.split.keys(), self.split.values()),
            "table1": self.table.counts,
            "quarantined": counts_by_action(self.tables.findings)["quarantined"],
        }

    def markdown(self) -> str:
        """Return counts and Table 1 as Markdown."""
        return (
            f"{len(self.tables.studies):,} studies of {len(self.split):,} patients; "
            f"{self.unlabelled:,} studies without labels count as studies alone.\n\n"
            + self.table.markdown()
        )


def read_tables(root: Path) -> Tables:
    """Read studies, patients and labels from CSV tables.

    Args:
        root: One table, or a folder with tables (`*.csv`, `*.csv.gz`).

    Raises:
        InputError: No table has the columns `KEYS` and a row, or one cannot be read.

    Returns:
        The studies without a fault; what is contradictory or incomplete is among the findings.
    """
    files = [root] if root.is_file() else sorted([*root.glob("*.csv"), *root.glob("*.csv.gz")])
    patients: dict[str, str] = {}
    labels: dict[str, tuple[int, ...]] = {}
    faults: dict[str, Finding] = {}
    names, slices = [], 0
    for file in files:
        rows, studies = 0, set()
        for number, row in read_rows(file, ()):
            if not set(KEYS) <= set(row):
                break
            rows += 1
            patient, study = row["PatientID"], row["StudyInstanceUID"]
            studies.add(study)
            if is_blank(patient) or is_blank(study):
                item = f"{file.name} line {number}"
                faults[item] = Finding("missing_patient", item, "no patient or no study")
                continue
            if patients.setdefault(study, patient) != patient:
                said = f"patients {patients[study]} and {patient}"
                faults[study] = Finding("conflicting_labels", study, said)
            labelled = set(CLASSES) <= set(row) and not all(is_blank(row[one]) for one in CLASSES)
            six = labels_of(row, CLASSES) if labelled else None
            if labelled and six is None:
                said = f"{file.name} line {number}"
                faults[study] = Finding("incomplete_labels", study, said)
            elif six is not None and labels.setdefault(study, six) != six:
                said = f"labels {labels[study]} and {six}"
                faults[study] = Finding("conflicting_labels", study, said)
        if rows:
            names.append(file.name)
            slices += rows if rows > len(studies) else 0
    if not names:
        raise InputError(
            f"{root} has no table of studies",
            found=", ".join(file.name for file in files) or "no .csv or .csv.gz",
            expected=f"one with the columns {' and '.join(KEYS)}",
        )
    return Tables(
        tuple(names),
        {
            study: Study(patient, labels.get(study))
            for study, patient in patients.items()
            if study not in faults
        },
        slices,
        tuple(faults.values()),
    )


def split_tables(tables: Tables, *, preset: str, seed: int, out: Path | None = None) -> Dealt:
    """Split the patients listed in tables, check that no patient is on two sides, and write a CSV.

    Args:
        tables: Tables as `read_tables` returns them.
        preset: `paper`, `all` or `test`.
        seed: Random seed of the split.
        out: CSV file to write, with columns study, patient, split, `any` and subtypes (empty where
            unknown); None for no file.

    Raises:
        StoreError: The split leaks, which would be a fault of ours.
    """
    studies = sorted(tables.studies)
    patients = [tables.studies[study].patient for study in studies]
    no_pixels = [CONSTANT] * len(studies)
    known = [(one.patient, one.labels) for one in tables.studies.values() if one.labels]
    labels = patient_labels(
        [patient for patient, _ in known],
        [six[0] for _, six in known],
        [six[1:] for _, six in known],
    )
    groups = groups_of(patients, studies, no_pixels)
    split = split_patients(groups, labels, preset=preset, seed=seed)
    sides = [split[patient] for patient in patients]
    check_leakage(patients, studies, no_pixels, sides)
    table, unlabelled = _table(tables, studies, patients, sides)
    if out is not None:
        write_csv(
            out,
            ["study", "patient", "split", *CLASSES],
            [
                [study, patient, side, *map(str, tables.studies[study].labels or _UNKNOWN)]
                for study, patient, side in zip(studies, patients, sides, strict=True)
            ],
        )
    return Dealt(tables, split, preset, seed, table, unlabelled)


def _table(
    tables: Tables, studies: list[str], patients: list[str], sides: list[str]
) -> tuple[Table1, int]:
    """Compute Table 1: patients and studies of all, the rest of the studies with labels."""
    six = [tables.studies[study].labels for study in studies]
    known = [place for place, labels in enumerate(six) if labels is not None]
    values = np.array([six[place] for place in known], np.uint8).reshape(-1, len(CLASSES))
    labelled = table1(
        [patients[place] for place in known],
        [studies[place] for place in known],
        [sides[place] for place in known],
        values[:, 1:],
        values[:, 0],
        unit="scan",
    )
    counts = {}
    for side in dict.fromkeys((*labelled.counts, *([UNUSED] if UNUSED in sides else []))):
        here = [place for place, one in enumerate(sides) if one == side]
        counts[side] = {
            **{k: v for k, v in labelled.counts.get(side, {}).items() if k != "slices"},
            "patients": len({patients[place] for place in here}),
            "studies": len(here),
        }
    return Table1(counts, "scan"), len(studies) - len(known)
