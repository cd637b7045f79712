import io
from dataclasses import replace

import pytest
from rich.console import Console
from tests.made_results import analysed

from ichlite.infer.results import (
    NotAnalysed,
    ReadResult,
    SliceScores,
    by_urgency,
    not_analysed,
    verdict,
)
from ichlite.labels import ANY, NAMES
from ichlite.records import SkippedFile
from ichlite.write.triage import common_folder, print_triage, shared_folders


def scan(study, any_=None, *, urgent=None, files=("a/1", "a/2"), reasons=(), notes=()):
    if any_ is None:
        return NotAnalysed(study=study, series="s", files=files, reasons=reasons, notes=notes)
    scores = {ANY: any_, **dict.fromkeys(NAMES, 0.1)}
    slices = tuple(SliceScores(file, None, scores) for file in files)
    said = {"reasons": reasons, "urgent": urgent, "notes": notes}
    return analysed(study=study, series="s", files=files, scan=scores, slices=slices, **said)


def printed(result):
    text = io.StringIO()
    print_triage(result, Console(file=text, width=160))
    return text.getvalue()


def test_urgent_first_then_probability_then_name():
    scans = [
        scan("1", 0.4, urgent=False),
        scan("2", 0.9, urgent=True),
        scan("3"),
        scan("4", 0.4, urgent=False),
        scan("5", 0.95, urgent=True),
        scan("6", 0.1, urgent=None),
    ]
    for order in (scans, scans[::-1]):
        assert [s.study for s in by_urgency(order)] == ["5", "2", "6", "1", "4"]
    assert [s.study for s in not_analysed(scans)] == ["3"]


def test_the_list_says_everything_and_never_calls_a_missing_result_negative():
    text = printed(
        ReadResult(
            "b 1",
            (
                scan("1", 0.91, urgent=True, files=("x/1", "x/2"), notes=("12-bit repair",)),
                scan("2", files=("y/1", "y/2"), reasons=("a chest", "too thick")),
            ),
            (SkippedFile("z.txt", "not a DICOM file"),),
            ("folder x holds 2 patients",),
        )
    )
    assert "URGENT" in text
    assert "0.91" in text
    assert "x: 12-bit repair" in text
    assert "Not analysed (this is not a negative)" in text
    assert "  y:\n    a chest\n    too thick\n" in text
    assert "z.txt: not a DICOM file" in text
    assert "folder x holds 2 patients" in text
    assert "Research use only. Not a medical device." in text
    assert text.count("not flagged") == 0


def test_a_forced_number_is_never_plainly_not_flagged():
    forced = scan("1", 0.1, urgent=False, reasons=("a chest",))
    assert verdict(forced) == "not flagged, forced"
    assert "not flagged, forced" in printed(ReadResult("b 1", (forced,), ()))
    assert verdict(scan("1", 0.1, urgent=False)) == "not flagged"
    assert verdict(scan("1", 0.9, urgent=True)) == "urgent"


@pytest.mark.parametrize(
    ("urgent", "not_cleared", "words"),
    [
        (True, ("incomplete: a gap", "child: 4 years"), "urgent (incomplete)"),
        (None, ("incomplete: a gap",), "incomplete: not cleared"),
        (True, ("child: 4 years",), "urgent (child)"),
        (None, ("child: 4 years",), "child: not cleared"),
    ],
)
def test_what_is_not_cleared_says_so_and_why(urgent, not_cleared, words):
    one = replace(
        scan("1", 0.2, urgent=urgent, reasons=not_cleared),
        complete="incomplete: a gap" not in not_cleared,
        not_cleared=not_cleared,
    )
    assert verdict(one) == words
    text = printed(ReadResult("b 1", (one,), ()))
    assert words.replace("urgent", "URGENT") in text
    beside = [f"  a: {line}\n" for line in not_cleared]
    below = ["  a:\n", *(f"    {line}\n" for line in not_cleared)]
    assert "".join(beside if len(not_cleared) == 1 else below) in text
    assert "forced" not in text
    assert "not flagged" not in text
    forced = replace(one, reasons=("a chest", *not_cleared))
    assert verdict(forced) == f"{words}, forced"


def test_a_warning_on_all_the_input_is_said_once():
    line = "folder x holds 2 patients"
    scans = (scan("1", 0.1, notes=(line,)), scan("2", 0.1, notes=(line,)))
    assert printed(ReadResult("b 1", scans, (), (line,))).count(line) == 1


def test_many_skipped_files_are_counted_by_reason():
    skipped = tuple(SkippedFile(f"f{i}", "a report" if i % 3 else "no DICOM") for i in range(60))
    text = printed(ReadResult("b 1", (), skipped))
    assert "Skipped files: 60" in text
    assert "40 files (f1, f2, f4 …): a report" in text
    assert "20 files (f0, f3, f6 …): no DICOM" in text


def test_a_file_name_cannot_command_the_terminal_or_the_markup():
    text = printed(
        ReadResult(
            "b 1",
            (scan("1", 0.5, files=("\x1b[2J[red]x/1", "\x1b[2J[red]x/2")),),
            (SkippedFile("\x1b]0;gone\x07", "line\nbreak"),),
        )
    )
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]x" in text
    assert "line break" in text


def test_common_folder():
    assert common_folder(scan("1", files=("a/b/1", "a/c/2"))) == "a"
    assert common_folder(scan("1", files=("a/b/1",))) == "a/b/1"
    assert common_folder(scan("1", files=("1", "2"))) == "."
    assert common_folder(scan("1", files=("/a/1", "b/2"))) == "/a"
    assert common_folder(scan("1", files=())) == ""


def test_studies_in_one_folder_are_told_apart_by_their_first_files() -> None:
    one, other = (
        NotAnalysed(study=s, series=s, files=(f"all/{s}1", f"all/{s}2"), reasons=("a chest",))
        for s in "ab"
    )
    alone = NotAnalysed(study="c", series="c", files=("own/1", "own/2"), reasons=("a chest",))
    shared = shared_folders([one, other, alone])
    assert [common_folder(scan, shared) for scan in (one, other, alone)] == [
        "all/a1 …", "all/b1 …", "own",
    ]  # fmt: skip


def test_numbers_stay_under_their_heads_and_paths_whole_at_80_columns() -> None:
    folder = "/data/exports/2026-11/a-ward-with-a-very-long-name/patient-17"
    files = (f"{folder}/1", f"{folder}/2")
    line = "incomplete: the head is cut at its lower end; found 123 cm2 of brain; expected less"
    one = replace(
        scan("1", 0.2, urgent=None, files=files, reasons=(line, "a chest")), not_cleared=(line,)
    )
    text = io.StringIO()
    print_triage(ReadResult("b 1", (one,), ()), Console(file=text, width=80))
    lines = text.getvalue().splitlines()
    head = next(row for row in lines if row.split()[:2] == ["any", "EDH"])
    at = lines.index(head)
    numbers = lines[at + 1]
    for name, value in (("any", "0.20"), ("EDH", "0.10"), ("SDH", "0.10"), ("slices", "2")):
        end = head.index(name) + len(name)
        assert numbers[:end].endswith(f" {value}")
    assert lines[at + 2] == f"   {folder}"
    assert f"  {folder}:" in lines
    assert all(len(row) <= 80 for row in lines)
    wide = io.StringIO()
    print_triage(ReadResult("b 1", (one,), ()), Console(file=wide, width=160))
    assert f"       2  {folder}" in wide.getvalue()
