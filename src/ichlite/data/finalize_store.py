"""Write a store's index, audit report and description when all of its parts are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ichlite.atomic_files import write_csv, write_json, write_text
from ichlite.data.audit import (
    FINDINGS_FILE,
    Finding,
    audit_markdown,
    counts_by_action,
    find_duplicates,
    shared_series,
)
from ichlite.data.pixels import read_results
from ichlite.data.readers.index import Index
from ichlite.data.rows import UNUSED, StoreRow, write_index
from ichlite.data.split import (
    PRESETS,
    check_leakage,
    groups_of,
    patient_labels,
    split_hash,
    split_patients,
)
from ichlite.data.store import META_FILE, PARTS_FOLDER, SCHEMA
from ichlite.data.store_parts import PART_IMAGES
from ichlite.data.table1 import Table1, table1
from ichlite.errors import InputError, UsageError, check_name

AUDIT_FILE = "audit.md"


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of split: a preset and the seed of its random draw.

    Attributes:
        preset: Key of `split.PRESETS`.
        seed: Random seed, at least 0.

    Raises:
        UnknownName: No such preset.
        UsageError: The seed is below 0.
    """

    preset: str
    seed: int = 0

    def __post_init__(self) -> None:
        check_name("split", self.preset, PRESETS)
        if self.seed < 0:
            raise UsageError(f"the seed of a split must be 0 or more, not {self.seed}")


@dataclass(frozen=True, slots=True)
class _Kept:
    """Images that gave pixels: their rows, and beside each its slot and the hash of its pixels."""

    rows: list[StoreRow]
    slots: list[int]
    pixels: list[str]


def finish_store(out: Path, index: Index, choice: Choice, key: str) -> dict[str, Any]:
    """Finish a store whose parts are written: draw the split, write index, audit, description.

    Args:
        out: The store's folder.
        index: Images of the data set, as read, that the parts were made from.
        choice: Split to draw.
        key: Inventory key of the source files (`prepare_store.inventory_key`).

    Returns:
        The contents of `store.json`, which is written last.

    Raises:
        InputError: No image could be read.
        UsageError: The split prescribed by the data set is asked for, and it prescribes none.
    """
    kept, findings = _collect(out, index)
    splits, moved = _splits(kept, index, choice)
    findings = [*index.findings, *findings, *moved]
    rows = [replace(row, split=splits[row.patient]) for row in kept.rows]
    patients, sides = [row.patient for row in rows], [splits[row.patient] for row in rows]
    check_leakage(patients, [row.series for row in rows], kept.pixels, sides)
    findings += shared_series(rows)
    findings += find_duplicates(rows, kept.pixels)
    counts = table1(
        patients,
        [row.study for row in rows],
        sides,
        np.array([row.labels for row in rows], np.uint8),
        np.array([row.bleeds for row in rows], np.uint8),
        unit=index.label_level,
    )
    (out / META_FILE).unlink(missing_ok=True)
    cells = (
        row.cells(slot, pixel)
        for row, slot, pixel in zip(rows, kept.slots, kept.pixels, strict=True)
    )
    store_hash = write_index(out, cells)
    description = {
        "schema": SCHEMA,
        "kind": index.kind,
        "label_level": index.label_level,
        "hu_range": index.hu_range,
        "images": len(rows),
        "images_found": len(index.images),
        "patients": len(splits),
        "studies": len({row.study for row in rows}),
        "seed": choice.seed,
        "split": choice.preset,
        "split_hash": split_hash(patients, sides),
        "hash": store_hash,
        "generator": {"files": key},
        "audit": counts_by_action(findings),
        "table1": counts.counts,
    }
    _write_audit(out, description, findings, counts)
    write_json(out / META_FILE, description)
    return description


def _collect(out: Path, index: Index) -> tuple[_Kept, list[Finding]]:
    """Put the results of all parts beside their records."""
    kept = _Kept([], [], [])
    findings: list[Finding] = []
    for first in range(0, len(index.images), PART_IMAGES):
        records = index.images[first : first + PART_IMAGES]
        slot = first
        results = read_results(out / PARTS_FOLDER, first // PART_IMAGES)
        for record, result in zip(records, results, strict=True):
            findings += [Finding(kind, record.source, said) for kind, said in result.findings]
            if result.pixel_sha256 is None:
                continue
            kept.rows.append(replace(record, source_sha256=result.source_sha256))
            kept.slots.append(slot)
            kept.pixels.append(result.pixel_sha256)
            slot += 1
    if not kept.rows:
        said = f"; the first: {findings[0].kind}, {findings[0].detail}" if findings else ""
        raise InputError(f"no image of {index.root} could be read{said}")
    return kept, findings


def _splits(kept: _Kept, index: Index, choice: Choice) -> tuple[dict[str, str], list[Finding]]:
    """Return each patient's split, and findings of patients who were moved to another side."""
    groups = groups_of(
        [row.patient for row in kept.rows],
        [row.series for row in kept.rows],
        kept.pixels,
    )
    if choice.preset != "given":
        never = {row.patient for row in kept.rows if row.split == UNUSED}
        used = {patient: group for patient, group in groups.items() if patient not in never}
        labels = patient_labels(
            [row.patient for row in kept.rows],
            [row.bleeds for row in kept.rows],
            [row.labels for row in kept.rows],
        )
        split = split_patients(used, labels, preset=choice.preset, seed=choice.seed)
        return split | dict.fromkeys(never, UNUSED), []
    sides: dict[str, set[str]] = {}
    given: dict[str, str] = {}
    for record in kept.rows:
        if record.split is None:
            raise UsageError(
                f"the {index.kind} data set gives no split for image {record.image}",
                remedy="ask for --split paper or all",
            )
        given[record.patient] = record.split
        sides.setdefault(groups[record.patient], set()).add(record.split)
    moved = [
        Finding(
            "patient_in_two_splits",
            patient,
            "shares a slice or series with another split; now in train",
        )
        for patient, group in groups.items()
        if len(sides[group]) > 1 and given[patient] != "train"
    ]
    return {
        patient: given[patient] if len(sides[group]) == 1 else "train"
        for patient, group in groups.items()
    }, moved


def _write_audit(
    out: Path, description: dict[str, Any], findings: Iterable[Finding], counts: Table1
) -> None:
    ordered = sorted(findings, key=lambda one: (one.kind, one.item, one.detail))
    write_csv(
        out / FINDINGS_FILE,
        ["action", "kind", "item", "detail"],
        ([one.action, one.kind, one.item, one.detail] for one in ordered),
    )
    known = description["hu_range"]
    facts = {
        name: description[name]
        for name in ("kind", "label_level", "images_found", "images", "patients", "studies",
                     "split", "seed", "split_hash", "hash")
    }  # fmt: skip
    facts["hu_range"] = "all" if known is None else f"{known[0]} to {known[1]} HU"
    text = audit_markdown(facts, ordered, counts.markdown())
    write_text(out / AUDIT_FILE, text)
