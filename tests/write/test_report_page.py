import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.dicom_files import write_head_series

from ichlite.errors import UsageError
from ichlite.infer.bundle import load_bundle
from ichlite.infer.pipeline import read_paths
from ichlite.infer.results import ReadResult
from ichlite.labels import NAMES
from ichlite.records import SkippedFile
from ichlite.write import report_page
from ichlite.write.report_page import Report, viewer_script

EVIL = '<script>alert("x")</script><img src=http://evil.example/x onerror=y>&\'"'
VOID = {"meta", "img", "br", "link", "wbr", "input"}


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


def page_of(result, bundle, **options):
    report = Report(bundle, **options)
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
    assert "link" not in page.tags
    sources = [value for key, value in page.attributes if key in ("src", "href", "action", "data")]
    assert sources == ["#scan-1"]
    assert not any(key.startswith("on") for key, _ in page.attributes)
    assert len(text) < 6_000_000


def test_the_page_runs_its_own_script_and_no_other(read, bundle):
    text = page_of(read, bundle)
    kinds = re.findall("<script([^>]*)>", text)
    assert kinds == [' type="application/json" class="view"', ' type="text/plain" class="data"', ""]
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    assert script == viewer_script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall('Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in policy
    assert not re.search(r"^(import|export)\b", script, re.M)


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
    for identifiers in (False, True):
        text = page_of(result, bundle, identifiers=identifiers)
        page = Page(text)
        assert page.tags.count("script") == 3
        assert "img" not in page.tags
        assert not any(key == "onerror" for key, _ in page.attributes)
        assert not any("evil.example" in str(value) for _, value in page.attributes)
        assert "<script>alert" not in text
        assert EVIL in "".join(page.text)


def test_the_most_urgent_scan_comes_first(read, bundle):
    good = read.studies[0]
    calm = replace(good, series="calm", urgent=False)
    grave = replace(good, series="grave", urgent=True)
    text = page_of(ReadResult("b", (calm, grave), ()), bundle, identifiers=True)
    assert text.index("<dd>grave") < text.index("<dd>calm")


def test_a_scan_without_pixels_has_no_pictures(read, bundle):
    with pytest.raises(UsageError, match="keep_pixels"):
        Report(bundle).add(replace(read.studies[0], hu=None))


def test_a_scan_threshold_is_drawn_only_where_a_slice_can_reach_it(read, bundle):
    together, highest = (
        page_of(
            ReadResult("b", read.studies[:1], ()),
            replace(bundle, rule=replace(bundle.rule, scan_rule=name)),
        )
        for name in ("noisy_or", "max")
    )
    assert 'class="threshold"' in highest
    assert "Red dashes" in highest
    assert 'class="threshold"' not in together
    assert "for all slices together" in together


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


def named_series(folder, **overrides):
    return write_head_series(
        folder,
        study="5",
        PatientName="ROE^JANE",
        PatientID="P-4711",
        PatientBirthDate="19500102",
        PatientSex="F",
        PatientAge="070Y",
        StudyDate="20200304",
        StudyDescription="CT of Jane",
        SeriesDescription="Plain Jane",
        ConvolutionKernel="H31s",
        **overrides,
    )


def test_who_the_patient_is_stands_in_the_page_only_where_it_is_asked_for(tmp_path, bundle):
    named_series(tmp_path / "a", series="1")
    named_series(tmp_path / "b", n=3, series="2", BodyPartExamined="CHEST")
    result = read_paths([tmp_path], keep_pixels=True)
    assert {scan.status for scan in result.studies} == {"analysed", "not_chosen"}
    told = ("ROE JANE", "P-4711", "1950-01-02", "70 years", "2020-03-04", "CT of Jane")
    uids = {uid for scan in result.studies for uid in (scan.study, scan.series)}
    named = page_of(result, bundle, identifiers=True)
    for said in (*told, "Plain Jane", *uids):
        assert named.count(said) >= 1, said
    assert named.count("<dd>ROE JANE</dd>") == 2
    assert "ROE JANE · P-4711 · 2020-03-04" in named  # in the worklist
    plain = page_of(result, bundle)
    for said in (*told, "Jane", "JANE", "19500102", "20200304", *uids):
        assert said not in plain, said
    assert "<dt>kernel</dt><dd>H31s</dd>" in plain


def test_the_option_that_names_patients_is_about_a_page(ichlite, tmp_path):
    files = named_series(tmp_path / "a")
    page = tmp_path / "page.html"
    assert ichlite("read", *files, "--html", page).exit_code == 0
    assert "JANE" not in page.read_text()
    assert ichlite("read", *files, "--html", page, "--identifiers").exit_code == 0
    assert "ROE JANE" in page.read_text()
    alone = ichlite("read", *files, "--identifiers")
    assert (alone.exit_code, alone.out, alone.err.count("\n")) == (2, "", 1)


def test_a_uid_in_a_reason_is_hidden_too(tmp_path, bundle):
    named_series(tmp_path)
    (scan,) = read_paths([tmp_path], keep_pixels=True).studies
    line = f"series {scan.series} of {scan.study} is odd"
    result = ReadResult("b", (replace(scan, reasons=(line,), notes=(line,)),), ())
    assert "series … of … is odd" in page_of(result, bundle)
    assert line in page_of(result, bundle, identifiers=True)


def pixels_in(text):
    views = re.findall('class="view">([^<]*)<', text)
    return [json.loads(view)["pixels"] for view in views]


def test_a_page_on_many_scans_keeps_its_size(read, bundle, monkeypatch):
    good = read.studies[0]
    scans = [
        replace(good, series=name, urgent=urgent)
        for name, urgent in (("a", False), ("b", True), ("c", False))
    ]
    one = Report(bundle)
    one.add(good)
    size = one._bytes()
    monkeypatch.setattr(report_page, "MOST_BYTES", int(2.5 * size))
    text = page_of(ReadResult("b", tuple(scans), ()), bundle)
    shown = [pixels is not None for pixels in pixels_in(text)]
    assert shown == [True, True, False]  # the last in the worklist goes without
    assert "no pictures: the page would be too large" in text


def test_what_the_operating_point_did_is_said(read, bundle):
    text = page_of(read, bundle)
    nested = bundle.manifest.decision.evidence.points["balanced"].nested
    assert f"flagged {nested.sensitivity.value:.0%} of those that bleed" in text
    assert "operating point “balanced”" in text


def test_how_urgent_a_scan_is_can_be_seen(read, bundle):
    strict = bundle.operating_points["high_specificity"]["any"]
    good = replace(read.studies[0], urgent=True)
    just, sure = (
        page_of(ReadResult("b", (replace(good, scan={**good.scan, "any": p}),), ()), bundle)
        for p in (good.threshold + 0.01, 0.98)
    )
    assert good.threshold + 0.01 < strict < 0.98
    assert just.count(">urgent, borderline</span>") == 2  # in the worklist and over the scan
    assert "Borderline: at “high specificity” it is urgent from" in just
    assert "borderline" not in sure.partition("<body>")[2].casefold()
    assert sure.count(f'class="meter" style="--p:0.980;--t:{good.threshold:.3f}"') == 2
    strict_bundle = bundle.at("high_specificity")
    assert (
        "orderline"
        not in page_of(ReadResult("b", (good,), ()), strict_bundle).partition("<body>")[2]
        or good.scan["any"] < strict
    )


def test_series_that_were_not_chosen_are_listed_apart(tmp_path):
    write_head_series(tmp_path / "a", 28)
    write_head_series(tmp_path / "b", 28, series="2", ConvolutionKernel="BONE")
    bundle = load_bundle()
    report = Report(bundle)
    result = read_paths([tmp_path], bundle=bundle, visit=report.add, pixels_for_visit=True)
    page = report.page(result)
    assert "Not chosen" in page
    assert "bone or lung kernel" in page
    assert "<b>1</b> not chosen" in page
    assert "Not analysed" not in page
