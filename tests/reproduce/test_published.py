"""The typed numbers of the paper, read again from its text; and what follows from them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ichlite.labels import NAMES
from ichlite.reproduce.published import PAPER_NAMES, SENTENCES, TABLES

PAPER = Path(__file__).resolve().parents[3] / "shared" / "paper" / "lightfcn-paper.md"
LABEL_OF = {
    "Patients": "patients", "Slices": "slices", "Without hemorrhages": "without",
    "With hemorrhages": "with",
}  # fmt: skip


@pytest.fixture(scope="module")
def paper() -> str:
    if not PAPER.is_file():
        pytest.skip("no ../shared/paper beside this checkout: the paper is not read again")
    return PAPER.read_text(encoding="utf-8")


def plain(cell: str) -> str:
    """A cell without LaTeX."""
    return re.sub(r"\$|\\!|\\mathrm|\\ |[{}~]|\\", " ", cell).strip()


def number(cell: str) -> float:
    """`$2,\\!67,\\!279$`, `12.3 MB`, `86.8 K`, `2.07G` → the number."""
    text = plain(cell).replace(",", "").replace(" ", "")
    found = re.fullmatch(r"([\d.]+)(K|KB|MB|M|G|ms)?", text)
    assert found, cell
    scale = {"K": 1e3, "KB": 1e3, "M": 1e6, "MB": 1e6, "G": 1e9}.get(found[2] or "", 1.0)
    return float(found[1]) * scale


def rows_of(paper: str, begin: str, end: str) -> list[list[str]]:
    """The lines of a table between two texts, cell by cell."""
    part = paper[paper.index(begin) : paper.index(end, paper.index(begin))]
    lines = [line.split("\t") for line in part.splitlines() if "\t" in line]
    return [[plain(cells[0]), *(c for c in cells[1:] if plain(c))] for cells in lines]


def key(words: str) -> str:
    """A name in the paper → our key."""
    wanted = words.replace("-", "").replace(" ", "")
    return next(k for k, name in PAPER_NAMES.items() if name.lower() == wanted.lower())


def check(number_: int, row: tuple[str, ...], cells: list[str]) -> None:
    assert TABLES[number_].rows[row] == pytest.approx([number(c) for c in cells]), row


def test_table_1_is_as_printed(paper: str) -> None:
    seen = set()
    for words, *cells in rows_of(paper, "\tTraining\tValidation", "Table 1."):
        row = (LABEL_OF.get(words, words.lower()),)
        if words:
            check(1, row, cells)
            seen.add(row)
    assert seen == set(TABLES[1].rows)


@pytest.mark.parametrize(
    ("table", "begin", "end"),
    [
        (2, "Model\tAccuracy", "Table 3. Performance"),
        (4, "Model\tCompressed", "**Table 5"),
        (5, "Loss Function\tAccuracy", "#### 3.5"),
    ],
)
def test_table_is_as_printed(paper: str, table: int, begin: str, end: str) -> None:
    seen = set()
    for words, *cells in rows_of(paper, begin, end):
        if cells and re.match(r"[\d$]", cells[0].strip()):
            row = (key(words),)
            check(table, row, cells)
            seen.add(row)
    assert seen == set(TABLES[table].rows)


def test_table_3_is_as_printed(paper: str) -> None:
    seen, model = set(), ""
    for words, *cells in rows_of(paper, "MobileNetV2\t", "model while reducing"):
        if words.lower() in NAMES:
            check(3, (model, words.lower()), cells)
            seen.add((model, words.lower()))
        elif not cells:
            model = key(words)
    assert seen == set(TABLES[3].rows)


def test_stated_numbers_stand_in_the_sentences() -> None:
    stated = [(one.sentence, number) for one in SENTENCES.values() for number in one.stated]
    assert len(stated) == 9
    for sentence, number_ in stated:
        assert f"{number_:,}" in " ".join(re.findall("“(.*?)”", sentence)), sentence


def test_sentences_stand_in_the_order_of_the_sections() -> None:
    sections = [one.section for one in SENTENCES.values()]
    assert sections == sorted(sections, key=lambda section: (section != "abstract", section))


def test_auc_of_tables_2_and_3_is_a_balanced_accuracy() -> None:
    cells = 0
    for table in (TABLES[2], TABLES[3]):
        for row in table.rows:
            both = [table.value(row, name) for name in ("sensitivity", "specificity")]
            assert table.value(row, "auc") == pytest.approx(sum(both) / 2, abs=0.011)
            cells += 1
    assert cells == 18


def test_auc_of_table_5_is_not() -> None:
    for row in TABLES[5].rows:
        both = [TABLES[5].value(row, name) for name in ("sensitivity", "specificity")]
        assert abs(TABLES[5].value(row, "auc") - sum(both) / 2) > 5


def test_every_quotation_stands_in_the_paper(paper: str) -> None:
    text = " ".join(paper.replace("hasn't", "has not").split())
    quoted = [q for one in SENTENCES.values() for q in re.findall("“(.*?)”", one.sentence)]
    assert len(quoted) > 20
    for quotation in quoted:
        for part in quotation.split(" … "):
            assert part in text, quotation
