import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from tests.dicom_files import write_head_series

from ichlite.contracts.bundle import OutputSpec
from ichlite.errors import UsageError
from ichlite.infer.bundle import load_bundle
from ichlite.infer.pipeline import read_paths
from ichlite.labels import ANY, CLASSES, NAMES, SUBTYPES
from ichlite.records import ReadResult, SkippedFile, SliceScores
from ichlite.write.chart import HEIGHT, nice_ticks, probability_chart
from ichlite.write.picture import data_uri, grey_slice, heat_colours, overlay, relative
from ichlite.write.report_page import Report
from ichlite.write.section import scan_section

EVIL = '<script>alert("x")</script><img src=http://evil.example/x onerror=y>&\'"'
VOID = {"meta", "img", "br", "link", "wbr"}


class Page(HTMLParser):
    """Every tag and attribute of a page; fails when tags do not pair."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def bundle():
    return load_bundle()


@pytest.fixture(scope="module")
def read(head_series, tmp_path_factory):
    small = tmp_path_factory.mktemp("small")
    write_head_series(small, 3, study="9", BodyPartExamined="CHEST")
    return read_paths([head_series, small], keep_pixels=True)


def page_of(result, bundle):
    report = Report(bundle)
    for scan in result.studies:
        report.add(scan)
    return report.page(result)


def test_the_page_holds_the_whole_answer_and_nothing_else(read, bundle):
    text = page_of(read, bundle)
    page = Page(text)
    words = "".join(page.text)
    assert "Research use only. Not a medical device." in words
    assert bundle.label in words
    assert "This is not a negative." in words
    for reason in read.studies[1].reasons:
        assert reason in words
    for name in NAMES:
        assert name in words
    assert "script" not in page.tags
    assert "link" not in page.tags
    sources = [value for key, value in page.attributes if key in ("src", "href", "action", "data")]
    assert len(sources) > 30
    assert all(s.startswith(("data:image/jpeg;base64,", "#scan-")) for s in sources)
    assert not any(key.startswith("on") for key, _ in page.attributes)
    assert "default-src 'none'" in text
    assert len(text) < 3_000_000


def test_not_analysed_is_never_dressed_as_a_result(read, bundle):
    only_refused = ReadResult(read.bundle, read.studies[1:], ())
    words = page_of(only_refused, bundle)
    body = words[words.index("<body>") :]
    assert 'class="badge unflagged"' not in body
    assert 'class="badge urgent"' not in body
    assert "no result" in body
    assert "No series was analysed." in body


def test_a_forced_scan_is_marked(read, bundle):
    forced = replace(read.studies[0], reasons=("a chest",))
    text = page_of(ReadResult("b", (forced,), ()), bundle)
    assert "not flagged, forced" in text or "urgent, forced" in text
    assert "judged by force, although a chest" in text


def test_text_from_files_is_escaped_everywhere(read, bundle):
    good, refused = read.studies
    good = replace(
        good,
        study=EVIL,
        series=EVIL,
        files=tuple(f"{EVIL}/{file}" for file in good.files),
        reasons=(EVIL,),
        notes=(EVIL,),
        slices=tuple(replace(s, file=EVIL + s.file) for s in good.slices),
    )
    refused = replace(refused, study=EVIL, series=EVIL, files=(EVIL,), reasons=(EVIL,))
    result = ReadResult(EVIL, (good, refused), (SkippedFile(EVIL, EVIL),), (EVIL,))
    text = page_of(result, bundle)
    page = Page(text)
    assert "script" not in page.tags
    assert not any(key == "onerror" for key, _ in page.attributes)
    assert not any("evil.example" in str(value) for _, value in page.attributes)
    assert "<script" not in text
    assert EVIL in "".join(page.text)


def test_the_most_urgent_scan_comes_first(read, bundle):
    good = read.studies[0]
    calm = replace(good, series="calm", urgent=False)
    grave = replace(good, series="grave", urgent=True)
    text = page_of(ReadResult("b", (calm, grave), ()), bundle)
    assert text.index("series grave") < text.index("series calm")


def test_a_scan_without_pixels_has_no_section(read, bundle):
    with pytest.raises(UsageError, match="keep_pixels"):
        scan_section(replace(read.studies[0], hu=None), bundle)


def chart_of(scan, threshold=0.5):
    return ET.fromstring(probability_chart(scan, threshold))


def test_the_chart_draws_each_subtype_in_its_colour_inside_the_picture(read):
    chart = chart_of(read.studies[0])
    lines = {line.get("class"): line for line in chart.iter("polyline")}
    assert set(lines) == set(CLASSES)
    for subtype in SUBTYPES:
        assert subtype.colour in lines[subtype.name].get("style")
        points = [
            tuple(map(float, p.split(","))) for p in lines[subtype.name].get("points").split()
        ]
        assert len(points) == 28
        assert [x for x, _ in points] == sorted(x for x, _ in points)
        assert all(0 <= y <= HEIGHT for _, y in points)


def test_a_scan_threshold_is_drawn_only_where_a_slice_can_reach_it(read, bundle):
    together, highest = (
        scan_section(read.studies[0], replace(bundle, rule=replace(bundle.rule, scan_rule=name)))
        for name in ("noisy_or", "max")
    )
    assert 'class="threshold"' in highest
    assert "Red dashes" in highest
    assert 'class="threshold"' not in together
    assert "for all slices together" in together


def test_a_gap_is_tinted_and_no_line_is_drawn_across_it(read):
    chart = chart_of(replace(read.studies[0], breaks=(0, 9)))
    runs = [line for line in chart.iter("polyline") if line.get("class") == ANY]
    assert [len(run.get("points").split()) for run in runs] == [2, 9, 18]
    gaps = [one for one in chart.iter("rect") if one.get("class") == "gap"]
    assert len(gaps) == 2
    assert all(float(one.get("width")) > 0 for one in gaps)


def test_what_is_not_cleared_looks_like_nothing_else(read, bundle):
    line = "incomplete: slices are missing"
    scan = replace(
        read.studies[0], urgent=None, complete=False, not_cleared=(line,), reasons=(line,)
    )
    text = page_of(ReadResult("b", (scan,), ()), bundle)
    assert '<span class="badge uncleared">incomplete: not cleared</span>' in text
    assert "<b>1</b> not cleared" in text
    assert line in "".join(Page(text).text)
    assert "by force" not in text


@pytest.mark.parametrize("values", [[0.0], [1.0] * 6, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]])
def test_labels_of_the_chart_never_lie_on_each_other(read, values):
    scores = dict(zip(CLASSES, (values * 6)[:6], strict=True))
    scan = replace(read.studies[0], slices=(SliceScores("a", None, scores),) * 2)
    labels = [t for t in chart_of(scan).iter("text") if "label" in (t.get("class") or "")]
    heights = sorted(float(label.get("y")) for label in labels)
    assert len(heights) == 6
    assert all(b - a >= 12 for a, b in pairwise(heights))
    assert heights[0] > 0
    assert heights[-1] < HEIGHT


def test_a_scan_without_positions_or_with_one_slice_has_a_chart(read):
    one = replace(read.studies[0], slices=read.studies[0].slices[:1])
    assert "slice (feet" in probability_chart(one, 0.5)
    chart_of(one)


def test_ticks_are_round_and_inside():
    for low, high in [(0, 1), (-3.7, 151), (12, 12), (1e-3, 2e-3), (1, 28)]:
        ticks = nice_ticks(low, high)
        assert 1 <= len(ticks) <= 8
        assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)


def test_pictures():
    hu = np.array([[-1024, 0, 40, 80, 3071]], np.int16)
    assert grey_slice(hu).tolist() == [[0, 0, 128, 255, 255]]
    warm = overlay(np.zeros((1, 2), np.uint8), np.array([[0.0, 1.0]], np.float32))
    assert warm[0, 0].tolist() == [0, 0, 0]
    assert warm[0, 1, 0] > 100
    luminance = heat_colours(np.linspace(0, 1, 50)) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()
    assert data_uri(np.zeros((256, 256), np.uint8), 96).startswith("data:image/jpeg;base64,/9j/")


def test_a_map_of_low_probabilities_is_still_seen(read, bundle):
    faint = relative(np.array([[0.0, 0.002, 0.004]], np.float32))
    assert np.ptp(overlay(np.full((1, 3), 90, np.uint8), faint)[0, :, 0].astype(int)) > 50
    assert not relative(np.zeros((2, 2), np.float32)).any()
    activation = replace(bundle, map=OutputSpec(kind="activation", cells=bundle.map.cells))
    text = page_of(read, activation)
    assert "relative to this slice's strongest cell" in text
    assert text.count("strongest cell 0.") == 4
    assert "any (broad band)" in text


def test_a_lesion_map_is_painted_only_where_it_says_blood(read, bundle):
    scan = read.studies[0]
    quiet = np.full((len(scan.slices), 32, 32, 5), -3.0, np.float32)
    blood = quiet.copy()
    blood[:, 10:14, 20:24] = 3.0
    lesion = replace(bundle, map=OutputSpec(kind="lesion", cells=(32, 32)))

    def page(maps):
        one = replace(read, studies=(replace(scan, activation_maps=maps),))
        return page_of(one, lesion)

    text = page(blood)
    assert "32x32 cells" in text
    assert "below 0.5 nothing is painted" in text
    assert "calibrated by nothing" in " ".join(Page(text).text)
    assert "relative to this slice" not in text
    assert "strongest cell 0.95" in text
    painted = re.findall(r'<img src="([^"]+)" alt="[^"]*, map of', text)
    plain = re.findall(r'<img src="([^"]+)" alt="[^"]*, map of', page(quiet))
    grey = re.findall(r'<img src="([^"]+)" alt="[^"]*, brain window', text)
    assert len(painted) == len(plain) == len(grey) == 4
    assert not set(painted) & set(plain)
    for one, other in zip(plain, grey, strict=True):
        assert np.abs(pixels_of(one).astype(int) - pixels_of(other)).max() <= 3  # JPEG of colour
    coloured = np.ptp(pixels_of(painted[0]).astype(int), axis=-1) > 30
    rows, columns = np.nonzero(coloured)
    assert 72 <= rows.min() < rows.max() < 120
    assert 152 <= columns.min() < columns.max() < 200


def pixels_of(uri):
    picture = Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))
    return np.asarray(picture.convert("RGB"))
