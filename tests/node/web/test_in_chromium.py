"""The page in a real Chromium: log in, see studies come, look at one, judge it, upload more."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from base64 import b64encode

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from tests.dicom_files import write_head_series
from tests.node.running_node import running_node
from tests.node.web.browsing import NARROW, WIDE

EVIL = "<script>window.evil=1</script>^=cmd|' /C calc'!A0"
"""DICOM parts names at `^` and `=`; the rest comes as it is."""
PASSWORD = "correct horse"
LOOKS = [(size, scheme) for size in (WIDE, NARROW) for scheme in ("light", "dark")]


class Visited:
    """A node that runs, with an admin, and a browser on its page.

    Args:
        node: That runs.
        browsing: A browser on its page.
    """

    def __init__(self, node, browsing):
        self.node, self.page = node, browsing

    def send(self, folder):
        """Send the files of a folder over DICOMweb."""
        parts = b"".join(
            b"--x\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n"
            for file in sorted(folder.iterdir())
        )
        request = urllib.request.Request(
            f"{self.page.base}/dicomweb/studies",
            parts + b"--x--\r\n",
            {
                "Content-Type": 'multipart/related; type="application/dicom"; boundary=x',
                "Authorization": "Basic " + b64encode(f"anna:{PASSWORD}".encode()).decode(),
            },
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browsed")
    with running_node(folder) as found:
        command = (sys.executable, "-m", "ichlite", "node", "add-user", str(folder), "anna")
        subprocess.run(
            (*command, "--password-stdin", "--admin"), input=PASSWORD.encode(), check=True
        )
        yield found


@pytest.fixture
def visit(node, browsing):
    page = browsing(f"http://127.0.0.1:{node.http_port}")
    page.log_in("anna", PASSWORD)
    return Visited(node, page)


@pytest.mark.long
def test_a_study_comes_live_and_is_read_looked_at_and_judged(visit, tmp_path):
    page = visit.page
    page.wait(lambda: "live" in page.text("#live"))
    folder = tmp_path / "study"
    folder.mkdir()
    write_head_series(folder, 28, study="31", PatientName=EVIL, PatientID="=1+1")
    page.run("window.same = true")
    visit.send(folder)
    row = "tr.study[data-key$='.31']"
    page.wait(lambda: page.all(row), 10)
    assert "<script>window.evil / 1</script> / cmd|' /C calc'!A0" in page.text(row)
    page.wait(lambda: "not flagged" in page.text(row) or "urgent" in page.text(row), 120)
    assert page.run("return window.same")  # it was never loaded anew
    assert page.run("return window.evil") is None

    page.find(f"{row} a").send_keys(Keys.ENTER)  # by the keyboard
    page.wait(lambda: page.all("#report"))
    assert "Research use only" in page.text(".banner")
    page.wait(lambda: page.run("return document.querySelector('#report').offsetHeight") > 900)
    page.browser.switch_to.frame(page.find("#report"))
    page.wait(lambda: page.all(".stage canvas"))
    assert page.run("try { return document.cookie } catch (fault) { return fault.name }") == (
        "SecurityError"
    )
    before = page.text(".corner.slice")
    page.find(".stage").send_keys(Keys.ARROW_DOWN)
    page.wait(lambda: page.text(".corner.slice") != before)
    assert page.run(
        "return document.documentElement.scrollHeight - document.documentElement.clientHeight"
    ) <= 2  # it scrolls with the page around it  # fmt: skip
    page.browser.switch_to.default_content()

    page.find("input[value=disagree]").click()
    page.find("input[name=remark]").send_keys("=cmd|x")
    page.find("form.verdict button").click()
    page.wait(lambda: "disagree" in page.text(".verdicts"))
    assert "anna" in page.text(".verdicts")
    assert "=cmd|x" in page.text(".verdicts")
    assert page.run("return window.evil") is None
    assert page.said() == []


@pytest.mark.long
def test_a_study_that_is_open_says_when_new_slices_come(visit, tmp_path):
    page = visit.page
    folder = tmp_path / "study"
    folder.mkdir()
    write_head_series(folder, 12, study="32", BodyPartExamined="CHEST")
    visit.send(folder)

    def done(found):
        return [s["study"] for s in found["studies"] if s["study"].endswith("32") and s["status"]]

    (uid,) = done(visit.node.wait_for(done, 120))
    page.go(f"/studies/{uid}")
    assert "This is not a negative" in page.text("main")
    page.wait(lambda: page.all("#report"))
    for file in folder.iterdir():
        file.unlink()
    write_head_series(folder, 14, study="32", series="9", BodyPartExamined="CHEST")
    visit.send(folder)
    page.wait(lambda: page.find("#news").is_displayed())


def test_files_and_archives_are_uploaded_from_the_page(visit, tmp_path):
    import zipfile

    page = visit.page
    folder = tmp_path / "cd"
    folder.mkdir()
    write_head_series(folder, 3, study="33")
    (folder / "readme.txt").write_text("hello")
    (folder / "DICOMDIR").write_text("x")
    with zipfile.ZipFile(tmp_path / "cd.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"x/{file.name}")
    page.go("/upload")
    page.find("#files").send_keys("\n".join(str(file) for file in sorted(folder.iterdir())))
    page.wait(lambda: page.text("#progress-words").startswith("Done"))
    assert "3 images taken" in page.text("#progress-words")
    assert "1 passed over by name" in page.text("#progress-words")
    assert "readme.txt not a DICOM file" in page.text("#refused-list")
    page.find("#files").send_keys(str(tmp_path / "cd.zip"))
    page.wait(lambda: "were here already" in page.text("#progress-words"))
    assert "cd.zip: x/readme.txt not a DICOM file" in page.text("#refused-list")
    page.find("#studies a").click()
    page.wait(lambda: page.all("#study"))
    faults = [line for line in page.said() if "422" not in line]
    assert faults == []


@pytest.mark.long
@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_all_can_use_every_page(visit, size, scheme, tmp_path):
    page = visit.page
    folder = tmp_path / "study"
    folder.mkdir()
    write_head_series(folder, 9, study="34", PatientName="A" * 60)
    visit.send(folder)
    visit.node.wait_for(
        lambda found: not found["received"] + found["queued"] + found["running"], 120
    )
    page.look(size, scheme)
    studies = [one["study"] for one in visit.node.status()["studies"]]
    paths = ["/", "/?show=look", "/upload", "/queue", "/drift", "/settings", "/nothing"]
    for path in (*paths, *(f"/studies/{uid}" for uid in studies)):
        page.go(path)
        assert page.faults() == [], path
        assert page.overflow() <= 0, path
        assert page.find(".banner").is_displayed()
        assert page.all("h1")
    page.find("form.leave button").click()
    page.wait(lambda: page.all("input[name=password]"))
    assert page.faults() == []
    page.look()


def test_keys_alone_reach_the_content_and_a_study(visit):
    page = visit.page
    page.go("/")
    page.find("body").send_keys(Keys.TAB)
    assert page.browser.switch_to.active_element.text == "Skip to the content"
    page.browser.switch_to.active_element.send_keys(Keys.ENTER)
    page.browser.switch_to.active_element.send_keys(Keys.TAB)
    focused = page.browser.switch_to.active_element
    assert focused.find_elements(By.XPATH, "ancestor::main")
