"""The page of a node, and one study of three slices as bytes."""

from __future__ import annotations

import pytest
from tests.dicom_files import write_head_series
from tests.node.web.browsing import Browsing
from tests.node.web.site import SMALL, Site
from tests.write.browser import chromium


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "store", dicom=SMALL)
    yield made
    made.close()


@pytest.fixture(scope="session")
def slices(tmp_path_factory):
    """Return the bytes of slices of a study with changed elements."""

    def make(study="7", count=3, **elements):
        folder = tmp_path_factory.mktemp("slices")
        write_head_series(folder, count, study=study, **elements)
        return [file.read_bytes() for file in sorted(folder.iterdir())]

    return make


@pytest.fixture(scope="session")
def browser():
    driver = chromium()
    yield driver
    driver.quit()


@pytest.fixture
def browsing(browser):
    """Return a browser on a page, logged out."""

    def open_at(base):
        browser.get("about:blank")
        browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
        browser.get_log("browser")
        return Browsing(browser, base)

    return open_at
