"""A study in every transfer syntax: what is written is read as the same, by each package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.dicom_files import write_head_series

from ichlite.bench.scan import write_uncompressed
from ichlite.bench.syntaxes import FAST_SYNTAXES, bench_syntaxes, write_syntaxes
from ichlite.ct.decoders import fast_in_use, light_half_alone
from ichlite.ct.header import read_header
from ichlite.ct.hounsfield import read_stored, to_hu
from ichlite.ct.image_checks import COMPRESSED_SYNTAXES, LOSSY_SYNTAXES
from ichlite.infer.reader import Reader
from ichlite.records import SliceHeader
from ichlite.samples import GE_HEAD


def hu_of(path: Path) -> np.ndarray:
    header = read_header(str(path))
    assert isinstance(header, SliceHeader)
    return to_hu(read_stored(header), header)[0]


def test_every_syntax_that_is_written_holds_the_same_hu(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    plain = write_uncompressed(GE_HEAD.files[12:13], tmp_path / "plain")
    exact = hu_of(plain[0])
    written = write_syntaxes(plain, tmp_path)
    assert {syntax for syntax in written if syntax.is_compressed} < set(COMPRESSED_SYNTAXES)
    for syntax, (_, folder) in written.items():
        (path,) = folder.iterdir()
        header = read_header(str(path))
        assert isinstance(header, SliceHeader)
        assert header.layout.transfer_syntax_uid == syntax
        off = np.abs(hu_of(path).astype(int) - exact)
        assert (off.mean() < 6) if syntax in LOSSY_SYNTAXES else not off.any(), syntax.name


@pytest.mark.long
def test_without_the_extra_only_the_light_halfs_syntaxes_are_timed(tmp_path: Path) -> None:
    study = write_head_series(tmp_path, side=64)
    with Reader() as reader, light_half_alone():
        entries = bench_syntaxes(reader, reader, study, turns=1)
    assert not {entry.transfer_syntax_uid for entry in entries} & set(FAST_SYNTAXES)
    assert "imagecodecs" not in {entry.package for entry in entries}


def test_each_package_is_timed_with_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = []
    monkeypatch.setattr(
        "ichlite.bench.syntaxes.read_with", lambda *_: packages.append(fast_in_use())
    )
    with Reader() as reader:
        entries = bench_syntaxes(reader, reader, write_head_series(tmp_path, 1, side=64), turns=2)
    expected = [entry.package == "imagecodecs" for entry in entries for _ in "12"]
    assert packages == expected * 2
    assert any(expected)
