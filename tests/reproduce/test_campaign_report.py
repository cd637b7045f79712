"""The report's files: what comes from names and messages is shown, never obeyed."""

from __future__ import annotations

from pathlib import Path

from tests.reproduce.synthetic import costs, summary

from ichlite.reproduce.campaign_report import TEXTS, Report, write_report
from ichlite.reproduce.claims import judge

HOSTILE = "<b>mine & yours</b>\x1b[2J"


def test_names_and_messages_are_escaped_in_the_page(tmp_path: Path) -> None:
    report = Report(
        warning=HOSTILE,
        caution="",
        facts=(("Command", HOSTILE),),
        tables=(),
        pictures=(),
        judged=judge(summary(), costs(), None),
        beside=(),
        differences=(),
        runs=(("Run", "State"), ("one", HOSTILE)),
    )
    files = write_report(report, tmp_path)
    assert [file.name for file in files] == list(TEXTS)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("&lt;b&gt;mine &amp; yours&lt;/b&gt; [2J") == 3
    assert "mine &" not in page.replace("&amp;", "")
    assert "<table" in page
    assert f"- **Command**: `{HOSTILE}`" in (tmp_path / "report.md").read_text(encoding="utf-8")
