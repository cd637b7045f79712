"""The viewer in a real Chromium: mouse, keys, touch, words, looks, and who can use it."""

import base64
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from tests.dicom_files import write_head_series
from tests.write.browser import axe, chromium, node

from ichlite.infer.bundle import load_bundle
from ichlite.infer.pipeline import read_paths
from ichlite.infer.results import ReadResult
from ichlite.records import SkippedFile
from ichlite.write.report_page import ASSETS, SCRIPTS, Report, plain_module
from ichlite.write.section import scan_section, view_json
from ichlite.write.study_view import show_study

UNITS = Path(__file__).with_name("viewer")
EVIL = "<script>window.evil = 1</script><img src=x onerror='window.evil = 1'>"
WIDE, NARROW = (1280, 800), (390, 844)
BLEED = 11
"""Index of the slice with the largest lesion, a square of 6x6 cells left of the middle."""


def test_the_parts_that_need_no_page():
    words = [node(), "--test", "--test-reporter=tap", *map(str, UNITS.glob("*.test.js"))]
    run = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout[-4000:]
    assert int(re.findall(r"^# pass (\d+)", run.stdout, re.M)[0]) > 50


@pytest.fixture(scope="module")
def browser():
    driver = chromium()
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def scans(head_series, tmp_path_factory):
    """A scan with two lesions in its map, the same one calm, and one that was refused."""
    small = tmp_path_factory.mktemp("small")
    write_head_series(small, 3, study="9", BodyPartExamined="CHEST")
    scan, refused = read_paths([head_series, small], keep_pixels=True).studies
    maps = np.full((28, 32, 32, 5), -3.0, np.float32)
    maps[BLEED, 12:18, 9:15, 4] = maps[20, 12:15, 20:23, 4] = 3.0
    line = "incomplete: slices are missing"
    grave = replace(scan, activation_maps=maps, urgent=True, series="1.2.3", notes=(EVIL,))
    calm = replace(grave, series="1.2.4", urgent=None, not_cleared=(line,), reasons=(line,))
    return grave, calm, replace(refused, reasons=(EVIL,))


@pytest.fixture(scope="module")
def page(scans, tmp_path_factory):
    report = Report(load_bundle(), identifiers=True)
    for scan in scans:
        report.add(scan)
    file = tmp_path_factory.mktemp("page") / "report.html"
    skipped = (SkippedFile(EVIL, EVIL),)
    file.write_text(report.page(ReadResult("b", scans, skipped)), encoding="utf-8")
    return file.as_uri()


class Driven:
    """A page that is open in a browser, and what is to be read from it."""

    def __init__(self, browser, address, size=WIDE, scheme="light", *, touch=False, script=True):
        self.browser = browser
        sized = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": touch}
        scheme = [{"name": "prefers-color-scheme", "value": scheme}]
        self.cdp("Emulation.setDeviceMetricsOverride", **sized)
        self.cdp("Emulation.setTouchEmulationEnabled", enabled=touch)
        self.cdp("Emulation.setEmulatedMedia", features=scheme, media="")
        self.cdp("Emulation.setScriptExecutionDisabled", value=not script)
        browser.get("about:blank")
        browser.get_log("browser"), browser.get_log("performance")
        browser.get(address)

    def cdp(self, command, **options):
        return self.browser.execute_cdp_cmd(command, options)

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def find(self, selector):
        found = self.browser.find_elements(
            By.CSS_SELECTOR, f"section.scan:not([hidden]) {selector}"
        )
        assert found, selector
        return found[0]

    def text(self, selector):
        return self.find(selector).get_property("textContent")

    @property
    def slice(self):
        return int(self.text(".corner.slice").split(" / ")[0])

    @property
    def window(self):
        return [int(n) for n in re.findall(r"-?\d+", self.text(".corner.window"))]

    def keys(self, *keys):
        self.browser.switch_to.active_element.send_keys(*keys)

    def colour(self, row, column):
        """The colour on the screen of a pixel of the picture, of 256x256."""
        place = self.place(row, column)
        pixel = self.run(
            "const c = document.querySelector('section.scan:not([hidden]) .picture');"
            "const [x, y] = arguments;"
            "return Array.from(c.getContext('2d').getImageData(x, y, 1, 1).data)",
            *place,
        )
        return pixel[:3]

    def place(self, row, column):
        """Where a pixel of the picture is in the stage when the whole picture is shown."""
        width, height = self.run(
            "const s = document.querySelector('section.scan:not([hidden]) .stage');"
            "return [s.clientWidth, s.clientHeight]"
        )
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return left + (column + 0.5) * side / 256, top + (row + 0.5) * side / 256

    def errors(self):
        """What the console says, but for advice on how these tests read the canvas."""
        lines = self.browser.get_log("browser")
        return [
            line
            for line in lines
            if "willReadFrequently" not in str(line) and "will-read-frequently" not in str(line)
        ]


@pytest.fixture
def viewer(browser, page):
    driven = Driven(browser, page)
    yield driven
    assert driven.errors() == []
    assert driven.run("return window.evil") is None


def wheel(viewer, notches):
    stage = viewer.find(".stage")
    for _ in range(abs(notches)):
        viewer.run(
            "arguments[0].dispatchEvent(new WheelEvent('wheel', {deltaY: arguments[1], "
            "bubbles: true, cancelable: true}))",
            stage,
            100 if notches > 0 else -100,
        )


def test_the_page_opens_at_the_largest_lesion_of_the_most_urgent_scan(viewer):
    assert viewer.slice == BLEED + 1
    assert viewer.text(".mark.left") == "R"
    assert viewer.text(".mark.right") == "L"
    assert viewer.text(".mark.top") == "A"
    assert viewer.text(".mark.bottom") == "P"
    assert "10 cm" in viewer.text(".ruler")
    jumps = viewer.browser.find_elements(By.CSS_SELECTOR, "section:not([hidden]) .jumps button")
    kinds = [one["subtype"] or "unclear kind" for one in viewer_document(viewer)["jumps"]]
    assert [one.text for one in jumps] == [
        f"{BLEED + 1}: {kinds[0]}\nright, ≈ 20 cm²",  # 36 cells of 8x8 pixels of 0.9375 mm
        f"21: {kinds[1]}\nleft, ≈ 5.1 cm²",
    ]
    assert viewer.text(".here") == "marked here: right ≈ 20 cm²"
    viewer.keys(Keys.HOME)  # the focus is on the pictures
    assert viewer.text(".here") == "no mark here"
    viewer.find(".jumps button:last-of-type").click()
    viewer.keys(Keys.ARROW_UP)  # and again after a click
    assert viewer.slice == 22


def test_wheel_keys_and_drag_scroll_between_feet_and_head(viewer):
    wheel(viewer, -3)
    assert viewer.slice == BLEED + 4
    wheel(viewer, 1)
    assert viewer.slice == BLEED + 3
    stage = viewer.find(".stage")
    ActionChains(viewer.browser).move_to_element(stage).click().perform()
    for key, expected in (
        (Keys.HOME, 1),
        (Keys.ARROW_DOWN, 1),
        (Keys.ARROW_UP, 2),
        (Keys.ARROW_RIGHT, 3),
        (Keys.ARROW_LEFT, 2),
        (Keys.PAGE_UP, 7),
        (Keys.END, 28),
        (Keys.ARROW_UP, 28),
        (Keys.PAGE_DOWN, 23),
        ("n", 21),  # after the first, where the page opened
        (Keys.ARROW_UP, 22),
        ("p", 21),  # back to the one that was left
        ("p", BLEED + 1),
        ("p", 21),
        ("n", BLEED + 1),
    ):
        viewer.keys(key)
        assert viewer.slice == expected, key
    drag(viewer, 0, -100)
    up = viewer.slice
    assert up > BLEED + 2
    drag(viewer, 0, 60)
    assert viewer.slice < up


def drag(viewer, x, y, button="left"):
    stage = viewer.find(".stage")
    viewer.run("arguments[0].scrollIntoView({block: 'center'})", stage)
    pointer = {"left": 0, "middle": 1, "right": 2}[button]
    actions = ActionBuilder(viewer.browser)
    actions.pointer_action.move_to(stage).pointer_down(pointer)
    for step in range(1, 6):
        actions.pointer_action.move_to(stage, int(x * step / 5), int(y * step / 5))
    actions.pointer_action.pointer_up(pointer)
    actions.perform()


def test_the_chart_is_the_scroll_bar(viewer):
    chart = viewer.find(".chart")
    assert chart.get_attribute("role") == "slider"
    width = chart.size["width"]
    ActionChains(viewer.browser).move_to_element_with_offset(
        chart, int(-0.48 * width), 0
    ).click().perform()
    assert viewer.slice == 1
    actions = ActionChains(viewer.browser).move_to_element(chart).click_and_hold()
    actions.move_by_offset(int(0.47 * width), 0).release().perform()
    assert viewer.slice == 28
    chart.send_keys(Keys.ARROW_LEFT)
    assert viewer.slice == 27
    assert chart.get_attribute("aria-valuenow") == "27"
    assert chart.get_attribute("aria-valuetext").startswith("Slice 27 of 28: any 0.")
    cursor = viewer.find(".cursor").get_attribute("style")
    places = [one["place"] for one in viewer_document(viewer)["slices"]]
    assert f"{places[26]:g}%" in cursor


def viewer_document(viewer):
    return json.loads(viewer.text("script.view"))


def test_what_is_said_of_a_slice_is_its_own(viewer, scans):
    for index in (0, 7, 27):
        viewer.find(".chart").send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * index)
        rows = viewer.browser.find_elements(
            By.CSS_SELECTOR, "section:not([hidden]) .scores tbody tr"
        )
        said = [row.find_elements(By.TAG_NAME, "td")[1].text for row in rows]
        assert said == [f"{p:.2f}" for p in scans[0].slices[index].probabilities.values()]


def whole_picture(viewer):
    viewer.find(".zoom button[value=whole]").click()


def grey_of(hu, level, width):
    return round(255 * min(1, max(0, (hu - level + width / 2) / width)))


def test_windows_show_the_hounsfield_units_that_were_judged(viewer, scans):
    whole_picture(viewer)
    viewer.find(".overlay .shown").click()
    hu = scans[0].hu[BLEED].astype(int)
    places = [(10, 10), (40, 126), (124, 133), (124, 190), (160, 80)]
    for button, (level, width) in zip(
        (1, 2, 3, 4), ((40, 80), (80, 200), (40, 40), (480, 2500)), strict=True
    ):
        viewer.find(f".presets button:nth-child({button})").click()
        assert viewer.window == [level, width]
        for row, column in places:
            around = hu[row - 1 : row + 2, column - 1 : column + 2]
            low, high = grey_of(around.min(), level, width), grey_of(around.max(), level, width)
            red, green, blue = viewer.colour(row, column)
            assert red == green == blue
            assert low - 2 <= red <= high + 2, (level, row, column)
    viewer.find(".stage").send_keys("2")
    assert viewer.window == [80, 200]
    pressed = viewer.browser.find_elements(
        By.CSS_SELECTOR, "section:not([hidden]) .presets [aria-pressed=true]"
    )
    assert [one.text for one in pressed] == ["subdural"]
    for name, value in (("level", "-30"), ("width", "7")):
        field = viewer.find(f".windows .{name}")
        field.clear()
        field.send_keys(value)
    assert viewer.window == [-30, 7]
    drag(viewer, 60, 30, "right")
    level, width = viewer.window
    assert level > -30
    assert width > 7
    viewer.find(".drag input[value=window]").click()
    drag(viewer, -40, -20)
    assert viewer.window[0] < level


def test_the_overlay_colours_the_lesion_and_nothing_else(viewer):
    whole_picture(viewer)
    lesion, outside = (120, 96), (120, 190)
    before = viewer.colour(*outside)
    red, green, blue = viewer.colour(*lesion)
    assert red > blue + 15
    viewer.find(".stage").send_keys("o")
    red, green, blue = viewer.colour(*lesion)
    assert red == green == blue
    viewer.find(".stage").send_keys("o")
    opacity = viewer.find(".overlay .opacity")
    opacity.send_keys(Keys.HOME)
    red, green, blue = viewer.colour(*lesion)
    assert red == green == blue
    # At no opacity the outline is still there.
    edges = [viewer.colour(120, column) for column in np.arange(70, 75, 0.25).tolist()]
    assert any(red > 200 and blue < 140 for red, _, blue in edges)
    opacity.send_keys(Keys.END)
    red, green, blue = viewer.colour(*lesion)
    assert red > blue + 80
    assert viewer.colour(*outside) == before


def test_zoom_and_move(viewer):
    viewer.find(".stage").send_keys("0")
    head = ruler_cm_per_pixel(viewer)
    whole_picture(viewer)
    whole = ruler_cm_per_pixel(viewer)
    assert head < whole
    viewer.find(".stage").send_keys("++")
    assert ruler_cm_per_pixel(viewer) == pytest.approx(whole / 1.25**2, rel=0.02)
    before = viewer.run(PICTURE)
    viewer.find(".stage").send_keys(Keys.SHIFT, Keys.ARROW_LEFT)
    moved = viewer.run(PICTURE)
    assert moved != before
    assert viewer.slice == BLEED + 1
    viewer.find(".stage").send_keys(Keys.SHIFT, Keys.ARROW_RIGHT)
    assert viewer.run(PICTURE) == before
    drag(viewer, 40, 0, "middle")
    assert viewer.run(PICTURE) != before
    viewer.find(".zoom button[value=out]").click()
    whole_picture(viewer)
    assert ruler_cm_per_pixel(viewer) == pytest.approx(whole, rel=0.02)
    stage = viewer.find(".stage")
    viewer.run(
        "arguments[0].dispatchEvent(new WheelEvent('wheel', {deltaY: -250, ctrlKey: true, "
        "clientX: 300, clientY: 300, bubbles: true, cancelable: true}))",
        stage,
    )
    assert ruler_cm_per_pixel(viewer) == pytest.approx(whole / np.e, rel=0.05)
    assert viewer.slice == BLEED + 1


PICTURE = "return document.querySelector('section.scan:not([hidden]) .picture').toDataURL()"


def ruler_cm_per_pixel(viewer):
    centimetres = float(re.findall(r"[\d.]+", viewer.text(".ruler"))[0])
    return centimetres / viewer.run(
        "return arguments[0].getBoundingClientRect().width", viewer.find(".ruler span")
    )


def test_the_value_under_the_pointer(viewer, scans):
    whole_picture(viewer)
    stage = viewer.find(".stage")
    viewer.run("arguments[0].scrollIntoView()", stage)  # else its middle is that of what is seen
    width, height = stage.size["width"], stage.size["height"]
    for row, column in ((120, 96), (40, 126), (5, 5)):
        x, y = viewer.place(row, column)
        ActionChains(viewer.browser).move_to_element_with_offset(
            stage, round(x - width / 2), round(y - height / 2)
        ).perform()
        said = int(re.findall(r"-?\d+", viewer.text(".corner.value"))[0])
        near = scans[0].hu[BLEED, row - 1 : row + 2, column - 1 : column + 2]
        step = 0 if near.min() >= -200 and near.max() < 400 else 64
        assert near.min() - step <= said <= near.max() + step


def test_touch_scrolls_and_two_fingers_zoom(browser, page):
    phone = Driven(browser, page, NARROW, touch=True)
    stage = phone.find(".stage")
    phone.run("arguments[0].scrollIntoView()", stage)
    finger = PointerInput("touch", "finger")
    actions = ActionBuilder(browser, mouse=finger)
    actions.pointer_action.move_to(stage).pointer_down()
    for step in range(1, 6):
        actions.pointer_action.move_to(stage, 0, -20 * step)
    actions.pointer_action.pointer_up()
    actions.perform()
    assert phone.slice > BLEED + 2
    before = ruler_cm_per_pixel(phone)
    box = phone.run("const b = arguments[0].getBoundingClientRect(); return [b.x, b.y]", stage)

    def fingers(apart):
        return [
            {"x": box[0] + 195 + side * apart, "y": box[1] + 150, "id": side} for side in (-1, 1)
        ]

    phone.cdp("Input.dispatchTouchEvent", type="touchStart", touchPoints=fingers(30))
    for apart in (45, 60, 75, 90):
        phone.cdp("Input.dispatchTouchEvent", type="touchMove", touchPoints=fingers(apart))
    phone.cdp("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    assert ruler_cm_per_pixel(phone) < before / 2
    assert phone.run("return visualViewport.scale") == 1
    assert phone.errors() == []


def test_the_worklist_chooses_the_scan(viewer):
    links = viewer.browser.find_elements(By.CSS_SELECTOR, ".triage a")
    assert len(links) == 2
    assert "incomplete: slices are missing" not in viewer.find(".remarks").text
    links[1].click()
    assert "incomplete: slices are missing" in viewer.find(".remarks").text
    assert viewer.slice == BLEED + 1
    assert links[1].get_attribute("aria-current") == "true"
    assert links[0].get_attribute("aria-current") is None
    viewer.keys(Keys.END)  # the focus is on the pictures
    assert viewer.slice == 28
    viewer.browser.back()
    assert viewer.slice == BLEED + 1
    shown = viewer.browser.find_elements(By.CSS_SELECTOR, "section.scan:not([hidden])")
    assert [one.get_attribute("id") for one in shown] == ["scan-1"]


FOCUSABLE = (
    "a[href], button, input, summary, [tabindex='0']",
    "const all = Array.from(document.querySelectorAll(arguments[0]));"
    "const seen = all.filter(e => e.checkVisibility() && !(e.type === 'radio' && !e.checked));"
    "seen.forEach((e, i) => e.dataset.at = i); return seen.length",
)


def test_the_keyboard_alone_reaches_everything_and_sees_where_it_is(viewer):
    count = viewer.run(FOCUSABLE[1], FOCUSABLE[0])
    assert count > 20
    reached = []
    for _ in range(count + 1):  # the page opens with the focus on the pictures, and has an end
        viewer.keys(Keys.TAB)
        if viewer.run("return document.activeElement === document.body"):
            continue
        at, outline = viewer.run(
            "const e = document.activeElement; const s = getComputedStyle(e);"
            "return [e.dataset.at, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2]"
        )
        assert outline, viewer.run("return document.activeElement.outerHTML.slice(0, 200)")
        reached.append(int(at))
    assert sorted(reached) == list(range(count))


LABELS = """
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const found = [];
while (walk.nextNode()) {
  let at = walk.currentNode.parentElement;
  const text = walk.currentNode.textContent.trim();
  if (!text || !at.checkVisibility() || at.closest('.stage')) continue;
  const colour = getComputedStyle(at).color;
  const grounds = [];
  for (; at; at = at.parentElement) grounds.push(getComputedStyle(at).backgroundColor);
  found.push([text.slice(0, 40), colour, grounds]);
}
return found;
"""
"""Every visible text outside of the pictures: its colour, and the grounds that it stands on."""


def rgba(said):
    """A colour as CSS computes it, `rgb(1, 2, 3)` or `color(srgb 0.1 0.2 0.3 / 0.5)`, in [0, 1]."""
    numbers = [float(number) for number in re.findall(r"[\d.]+(?:e-\d+)?", said)]
    scale = 1 if said.startswith("color(srgb") else 255
    alpha = numbers[3] if len(numbers) > 3 else 1.0
    return np.array(numbers[:3]) / scale, alpha


def contrast(colour, grounds):
    """The contrast of a text with what lies under it (WCAG 2.2, 1.4.3)."""
    under = np.ones(3)
    for ground in reversed(grounds):
        shade, alpha = rgba(ground)
        under = alpha * shade + (1 - alpha) * under

    def luminance(shade):
        linear = np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(rgba(colour)[0]), luminance(under)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_axe_finds_nothing_and_every_label_can_be_read(browser, page, size, scheme):
    driven = Driven(browser, page, size, scheme)
    driven.run("for (const e of document.querySelectorAll('details')) e.open = true")
    driven.run(axe())
    found = driven.browser.execute_async_script(
        "axe.run(document, {resultTypes: ['violations', 'passes']})"
        ".then(r => arguments[0](r), e => arguments[0](String(e)))"
    )
    faults = [
        (one["id"], one["impact"], node["html"][:200], node["failureSummary"])
        for one in found["violations"]
        for node in one["nodes"]
    ]
    assert faults == []
    labels = driven.run(LABELS)
    assert len(labels) > 300
    assert [one for one in labels if contrast(one[1], one[2]) < 4.5] == []
    sizes = driven.run(
        "const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); const s = [];"
        "while (walk.nextNode()) { const e = walk.currentNode.parentElement;"
        "if (walk.currentNode.textContent.trim() && e.offsetParent)"
        " s.push(parseFloat(getComputedStyle(e).fontSize)); } return s"
    )
    assert min(sizes) >= 12
    assert driven.run("return document.documentElement.scrollWidth") <= size[0]
    assert driven.errors() == []


def test_words_on_the_picture_have_contrast_whatever_is_under_them(viewer):
    for selector in (".corner.slice", ".corner.window", ".mark.left", ".ruler"):
        colour, ground = viewer.run(
            "const s = getComputedStyle(arguments[0]); return [s.color, s.backgroundColor]",
            viewer.find(selector),
        )
        for under in ("rgb(0, 0, 0)", "rgb(255, 255, 255)"):
            assert contrast(colour, [ground, under]) >= 4.5


def test_nothing_is_fetched(browser, page):
    driven = Driven(browser, page)
    driven.find(".stage").send_keys("n")
    asked = [
        json.loads(line["message"])["message"]["params"]["request"]["url"]
        for line in browser.get_log("performance")
        if '"Network.requestWillBeSent"' in line["message"]
    ]
    assert [url for url in asked if not url.startswith("data:")] == [page]


def test_without_javascript_all_words_are_there(browser, page, scans):
    driven = Driven(browser, page, script=False)
    try:
        shown = browser.find_elements(By.CSS_SELECTOR, "section.scan")
        assert all(one.is_displayed() for one in shown)
        words = browser.find_element(By.TAG_NAME, "body").text
        assert words.count("The pictures need JavaScript") == 2
        assert "incomplete: slices are missing" in words
        assert browser.find_elements(By.CSS_SELECTOR, ".chart svg path.line")
    finally:
        driven.cdp("Emulation.setScriptExecutionDisabled", value=False)


def test_paper_has_every_scan_with_its_first_pictures(viewer):
    paper = base64.b64decode(viewer.cdp("Page.printToPDF", printBackground=True)["data"])
    assert paper.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) >= 3
    assert viewer.browser.find_elements(By.CSS_SELECTOR, ".printed") == []
    viewer.run("window.dispatchEvent(new Event('beforeprint'))")
    printed = viewer.browser.find_elements(By.CSS_SELECTOR, ".printed figure")
    assert len(printed) == 4  # two scans, each with two marked places
    assert f"slice {BLEED + 1} of 28" in printed[0].get_property("textContent")
    inked = viewer.run(
        "return Array.from(document.querySelectorAll('.printed canvas')).map(c => {"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let lit = 0, coloured = 0; for (let i = 0; i < d.length; i += 4) {"
        "lit += d[i] > 50; coloured += d[i] > d[i + 2] + 10; } return [lit, coloured] })"
    )
    assert len(inked) == 8
    assert all(lit > 10_000 for lit, _ in inked)
    assert inked[0][1] == 0 < inked[1][1]
    viewer.run("window.dispatchEvent(new Event('afterprint'))")
    assert viewer.browser.find_elements(By.CSS_SELECTOR, ".printed") == []


def test_damaged_pictures_are_not_shown(browser, page, tmp_path):
    text = Path(page.removeprefix("file://")).read_text(encoding="utf-8")
    start = text.index('class="data">') + 100
    swapped = text[start : start + 400].swapcase()
    bad = tmp_path / "bad.html"
    bad.write_text(text[:start] + swapped + text[start + 400 :], encoding="utf-8")
    driven = Driven(browser, bad.as_uri())
    driven.find(".stage").send_keys(Keys.HOME)
    assert "damaged" in driven.text(".screen")
    (error,) = driven.errors()
    assert "damaged" in error["message"]
    driven.find(".stage").send_keys(Keys.END)
    assert driven.slice == 28
    assert "damaged" not in driven.text(".screen")


def test_a_page_without_pictures_or_without_scans_has_no_faults(browser, scans, tmp_path):
    file = tmp_path / "page.html"
    report = Report(load_bundle())
    report.add(scans[0])
    for shown in report._shown:
        report._shown[shown] = report._shown[shown].without_pictures()
    for studies, words in ((scans[:1], "pictures were left out"), (scans[2:], "No series was")):
        page = report.page(ReadResult("b", studies, ()))
        file.write_text(page, encoding="utf-8")
        driven = Driven(browser, file.as_uri())
        assert words in browser.find_element(By.TAG_NAME, "body").text
        driven.run("window.dispatchEvent(new Event('beforeprint'))")
        assert driven.errors() == []


def test_a_scan_is_shown_by_its_document_and_bytes_alone(browser, page, scans, tmp_path):
    """As a server may send them: of the page, only the section and the templates are needed."""
    shown = show_study(scans[0], load_bundle())
    said = scan_section(scans[0], shown, load_bundle()).partition("<script")[0]
    templates = (ASSETS / "viewer.html").read_text(encoding="utf-8")
    file = tmp_path / "page.html"
    file.write_text(f'<meta charset="utf-8"><section class="scan">{said}</section>{templates}')
    driven = Driven(browser, file.as_uri())
    modules = "".join(map(plain_module, SCRIPTS[:-1]))
    show = "new Viewer(document.querySelector('section'), JSON.parse(arguments[0]), "
    data = base64.b64encode(shown.data).decode()
    driven.run(f"{modules}{show}bytesOf(arguments[1]))", view_json(shown.view), data)
    assert driven.slice == BLEED + 1
    driven.find(".stage").send_keys(Keys.END)
    assert driven.slice == 28
    assert driven.errors() == []
