"""Keep who trained a model as short hashes, to see whether a patient was among them.

Patients are hashed by name where a data set gives its patients the same names wherever it is
prepared, and every series by its pixels, which finds it in a store of any kind. A name alone says
nothing elsewhere: patient 1 of two hospitals is two people.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import UNSET, structs

from ichlite.contracts.codec import ContractError, read_document
from ichlite.contracts.run import FingerprintText, RunManifest
from ichlite.data.join import IMPLANT, metas_of
from ichlite.data.rows import CONSTANT
from ichlite.data.store import Store
from ichlite.errors import InputError

TRAINING_FILE = "train.json"
"""File name of the training manifest beside a checkpoint."""
NAMED_KINDS = ("rsna", "cq500", "ct-ich")
"""Kinds of data set whose patients have the same names wherever the set is prepared."""
MOST_IN_BUNDLE = 2000
"""Largest number of patients whose hashes a bundle holds; for more it holds one hash of all."""

_BYTES = 6
"""Size of a hash: a hundred thousand people meet as many by chance once in 28 thousand times."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Hashes by which patients and series of a training split can be recognised.

    Attributes:
        patients: Number of patients.
        names: Hashes of the patients' names, for data sets whose names are the same everywhere.
        series: One hash for each series: that of its slice with the smallest pixel hash.
    """

    patients: int
    names: frozenset[int]
    series: frozenset[int]

    def packed(self) -> FingerprintText:
        """Return the fingerprint as text for a manifest: sorted six-byte hashes in base64."""
        names, series = _packed(self.names), _packed(self.series)
        digest = hashlib.sha256(f"{self.patients}\n{names}\n{series}".encode()).hexdigest()
        return FingerprintText(patients=self.patients, names=names, series=series, sha256=digest)

    def seen(
        self,
        kinds: Iterable[str],
        patients: Iterable[str],
        pixels: Iterable[str],
    ) -> tuple[str, ...]:
        """Return the names of patients of a data set who are in this fingerprint, sorted.

        Args:
            kinds: (image,) kind of the data set that each image is from.
            patients: (image,) patient names.
            pixels: (image,) `rows.pixel_sha256` of each image; constant slices are ignored.
        """
        found: set[str] = set()
        named: set[tuple[str, str]] = set()
        for kind, patient, pixel in zip(kinds, patients, pixels, strict=True):
            if not pixel.startswith(CONSTANT) and _of_pixels(pixel) in self.series:
                found.add(str(patient))
            if kind in NAMED_KINDS:
                named.add((kind, str(patient)))
        found |= {patient for kind, patient in named if _of_name(kind, patient) in self.names}
        return tuple(sorted(found))


def of_run(store: Store, init: Path | None = None) -> Fingerprint:
    """Return the fingerprint of a run's training patients and of those of its checkpoint.

    Args:
        store: Store that the run trains on.
        init: Checkpoint that the run starts from, with its manifest beside it; None for random
            weights.

    Raises:
        InputError: The fingerprint in that manifest was altered.
    """
    own = fingerprint(store)
    try:
        text = "" if init is None else (init.parent / TRAINING_FILE).read_text(encoding="utf-8")
        before = read_fingerprint(read_document(RunManifest, text)) if text else None
    except (OSError, ContractError):
        before = None
    if before is None:
        return own
    return Fingerprint(
        own.patients + before.patients, own.names | before.names, own.series | before.series
    )


def fingerprint(store: Store, split: str = "train") -> Fingerprint:
    """Return the fingerprint of the patients and series in one split of a store.

    Args:
        store: One store, or several that were joined.
        split: Name of the split.
    """
    kinds = [str(meta.get("kind")) for meta in metas_of(store)]
    patients: set[tuple[str, str]] = set()
    smallest: dict[tuple[int, str], str] = {}
    for row in np.flatnonzero(store.split == split):
        place = int(store.origin[row])
        patients.add((kinds[place], str(store.patient[row])))
        pixel = str(store.pixel_sha256[row])
        if not pixel.startswith(CONSTANT):
            series = (place, str(store.series[row]))
            smallest[series] = min(smallest.get(series, pixel), pixel)
    # An implant is in the head of a patient of one of those data sets; which, it does not say.
    names = {
        _of_name(named, patient)
        for kind, patient in patients
        for named in NAMED_KINDS
        if kind in (named, IMPLANT)
    }
    return Fingerprint(
        len(patients), frozenset(names), frozenset(_of_pixels(one) for one in smallest.values())
    )


def read_fingerprint(training: RunManifest) -> Fingerprint | None:
    """Read the fingerprint from a training manifest; None if it holds none, or only its hash.

    Raises:
        InputError: The fingerprint does not match its hash.
    """
    said = training.fingerprint
    if said is UNSET or said.names is None or said.series is None:
        return None
    try:
        found = Fingerprint(said.patients, _unpacked(said.names), _unpacked(said.series))
        if found.packed() == said:
            return found
    except ValueError:
        pass
    raise InputError(
        "the fingerprint of the training manifest was changed after training",
        remedy="restore the manifest that `ichlite train` wrote",
    )


def for_bundle(training: RunManifest) -> RunManifest:
    """Return a training manifest for a bundle, with a large fingerprint cut to its hash."""
    said = training.fingerprint
    if said is UNSET or said.patients <= MOST_IN_BUNDLE:
        return training
    return structs.replace(training, fingerprint=structs.replace(said, names=None, series=None))


def _of_name(kind: str, patient: str) -> int:
    digest = hashlib.sha256(f"{kind}\n{patient}".encode(errors="backslashreplace")).digest()
    return int.from_bytes(digest[:_BYTES], "big")


def _of_pixels(pixel_sha256: str) -> int:
    return int(pixel_sha256[: 2 * _BYTES], 16)


def _packed(hashes: frozenset[int]) -> str:
    return base64.b64encode(
        b"".join(one.to_bytes(_BYTES, "big") for one in sorted(hashes))
    ).decode()


def _unpacked(text: str) -> frozenset[int]:
    content = base64.b64decode(text, validate=True)
    return frozenset(
        int.from_bytes(content[first : first + _BYTES], "big")
        for first in range(0, len(content), _BYTES)
    )
