"""Time the reading of one study in every transfer syntax, from files to result.

The study is written anew in each syntax that an encoder is installed for: the light half has those
of RLE, JPEG-LS and JPEG 2000, `ichlite[fast]` adds JPEG and HTJ2K.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite, uid
from pydicom.encaps import encapsulate

from ichlite.contracts.bench import SyntaxEntry
from ichlite.ct.decoders import (
    FAST_PACKAGE,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    LIGHT_PACKAGES,
    RLE,
    fast_in_use,
    light_half_alone,
)
from ichlite.ct.image_checks import COMPRESSED_SYNTAXES
from ichlite.infer.pipeline import read_with
from ichlite.infer.reader import Reader

PLAIN_SYNTAXES = (
    *(uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian),
    uid.DeflatedExplicitVRLittleEndian,
)
"""Uncompressed transfer syntaxes; the others are compared with the first."""

LIGHT_SYNTAXES: dict[uid.UID, tuple[str, dict[str, Any]]] = {
    uid.RLELossless: (RLE, {}),
    uid.JPEGLSLossless: (JPEG_LS, {}),
    uid.JPEGLSNearLossless: (JPEG_LS, {"jls_error": 2}),
    uid.JPEG2000Lossless: (JPEG_2000, {}),
    uid.JPEG2000: (JPEG_2000, {"j2k_cr": [10]}),
}
"""Transfer syntaxes that pydicom encodes with ichlite's basic dependencies: the kind of codestream
and the encoder's options. Lossy ones change stored values by at most 2, or save nine tenths of the
bytes."""

FAST_SYNTAXES: dict[uid.UID, tuple[str, dict[str, Any]]] = {
    uid.JPEGLosslessSV1: (JPEG, {"lossless": True, "predictor": 1, "bitspersample": 16}),
    uid.JPEGExtended12Bit: (JPEG, {"level": 95, "bitspersample": 12}),
    uid.HTJ2KLossless: (JPEG_2000, {"reversible": True}),
    uid.HTJ2K: (JPEG_2000, {"reversible": False, "level": 0.001}),
}
"""Transfer syntaxes that imagecodecs encodes: the kind of codestream and the encoder's options."""


def bench_syntaxes(
    one: Reader, two: Reader, study: Sequence[Path], turns: int
) -> tuple[SyntaxEntry, ...]:
    """Time the reading of a study in each transfer syntax that can be written, in alternation.

    Args:
        one: Reader that uses one thread.
        two: Reader of the same bundle that uses two threads.
        study: Uncompressed files, explicit little endian, of a series that is analysed.
        turns: Times that each version of the study is read; the quickest counts.

    Returns:
        The `syntaxes` of `ichlite bench --json`: an entry for each syntax and package that decodes
        it, the light half's first.
    """
    with tempfile.TemporaryDirectory(prefix="ichlite-bench-") as name:
        written = write_syntaxes(study, Path(name))
        entries = [
            (syntax, package, folder)
            for syntax, (kind, folder) in written.items()
            for package in _packages(kind)
        ]
        times_s = np.array(
            [
                [_reading_s(reader, folder, package) for reader in (one, two)]
                for _ in range(turns)
                for _, package, folder in entries
            ]
        ).reshape(turns, len(entries), 2)
        quickest_ms = times_s.min(axis=0) / len(study) * 1e3
        return tuple(
            SyntaxEntry(
                transfer_syntax_uid=str(syntax),
                name=COMPRESSED_SYNTAXES.get(syntax, syntax.name),
                package=package,
                bytes_per_slice=_bytes(folder) // len(study),
                quickest_ms_per_slice=float(one_ms),
                two_thread_quickest_ms_per_slice=float(two_ms),
                ratio_of_quickest=float(one_ms / quickest_ms[0, 0]),
            )
            for (syntax, package, folder), (one_ms, two_ms) in zip(
                entries, quickest_ms, strict=True
            )
        )


def write_syntaxes(study: Sequence[Path], folder: Path) -> dict[uid.UID, tuple[str | None, Path]]:
    """Write a study in every transfer syntax that an encoder is installed for.

    Args:
        study: Uncompressed files, explicit little endian, 16 bits.
        folder: Where to make a folder of each syntax.

    Returns:
        Of each syntax, uncompressed first, the kind of codestream (None: no codestream) and the
        folder.
    """
    kinds: dict[uid.UID, str | None] = dict.fromkeys(PLAIN_SYNTAXES)
    kinds |= {syntax: kind for syntax, (kind, _) in LIGHT_SYNTAXES.items()}
    if fast_in_use():
        kinds |= {syntax: kind for syntax, (kind, _) in FAST_SYNTAXES.items()}
    written = {syntax: (kind, folder / syntax) for syntax, kind in kinds.items()}
    for _, target in written.values():
        target.mkdir()
    for path in study:
        for syntax, (_, target) in written.items():
            _write(dcmread(path), syntax, target / path.name)
    return written


def _write(dataset: Dataset, syntax: uid.UID, target: Path) -> None:
    """Write an uncompressed data set in another transfer syntax."""
    if syntax in LIGHT_SYNTAXES:
        how = LIGHT_SYNTAXES[syntax][1]
        dataset.compress(syntax, generate_instance_uid=False, **how)
    elif syntax in FAST_SYNTAXES:
        if syntax == uid.JPEGExtended12Bit:
            _make_12_bits(dataset)
        dataset.PixelData = encapsulate([_encoded(dataset.pixel_array, syntax)])
        dataset["PixelData"].VR = "OB"
    elif syntax == uid.ExplicitVRBigEndian:
        dataset.PixelData = dataset.pixel_array.byteswap().tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    form = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
    # By force: pydicom does not turn the bytes of pixels, which was done above.
    dcmwrite(target, dataset, **form, force_encoding=True)


def _encoded(pixels: NDArray[Any], syntax: uid.UID) -> bytes:
    import imagecodecs

    kind, how = FAST_SYNTAXES[syntax]
    if kind == JPEG_2000:
        return bytes(imagecodecs.htj2k_encode(pixels, **how))
    return bytes(imagecodecs.jpeg8_encode(pixels.view(np.uint16), **how))  # it knows no sign


def _make_12_bits(dataset: Dataset) -> None:
    """Store HU from -1024 to 3071 in 12 bits, as scanners that compress so do."""
    hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    dataset.PixelData = np.clip(np.round(hu) + 1024, 0, 4095).astype("<u2").tobytes()
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.pop("PixelPaddingValue", None)


def _packages(kind: str | None) -> list[str | None]:
    """Return what decodes a kind of codestream here, the light half's package first."""
    if kind is None:
        return [None]
    return [LIGHT_PACKAGES[kind], FAST_PACKAGE] if fast_in_use() else [LIGHT_PACKAGES[kind]]


def _reading_s(reader: Reader, folder: Path, package: str | None) -> float:
    with nullcontext() if package == FAST_PACKAGE else light_half_alone():
        start_s = perf_counter()
        read_with(reader, [folder])
        return perf_counter() - start_s


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
