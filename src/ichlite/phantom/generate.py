"""Make a prepared store of phantoms; the order of work changes no byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichlite.data.rows import StoreRow
from ichlite.data.workers import in_processes
from ichlite.data.writer import StoreWriter
from ichlite.errors import UsageError
from ichlite.labels import ANY, CLASSES, NAMES
from ichlite.phantom.plans import mix_named
from ichlite.phantom.subject import Subject, generate_subject

Progress = Callable[[int, int], None]
SMALLEST_GRID, LARGEST_GRID = 32, 1024

GENERATOR_VERSION = 2
"""Version of the generator, raised whenever the same seed would give other images."""


@dataclass(frozen=True, slots=True)
class Made:
    """Counts of generated images, patients and positive slices.

    Attributes:
        images, patients: Number of images and of patients.
        positives: Number of slices with any haemorrhage and with each subtype.
        store_hash: Hash of the store; None for DICOM.
    """

    images: int
    patients: int
    positives: dict[str, int]
    store_hash: str | None = None


class Tally:
    """Running counts of generated subjects."""

    def __init__(self) -> None:
        self.images = 0
        self.patients = 0
        self.positives = dict.fromkeys(CLASSES, 0)

    def add(self, labels: NDArray[np.uint8]) -> None:
        """Count one subject.

        Args:
            labels: (slice, 5) labels of its slices, 0 or 1.
        """
        self.images += len(labels)
        self.patients += 1
        self.positives[ANY] += int(labels.any(1).sum())
        for name, count in zip(NAMES, labels.sum(0), strict=True):
            self.positives[name] += int(count)

    def made(self, store_hash: str | None = None) -> Made:
        """Return the counts so far, with the hash of the finished store if there is one."""
        return Made(self.images, self.patients, self.positives, store_hash)


@dataclass(frozen=True, slots=True)
class Order:
    """Specification of the phantoms to generate.

    Attributes:
        subjects: Number of patients.
        seed: Random seed; the same one, with the same balance and grid, gives the same images.
        balance: Mix of bleeds, `paper` or `training`; see `plans.BALANCES`.
        grid: Rows, and columns, of an image in pixels.
    """

    subjects: int
    seed: int
    balance: str = "paper"
    grid: int = 256

    def subject(self, index: int) -> Subject:
        """Generate one subject of this order.

        Args:
            index: Number of the subject, from 0.
        """
        return generate_subject(self.seed, index, mix_named(self.balance), grid=self.grid)


def split_of(seed: int, index: int) -> str:
    """Return the split of a phantom subject, drawn 80/10/10 from seed and index.

    Example:
        >>> [split_of(0, k) for k in range(10)].count("train") in (8,)
        True
    """
    tenth = np.random.default_rng([seed, index // 10, 7]).permutation(10)[index % 10]
    return "validation" if tenth == 8 else "test" if tenth == 9 else "train"


def patient_name(seed: int, index: int) -> str:
    """Return the name of a phantom patient.

    Args:
        seed: Random seed of the set.
        index: Number of the subject, from 0.

    Example:
        >>> patient_name(3, 12)
        'PHANTOM-3-00012'
    """
    return f"PHANTOM-{seed}-{index:05d}"


def store_rows(subject: Subject, seed: int) -> list[StoreRow]:
    """Return the store rows of a subject's slices."""
    patient = patient_name(seed, subject.index)
    split = split_of(seed, subject.index)
    rows = []
    for k, labels in enumerate(subject.labels):
        spot = subject.lesion[k]
        rows.append(
            StoreRow(
                image=f"{patient}-{k:03d}",
                patient=patient,
                study=f"{patient}-S",
                series=f"{patient}-S-1",
                position_mm=float(subject.position_mm[k]),
                labels=tuple(int(v) for v in labels),
                lesion=None if np.isnan(spot[0]) else (float(spot[0]), float(spot[1])),
                split=split,
            )
        )
    return rows


def check_counts(what: str, count: int, processes: int, seed: int) -> None:
    """Raise an error if a count or a seed is out of range.

    Args:
        what: What is to be made, such as `subjects`, for the message.
        count: How many are to be made.
        processes: Number of processes.
        seed: Random seed.

    Raises:
        UsageError: A count is below one, or the seed is negative.
    """
    for name, number in ((what, count), ("processes", processes)):
        if number < 1:
            raise UsageError(f"there are too few {name}", found=number, expected="1 or more")
    if seed < 0:
        raise UsageError("the seed is negative", found=seed, expected="at least 0")


def subjects_of(order: Order, processes: int = 1) -> Iterator[Subject]:
    """Generate the subjects of an order in several processes, and yield them by index.

    Args:
        order: Specification of the phantoms.
        processes: Number of processes; it does not change the images.

    Raises:
        UsageError: A count is below one, the seed negative, the grid out of range, or the balance
            unknown.
        StoreError: A worker process died.
    """
    check_counts("subjects", order.subjects, processes, order.seed)
    if not SMALLEST_GRID <= order.grid <= LARGEST_GRID:
        raise UsageError(
            "phantoms cannot have a matrix of that size",
            found=f"{order.grid} pixels a side",
            expected=f"{SMALLEST_GRID} to {LARGEST_GRID}",
        )
    mix_named(order.balance)
    yield from in_processes(order.subject, range(order.subjects), processes)


def write_store(
    path: Path, order: Order, *, processes: int = 1, progress: Progress | None = None
) -> Made:
    """Generate phantoms as a prepared store.

    Args:
        path: Folder to make.
        order: What to generate; its grid must be 256.
        processes: Number of processes; it does not change the store.
        progress: Called with (subjects done, subjects in all).

    Returns:
        Counts and the store's hash.

    Raises:
        StoreError: `path` holds something already.
        UsageError: Counts below one, an unknown balance.
    """
    generator = {
        "version": GENERATOR_VERSION,
        "subjects": order.subjects,
        "balance": order.balance,
        "atlas": "MNI ICBM 152 nonlinear symmetric 2009a (nilearn)",
    }
    tally = Tally()
    with StoreWriter(path, kind="phantom", seed=order.seed, generator=generator) as writer:
        for done, subject in enumerate(subjects_of(order, processes), start=1):
            writer.add(subject.hu, store_rows(subject, order.seed), subject.lesion_cells)
            tally.add(subject.labels)
            if progress is not None:
                progress(done, order.subjects)
    return tally.made(str(writer.hash))
