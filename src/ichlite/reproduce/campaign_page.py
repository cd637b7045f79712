"""One self-contained HTML page of a report: no script, nothing fetched, pictures inside."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from ichlite import __version__
from ichlite.reproduce.campaign_report import Judged, Report
from ichlite.reproduce.cells import Cell, Table
from ichlite.reproduce.noise import TEST
from ichlite.reproduce.pictures import Picture
from ichlite.reproduce.verdicts import (
    FAILS,
    HOLDS,
    HOW,
    UNTOLD,
    VERDICTS,
    Claim,
    Verdict,
    others_words,
)
from ichlite.write.escaping import html_text

_HERE = Path(__file__).resolve().parent
_KIND: Mapping[str, str] = {".svg": "image/svg+xml", ".png": "image/png"}
_CLASS: Mapping[Verdict, str] = {HOLDS: "holds", FAILS: "fails", UNTOLD: "untold"}


def page(report: Report, difference_rows: Sequence[Sequence[str]]) -> str:
    """Report and the table of differences → the page.

    Args:
        report: With its pictures on disk.
        difference_rows: Header and rows.

    Returns:
        HTML.
    """
    figures = [_figure(picture) for picture in report.pictures]
    return Template((_HERE / "page.html").read_text(encoding="utf-8")).substitute(
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        version=html_text(__version__),
        warning=html_text(report.warning),
        caution=_paragraph(report.caution, 'class="banner" role="note"'),
        few=_paragraph(report.caution, 'class="soft"'),
        facts=_facts(report.facts),
        claims=_claims((report.judged, *report.beside)),
        tables="".join(map(_table, report.tables)),
        how=html_text(HOW),
        test=html_text(TEST),
        differences=_plain_table(difference_rows),
        figures="".join(figures[:2]),
        plots="".join(figures[2:]),
        runs=_plain_table(report.runs),
    )


def _paragraph(text: str, attributes: str) -> str:
    return f"<p {attributes}>{html_text(text)}</p>" if text else ""


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f"<div><dt>{html_text(name)}</dt><dd>"
        f"{'<code>' + html_text(words) + '</code>' if name == 'Command' else html_text(words)}"
        "</dd></div>"
        for name, words in facts
    )


def _claims(every: Sequence[Judged]) -> str:
    """Counts of each set of data, then a row a claim with the verdicts side by side."""
    counts = "".join(
        f"<h3>{html_text(judged.name)}</h3>{_counts(judged.claims)}" for judged in every
    )
    titles = ["Section", "The paper says", *(judged.name for judged in every)]
    head = "".join(f'<th scope="col">{html_text(title)}</th>' for title in titles)
    rows = "".join(
        _claim([(judged.name, judged.claims[place]) for judged in every])
        for place in range(len(every[0].claims))
    )
    return (
        f'{counts}<table class="claims"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _counts(claims: Sequence[Claim]) -> str:
    counts = Counter(claim.verdict for claim in claims)
    boxes = "".join(
        f'<div class="count {_CLASS[verdict]}"><b>{counts[verdict]}</b>'
        f"<span>{html_text(verdict)}</span></div>"
        for verdict in VERDICTS
    )
    return f'<div class="counts">{boxes}</div>'


def _claim(judged: Sequence[tuple[str, Claim]]) -> str:
    first = judged[0][1]
    evidence = "".join(
        f"<p>{html_text(name)}</p><ul>"
        + "".join(f"<li>{html_text(line)}</li>" for line in claim.evidence)
        + "</ul>"
        for name, claim in judged
    )
    return (
        f'<tr><td class="section">{html_text(first.section)}</td>'
        f'<td><p>{html_text(first.sentence)}</p><p class="soft">{html_text(first.evidence[0])}</p>'
        f"<details><summary>rule and all evidence</summary>"
        f'<p class="soft">Holds if {html_text(first.rule)}.</p>{evidence}</details></td>'
        + "".join(_verdict(claim) for _, claim in judged)
        + "</tr>"
    )


def _verdict(claim: Claim) -> str:
    badge = f'<span class="badge {_CLASS[claim.verdict]}">{html_text(claim.verdict)}</span>'
    return f"<td>{badge}<small>{html_text(others_words(claim))}</small></td>"


def _table(table: Table) -> str:
    titles = "".join(f'<th scope="col">{html_text(title)}</th>' for title in table.row_titles)
    titles += "".join(
        f'<th scope="col" class="num">{html_text(title)}</th>' for title in table.columns
    )
    rows = []
    above: tuple[str, ...] = ()
    for words, cells in table.rows:
        # A name that is the same as in the row above is said once.
        same = len(words) > 1 and above[:1] == words[:1]
        shown = ("", *words[1:]) if same else words
        named = "".join(f'<th scope="row">{html_text(word)}</th>' for word in shown)
        begins = "" if same else ' class="first"'
        rows.append(f"<tr{begins}>{named}{''.join(map(_cell, cells))}</tr>")
        above = words
    notes = "".join(f"<li>{html_text(note)}</li>" for note in table.notes)
    return (
        f'<section id="table{table.number}"><h3>Table {table.number}. {html_text(table.title)}</h3>'
        f'<div class="wide"><table><thead><tr>{titles}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div><ul class="notes">{notes}</ul></section>'
    )


def _cell(cell: Cell) -> str:
    value = html_text(cell.value_text)
    parts = [f"<b>{value}</b>" if cell.value is not None else f'<span class="soft">{value}</span>']
    if cell.interval is not None:
        parts.append(f"<small>{html_text(cell.interval_text)}</small>")
    if cell.note and cell.value is not None:
        parts.append(f"<small>{html_text(cell.note)}</small>")
    if cell.published is not None:
        change = f" <i>{html_text(cell.difference_text)}</i>" if cell.value is not None else ""
        parts.append(f'<small class="paper">paper {html_text(cell.published_text)}{change}</small>')
    return f'<td class="num">{"".join(parts)}</td>'


def _plain_table(rows: Sequence[Sequence[str]]) -> str:
    header, *body = rows
    titles = "".join(f'<th scope="col">{html_text(word)}</th>' for word in header)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html_text(word)}</td>" for word in row) + "</tr>" for row in body
    )
    return (
        f'<div class="wide"><table class="plain"><thead><tr>{titles}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _figure(picture: Picture) -> str:
    content = b64encode(picture.path.read_bytes()).decode("ascii")
    source = f"data:{_KIND[picture.path.suffix]};base64,{content}"
    title = html_text(picture.title)
    return (
        f'<figure><h3>{title}</h3><img src="{source}" alt="{title}">'
        f"<figcaption>{html_text(picture.caption)}</figcaption></figure>"
    )
