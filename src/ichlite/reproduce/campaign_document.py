"""Write a report into a folder: report.md, claims.md, report.html and a CSV a table."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from ichlite.atomic_files import write_text
from ichlite.reproduce import cells
from ichlite.reproduce.campaign_page import page
from ichlite.reproduce.campaign_report import Report
from ichlite.reproduce.campaign_summary import Difference
from ichlite.reproduce.noise import TEST
from ichlite.reproduce.verdicts import HOW, VERDICTS, WORDS, Claim, name_of, others_words

TITLE = "The paper, row by row"
TABLES_FOLDER = "tables"
FIGURES_FOLDER = "figures"
DIFFERENCE_HEADER: tuple[str, ...] = (
    "Metric", "Compared", "Difference, points", "95 % over seeds", "Beyond the seeds' noise",
    "95 % over patients", "Beyond the patients' noise",
)  # fmt: skip


def write_report(report: Report, out: Path) -> tuple[Path, ...]:
    """Report and folder → the files written, whole or not at all.

    Args:
        report: With its pictures on disk below the folder.
        out: Must exist.

    Returns:
        report.md, report.html, claims.md, tables/table1.csv to table5.csv and the pictures.

    Raises:
        IchliteError: A file cannot be written.
    """
    texts = {
        out / "report.md": report_markdown(report, out),
        out / "report.html": page(report, _differences(report)),
        out / "claims.md": claims_markdown(report),
    }
    (out / TABLES_FOLDER).mkdir(exist_ok=True)
    for table in report.tables:
        texts[out / TABLES_FOLDER / f"table{table.number}.csv"] = _csv(cells.csv_rows(table))
    for path, text in texts.items():
        write_text(path, text)
    return (*texts, *(picture.path for picture in report.pictures))


def report_markdown(report: Report, out: Path) -> str:
    """Report and its folder → Markdown with pictures as relative links."""
    parts = [
        f"# {TITLE}\n",
        *_warnings(report),
        "\n".join(f"- **{name}**: {_code(name, words)}" for name, words in report.facts) + "\n",
        "## Claims\n",
        _counts(report),
        "Rules and evidence: [claims.md](claims.md).\n",
        _markdown_table(claims_rows(report)),
    ]
    for table in report.tables:
        parts += [f"## Table {table.number}. {table.title}\n", cells.markdown(table)]
    parts += ["## Which differences exceed the noise\n", f"The test: {TEST}.\n"]
    parts.append("No correction for the number of comparisons.\n")
    if report.caution:
        parts.append(f"{report.caution}\n")
    parts.append(_markdown_table(_differences(report)))
    parts.append("## Figures\n")
    for picture in report.pictures:
        place = picture.path.relative_to(out).as_posix()
        parts += [
            f"### {picture.title}\n",
            f"![{picture.title}]({place})\n",
            f"{picture.caption}\n",
        ]
    parts += ["## Runs\n", _markdown_table(report.runs)]
    return "\n".join(parts)


def claims_markdown(report: Report) -> str:
    """Report → the claims, each with its rule and evidence, as Markdown."""
    parts = [
        "# What the paper says, and whether it holds here\n",
        *_warnings(report),
        "\n".join(f"- **{name}**: {_code(name, words)}" for name, words in report.facts) + "\n",
        _counts(report),
        f"{HOW}\n",
        _markdown_table(claims_rows(report)),
    ]
    for place, claim in enumerate(report.judged.claims):
        parts += [f"## {claim.sentence}\n", f"Section: {claim.section}. Holds if {claim.rule}.\n"]
        for judged in (report.judged, *report.beside):
            own = judged.claims[place]
            parts += [
                f"{judged.name}: **{verdict_words(own)}.**\n",
                "\n".join(f"- {line}" for line in own.evidence) + "\n",
            ]
    return "\n".join(parts)


def claims_rows(report: Report) -> list[list[str]]:
    """Report → a header and one row a claim, the verdict on each set of data beside the other."""
    every = (report.judged, *report.beside)
    rows = [["Section", "The paper says", *(judged.name for judged in every)]]
    for place, claim in enumerate(report.judged.claims):
        verdicts = [verdict_words(judged.claims[place]) for judged in every]
        rows.append([claim.section, claim.sentence, *(f"**{words}**" for words in verdicts)])
    return rows


def verdict_words(claim: Claim) -> str:
    """Return a claim's verdict, and where patients play a part, what it is for other patients."""
    return f"{claim.verdict}; {words}" if (words := others_words(claim)) else claim.verdict


def verdict_counts(claims: Sequence[Claim]) -> str:
    """Claims → how many have each verdict, in words.

    Example:
        >>> verdict_counts([])
        'Holds: 0, does not hold: 0, cannot be told here: 0'
    """
    counts = Counter(claim.verdict for claim in claims)
    words = ", ".join(f"{verdict}: {counts[verdict]}" for verdict in VERDICTS)
    return words.capitalize()


def difference_rows(found: Sequence[Difference], *, few_patients: bool) -> list[list[str]]:
    """Differences → a header and one row each, in percentage points.

    Args:
        found: Pairs.
        few_patients: Too few to tell anything from redraws of them.
    """
    rows = [list(DIFFERENCE_HEADER)]
    for one in found:
        seeds = one.seeds
        rows.append(
            [
                WORDS[one.metric],
                f"{name_of(one.first)} - {name_of(one.second)}",
                f"{seeds.difference * 100:+.2f}",
                _ends(seeds.low, seeds.high),
                "too few seeds" if seeds.low is None else _yes(seeds.above is not None),
                "" if one.patients is None else _ends(*one.patients),
                _beyond_patients(one, few_patients=few_patients),
            ]
        )
    return rows


def _beyond_patients(one: Difference, *, few_patients: bool) -> str:
    if one.beyond_patients is None:
        return ""
    return "too few patients" if few_patients else _yes(one.beyond_patients)


def _differences(report: Report) -> list[list[str]]:
    return difference_rows(report.differences, few_patients=bool(report.caution))


def _warnings(report: Report) -> list[str]:
    return [f"> **{line}**\n" for line in (report.warning, report.caution) if line]


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low * 100:+.2f} to {high * 100:+.2f}"


def _yes(told: bool) -> str:
    return "yes" if told else "no"


def _code(name: str, words: str) -> str:
    return f"`{words}`" if name == "Command" else words


def _counts(report: Report) -> str:
    lines = [
        f"- {judged.name}: {verdict_counts(judged.claims).lower()}."
        for judged in (report.judged, *report.beside)
    ]
    return "\n".join(lines) + "\n"


def _markdown_table(rows: Sequence[Sequence[str]]) -> str:
    header, *body = rows
    lines = [header, ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
