"""Help names arguments as the documentation does, and a wrong call is told which word it lacks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from ichlite.app import app
from ichlite.commands.node import node

Run = Callable[..., Any]
COMMANDS = sorted(str(one.name) for one in app.registered_commands)
NODE_COMMANDS = [
    f"node {one.name or one.callback.__name__}"
    for one in node.registered_commands
    if one.callback is not None
]


@pytest.mark.parametrize("command", [*COMMANDS, *NODE_COMMANDS])
def test_what_to_give_is_named_in_capitals(ichlite: Run, command: str) -> None:
    said = ichlite(*command.split(), "--help").out.partition("  Example")[0]
    usage, *lines = said.splitlines()
    assert re.fullmatch(rf"Usage: ichlite {command} \[OPTIONS\]( [A-Z_\[\].… ]+)?", usage), usage
    options = [line.split("  ") for line in lines if line.startswith("  -")]
    assert options
    for names in (" ".join(line[1:2]) for line in options):
        assert re.fullmatch(r"-[\w, /-]+( [A-Z][A-Z/=.]*)*", names), names


@pytest.mark.parametrize(
    ("words", "lacks"),
    [
        (["train"], "STORE..."),
        (["train", "store"], "OUT"),
        (["train", "store", "--epochs", "2"], "OUT"),
        (["reproduce", "store"], "OUT"),
        (["compress"], "MODEL"),
        (["compress", "run"], "STORE..."),
        (["compress", "run", "store"], "OUT"),
        (["tune", "store"], "OUT"),
        (["read"], "PATH..."),
    ],
)
def test_the_argument_that_is_missing_is_named(ichlite: Run, words: list[str], lacks: str) -> None:
    done = ichlite(*words)
    assert (done.exit_code, done.out) == (2, "")
    wanted = f"ichlite: error: missing argument '{lacks}'; see ichlite {words[0]} --help\n"
    assert done.err == wanted


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["train", "a", "b", "--lr", "1"], "--learning-rate"),
        (["train", "a", "b", "--bs", "1"], "--batch-size"),
        (["train", "a", "b", "--learning-rat", "1"], "--learning-rate"),
        (["read", "a", "--op", "balanced"], "--operating-point"),
        (["compress", "a", "b", "c", "--kc", "1"], "--keep-channels"),
    ],
)
def test_an_unknown_option_is_told_what_may_be_meant(
    ichlite: Run, words: list[str], meant: str
) -> None:
    done = ichlite(*words)
    assert done.exit_code == 2
    assert meant in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("evaluate", ("--out FOLDER", "--scores FILE", "--rsna FOLDER", "--labels FILE")),
        ("reproduce", ("--beside FOLDER", "--rsna-tables FOLDER", "[default: best;")),
        ("pareto", ("--max-auc-drop NUMBER",)),
        ("compress", ("--max-auc-drop NUMBER",)),
        ("phantom", ("[default: 512]",)),
    ],
)
def test_values_have_the_same_names_everywhere(
    ichlite: Run, command: str, shown: tuple[str, ...]
) -> None:
    text = " ".join(ichlite(command, "--help").out.split())
    assert all(one in text for one in shown), text


@pytest.mark.parametrize("option", ["--balance", "--force"])
def test_an_option_of_two_commands_is_one(ichlite: Run, option: str) -> None:
    commands = {"--balance": ("phantom", "implant"), "--force": ("read", "score")}[option]
    texts = [" ".join(ichlite(command, "--help").out.split()) for command in commands]
    words = [text.split(f" {option} ")[1].split(" [default")[0].split(" --")[0] for text in texts]
    assert words[0] == words[1] != ""
