"""Laws of every line that says why: over all the bad input that other tests make."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from nibabel.nifti1 import Nifti1Image
from rich.console import Console
from tests.commands.test_read import BAD
from tests.infer.test_incomplete import DEFECTS, FILES, copied
from tests.infer.test_nifti import REFUSED

from ichlite.infer.pipeline import read_with
from ichlite.infer.reader import Reader
from ichlite.infer.results import ReadResult
from ichlite.write.triage import print_triage

WIDTH = 80

LONG = (
    "1 slice was left out:",
    "1 of its files cannot be used, so slices are missing:",
    "1 copy of a slice was left out;",
    "all slices are at one position;",
    "different images share a position, and all are judged;",
    "has no RescaleSlope, and Hounsfield units are not guessed;",
    "its place in the scan is not known;",
    "no slice can be read: has no RescaleSlope,",
    "slice 25 of 46 is partly lost;",
    "slices are missing after",
    "the head is cut at its",
    "the image has a size that CT does not have;",
    "the order of the slices is not known;",
    "the pixels do not show a head:",
    "the pixels show a part of a head only;",
    "the slices leave tissue out between them;",
    "too few slices for a scan;",
)
"""How the lines of the input check begin that are longer than a terminal; no other may be."""

SPOILT = [*BAD, *DEFECTS, *REFUSED]


@pytest.fixture(scope="module")
def reader():
    with Reader() as one:
        yield one


@pytest.fixture(scope="module", params=SPOILT, ids=lambda one: getattr(one, "__name__", one))
def found(request, reader, tmp_path_factory) -> tuple[ReadResult, Path]:
    """What was read of a spoilt scan, and the folder above it."""
    folder = tmp_path_factory.mktemp("spoilt")
    if request.param in BAD:
        request.param(folder)
    elif request.param in DEFECTS:
        request.param(copied(FILES, folder / "bad"))
    else:
        values, affine, _ = REFUSED[request.param]
        (folder / "bad").mkdir()
        Nifti1Image(values, affine).to_filename(folder / "bad" / "head.nii.gz")
    return read_with(reader, folder / "bad"), folder


def test_a_reason_is_one_short_line_without_its_own_path(found):
    result, folder = found
    said = [(why, scan.files) for scan in result.studies for why in scan.reasons]
    said += [(one.reason, (one.file,)) for one in result.skipped]
    assert said
    for line, files in said:
        assert line == line.strip()
        assert "\n" not in line
        short = line.removeprefix("incomplete: ")
        if short.startswith(("a copy of ", "the same file as ")):
            continue  # names another file
        assert not any(file in line for file in files), line
        assert str(folder) not in line
        assert len(line) <= WIDTH or short.startswith(LONG), (len(line), line)


def test_the_list_folds_words_at_the_width_of_the_terminal_and_no_path(found):
    result, folder = found
    text = io.StringIO()
    print_triage(result, Console(file=text, width=WIDTH))
    lines = text.getvalue().splitlines()
    for line in lines:
        assert len(line) <= WIDTH or str(folder) in line, line
    for scan in result.studies:
        for why in scan.reasons:
            assert " ".join(why.split()) in " ".join(" ".join(lines).split())
