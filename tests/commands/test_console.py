import io
import sys

import pytest

from ichlite.commands import console
from ichlite.errors import MissingExtra


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_json_is_one_document_and_refuses_nan(capsys):
    console.print_json({"a": [1, None, "ü"]})
    assert capsys.readouterr().out == '{\n  "a": [\n    1,\n    null,\n    "\\u00fc"\n  ]\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        console.print_json({"a": float("nan")})


def test_a_missing_extra_is_wrong_usage_and_says_the_remedy():
    with pytest.raises(MissingExtra, match=r"pip install '\.\[train\]'") as caught:
        console.require("train", "json", "no_such_module")
    assert caught.value.exit_code == 2


def test_no_bar_without_a_terminal(capfd):
    with console.progress("work", 3) as advance:
        advance(3)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("after_s", "shown"), [(0.0, True), (60.0, False)])
def test_a_bar_on_a_terminal_only_for_long_work(monkeypatch, after_s, shown):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(console, "PROGRESS_AFTER_S", after_s)
    with console.progress("counting", 3) as advance:
        for _ in range(3):
            advance(1)
    assert ("counting" in terminal.getvalue()) is shown


@pytest.mark.parametrize(("after_s", "shown"), [(0.0, True), (600.0, False)])
def test_studies_are_counted_with_the_time_left(monkeypatch, after_s, shown):
    terminal = Terminal()
    clock = iter(range(0, 1000, 30))
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(console, "PROGRESS_AFTER_S", after_s)
    monkeypatch.setattr(console, "monotonic", lambda: float(next(clock)))
    with console.study_progress() as begin:
        for done in range(3):
            begin(done, 8)
    text = " ".join(terminal.getvalue().split())
    assert ("study 3 of 8, 3 min left" in text) is shown
    assert ("study" in text) is shown


def test_no_studies_are_counted_without_a_terminal(capfd, monkeypatch):
    monkeypatch.setattr(console, "PROGRESS_AFTER_S", 0.0)
    with console.study_progress() as begin:
        begin(0, 8)
    assert capfd.readouterr() == ("", "")
