"""The conformance statement: each of its lines has a test, and its lists are what is negotiated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pynetdicom import AE, StoragePresentationContexts, build_context
from pynetdicom.sop_class import CTImageStorage
from tests.node.running_node import running_node

from ichlite.ct.elements import DEFLATED_LITTLE
from ichlite.node.dicom_server import TRANSFER_SYNTAXES
from ichlite.node.peers import associate

TESTS = Path(__file__).resolve().parents[1]
STATEMENT = TESTS.parent / "docs" / "dicom-conformance.md"
LINES = re.findall(r"^\| (?P<says>[^|]+) \| `(\S+)::(\S+)` \|$", STATEMENT.read_text(), re.M)


def test_there_are_lines():
    rows = [line for line in STATEMENT.read_text().splitlines() if line.startswith("| ")]
    syntaxes = [line for line in rows if re.match(r"\| 1\.2\.", line)]
    assert len(LINES) == len(rows) - len(syntaxes) - 2 >= 25  # less two headings


@pytest.mark.parametrize(("says", "file", "test"), LINES)
def test_each_line_has_a_test(says: str, file: str, test: str):
    assert re.search(rf"^def {re.escape(test)}\(", (TESTS / file).read_text(), re.M), says


def test_the_list_of_transfer_syntaxes_is_the_nodes():
    stated = re.findall(r"^\| (1\.2\.[\d.]+) \|", STATEMENT.read_text(), re.M)
    assert stated == [str(one) for one in TRANSFER_SYNTAXES]


def _accepted(port: int, contexts: list) -> list[tuple[str, str]]:
    opened = associate(AE("CT1"), "127.0.0.1", port, "ICHLITE", contexts)
    assert opened.is_established
    found = [(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in opened.accepted_contexts]
    opened.release()
    return found


def test_what_is_stated_is_negotiated(tmp_path):
    syntaxes = [str(one) for one in TRANSFER_SYNTAXES]
    classes = [str(one.abstract_syntax) for one in StoragePresentationContexts]
    ct = str(CTImageStorage)
    with running_node(tmp_path / "node") as node:
        offered = [build_context(ct, one) for one in [*syntaxes, DEFLATED_LITTLE]]
        assert _accepted(node.dicom_port, offered) == [(ct, one) for one in syntaxes]
        offered = [build_context(one, syntaxes[0]) for one in classes]
        assert _accepted(node.dicom_port, offered) == [(one, syntaxes[0]) for one in classes]
