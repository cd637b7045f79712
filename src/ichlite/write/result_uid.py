"""Derive the UIDs of result objects from what was read: a result that is sent twice is one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ichlite import __version__
from ichlite.contracts.codec import document_text
from ichlite.infer.bundle import Bundle
from ichlite.infer.results import Analysed, ScanResult, objections

_ROOT = "2.25."
"""Of UIDs that are UUIDs (DICOM PS3.5 annex B.2)."""
_UUID_BITS = 128
_VERSION_8 = (0xF << 76, 8 << 76)
_VARIANT = (0b11 << 62, 0b10 << 62)
"""(mask, bits) of an RFC 9562 UUID that its maker derives in a way of its own."""


@dataclass(frozen=True, slots=True)
class ResultUids:
    """The UIDs of the two DICOM objects of a result, and of their series.

    Attributes:
        report_series, report: SeriesInstanceUID and SOPInstanceUID of the structured report.
        capture_series, capture: SeriesInstanceUID and SOPInstanceUID of the secondary capture.
    """

    report_series: str
    report: str
    capture_series: str
    capture: str


def derived_uid(*parts: str) -> str:
    """Derive a DICOM UID from texts: the same for the same texts, on every machine.

    Args:
        parts: Texts in order; ("ab", "c") and ("a", "bc") give different UIDs.

    Returns:
        `2.25.` and a UUID as a number, made of the first 128 bits of a SHA-256.

    Source:
        DICOM PS3.5 annex B.2; RFC 9562, UUID version 8.

    Example:
        >>> derived_uid("1.2.3", "report")
        '2.25.329461610234243680713342016134340868730'
        >>> derived_uid("ab", "c") == derived_uid("a", "bc")
        False
    """
    digest = hashlib.sha256(json.dumps(parts).encode("ascii")).digest()
    number = int.from_bytes(digest[: _UUID_BITS // 8], "big")
    for mask, bits in (_VERSION_8, _VARIANT):
        number = number & ~mask | bits
    return f"{_ROOT}{number}"


def bundle_sha256(bundle: Bundle) -> str:
    """Return the SHA-256 (hexadecimal) of a bundle's manifest, which identifies the bundle.

    The manifest holds the hash of the model and all that turns its logits into a call.

    Example:
        >>> from ichlite.infer.bundle import load_bundle
        >>> len(bundle_sha256(load_bundle()))
        64
    """
    return hashlib.sha256(document_text(bundle.manifest).encode("utf-8")).hexdigest()


def result_uids(
    scans: Sequence[ScanResult], instances: Iterable[str], bundle: Bundle
) -> ResultUids:
    """Derive the UIDs of the DICOM objects of one result.

    They depend on study, series and instances, the bundle and its operating point, whether there is
    a call and whether it was forced, and ichlite's version. Slices that arrive late, or another
    bundle, give other UIDs; reading the same again gives the same.

    Args:
        scans: One scan that was analysed, or all series of a study of which none was.
        instances: SOPInstanceUIDs of their images, in any order, a frame as `UID#frame`.
        bundle: Bundle that judged, or would have.
    """
    first = scans[0]
    key = (
        first.study,
        *sorted(scan.series for scan in scans),
        "instances",
        *sorted(instances),
        "read by",
        bundle_sha256(bundle),
        first.operating_point or bundle.operating_point,
        first.status,
        "forced" if isinstance(first, Analysed) and objections(first) else "",
        __version__,
    )
    return ResultUids(*(derived_uid(*key, role) for role in ResultUids.__dataclass_fields__))
