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
    """Counts of the studies and patients of RSNA 2019.

    Attributes:
        source: Name of the store or tables they were counted in.
        studies, patients: Number of all studies and patients.
        positive_studies, positive_patients: Number of those known to have a haemorrhage.
        unlabelled_studies: Number of studies with unknown labels, which may be positive too.
    """

    source: str
    studies: int
    patients: int
    positive_studies: int
    positive_patients: int
    unlabelled_studies: int


def rsna_counts(store: Store, tables: Path | None, kept: Path) -> RsnaCounts | None:
    """Count the studies of RSNA 2019 in tables, else in a store of it, else use stored counts.

    Args:
        store: Of any kind.
        tables: Folder or file that `ichlite prepare tables` accepts; None for none.
        kept: File of stored counts, written when tables were counted.

    Returns:
        The counts; None if none of the three is available.

    Raises:
        InputError: `tables` has no table of studies, or the stored counts are damaged.
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
