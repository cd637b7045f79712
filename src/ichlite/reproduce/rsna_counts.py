"""Count the studies of RSNA 2019, which the paper states, in a store of it or in tables of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ichlite.atomic_files import write_json
from ichlite.data.store import Store
from ichlite.data.store_tables import read_tables
from ichlite.reproduce.kept_runs import read_kept


@dataclass(frozen=True, slots=True)
class RsnaCounts:
    """What is known of RSNA 2019's studies.

    Attributes:
        source: Where they were counted.
        studies, patients: All of them.
        positive_studies, positive_patients: Of these with blood; at least so many.
        unlabelled_studies: Whose labels are not known, so that they may add to the positive ones.
    """

    source: str
    studies: int
    patients: int
    positive_studies: int
    positive_patients: int
    unlabelled_studies: int


def rsna_counts(store: Store, tables: Path | None, kept: Path) -> RsnaCounts | None:
    """Count in tables where they are given, else in a store of RSNA 2019, else take what is kept.

    Args:
        store: Of any kind.
        tables: As `ichlite prepare tables` takes them.
        kept: File of the counts, written when they were counted in tables.

    Raises:
        InputError: No table of studies there; or what is kept is damaged.

    Returns:
        None where none of the three tells.
    """
    if tables is not None:
        read = read_tables(tables)
        found = _counted(
            f"the tables {', '.join(read.names)}",
            {name: study.patient for name, study in read.studies.items()},
            {
                name: study.labels[0] if study.labels else None
                for name, study in read.studies.items()
            },
        )
        write_json(kept, found)
        return found
    if str(store.meta.get("kind")) != "rsna":
        return read_kept(RsnaCounts, kept)
    studies = np.asarray(store.study)
    bleeding = set(studies[np.asarray(store.any) == 1].tolist())
    return _counted(
        f"the store {store.path.name}",
        dict(zip(studies.tolist(), store.patient.tolist(), strict=True)),
        {study: int(study in bleeding) for study in studies.tolist()},
    )


def _counted(
    source: str, patients: Mapping[str, str], bleeds: Mapping[str, int | None]
) -> RsnaCounts:
    """Count studies by name: of each its patient, and 0, 1 or None where its label is unknown."""
    positive = [study for study, label in bleeds.items() if label]
    return RsnaCounts(
        source,
        studies=len(patients),
        patients=len(set(patients.values())),
        positive_studies=len(positive),
        positive_patients=len({patients[study] for study in positive}),
        unlabelled_studies=sum(label is None for label in bleeds.values()),
    )
