"""One study: its versions, its viewer, verdicts, and what a reader may do."""

import csv
import io

import pytest

from ichlite.node import studies
from ichlite.node.settings import PeerSettings, Settings, WebhookSettings
from ichlite.node.web.pages import REPORT_POLICY, shown_settings

EVIL = "<script>alert(1)</script>^\"'><img src=x onerror=alert(1)>"


@pytest.fixture
def uid(site, slices):
    """A study that was read once."""
    (file,) = slices(count=1, PatientName=EVIL, StudyDescription="=cmd|x")
    found = site.services.intake.take([file], "CT1").header.study_uid
    site.read(found, objects=("a.sr.dcm",))
    return found


def test_what_a_file_says_is_text(site, uid):
    for path in ("/", "/worklist", f"/studies/{uid}", "/queue"):
        text = site.ask("GET", path, user="anna").text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in site.ask("GET", "/", user="anna").text


def test_versions_are_marked_and_each_can_be_seen(site, uid, slices):
    (late,) = slices(count=1, seed=3)
    site.services.intake.take([late], "CT1")
    site.read(uid, urgent=False, any_probability=0.1)
    text = site.ask("GET", f"/studies/{uid}", user="eva").text
    assert "not flagged" in text
    assert text.count("superseded") == 2  # the row of version 1, and its look
    old = site.ask("GET", f"/studies/{uid}?version=1", user="eva").text
    assert "Version 1 is <b>superseded</b>" in old
    assert site.ask("GET", f"/studies/{uid}?version=7", user="eva").status == 404
    found = site.ask("GET", f"/api/studies/{uid}", user="eva").json
    assert [(one["version"], one["superseded"]) for one in found["versions"]] == [
        (2, False),
        (1, True),
    ]


def test_the_report_has_no_origin_and_only_its_own_page_may_frame_it(site, uid):
    path = f"/studies/{uid}/versions/1/report"
    assert site.ask("GET", path, user="eva").status == 404
    assert "<iframe" not in site.ask("GET", f"/studies/{uid}", user="eva").text
    folder = site.store.results / studies.result_folder(uid, 1)
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<p>hello")
    (folder / "reading.json").write_text("{}")
    answer = site.ask("GET", path, user="eva")
    assert answer.text == "<p>hello"
    assert answer.headers["content-security-policy"] == REPORT_POLICY
    assert "sandbox allow-scripts" in REPORT_POLICY
    assert "allow-same-origin" not in REPORT_POLICY
    assert site.ask("GET", path).status == 303
    page = site.ask("GET", f"/studies/{uid}", user="eva").text
    assert 'sandbox="allow-scripts"></iframe>' in page
    assert site.ask("GET", f"/api/studies/{uid}/versions/1/reading", user="eva").json == {}


def test_verdicts_are_kept_changed_and_exported_safely(site, uid):
    eva, anna = site.session("eva"), site.session("anna")
    for session, word, remark in (
        (eva, "agree", ""),
        (anna, "unsure", "=1+1"),
        (eva, "disagree", "@x"),
    ):
        answer = site.form(
            f"/studies/{uid}/verdict", session, verdict=word, remark=remark, version=1
        )
        assert (answer.status, answer.headers["location"]) == (
            303,
            f"/studies/{uid}?version=1#verdict",
        )
    assert site.form(f"/studies/{uid}/verdict", eva, verdict="wrong", version=1).status == 400
    assert site.form(f"/studies/{uid}/verdict", eva, verdict="agree", version=9).status == 404
    table = site.ask("GET", "/verdicts.csv", user="anna")
    assert "attachment" in table.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [(one["reader"], one["verdict"], one["remark"]) for one in rows] == [
        ("eva", "disagree", "'@x"),
        ("anna", "unsure", "'=1+1"),
    ]
    assert rows[0]["study"] == uid
    assert rows[0]["any"] == "0.900000"
    actions = [row[0] for row in site.tables("SELECT action FROM audit")]
    assert actions.count("verdict.given") == 3
    assert "verdicts.exported" in actions


def test_a_study_can_be_told_complete_and_a_parked_one_be_read_again(site, slices):
    (file,) = slices(study="9", count=1)
    uid = site.services.intake.take([file], "CT1").header.study_uid
    assert "read it now" in site.ask("GET", f"/studies/{uid}", user="eva").text
    assert site.form(f"/studies/{uid}/complete", site.session("eva")).status == 303
    assert site.tables("SELECT due_at FROM study") == [(0.0,)]
    assert site.ask("POST", f"/api/studies/{uid}/complete", user="eva").json == {"done": True}
    site.database.write(lambda tables: studies.queue_due(tables, 5))
    assert site.ask("POST", f"/api/studies/{uid}/complete", user="eva").json == {"done": False}
    claim = site.database.write(lambda tables: studies.claim(tables, 6))
    site.database.write(lambda tables: studies.park(tables, claim.reading_id, "it crashed", 7))
    text = site.ask("GET", f"/studies/{uid}", user="eva").text
    assert "parked: no result" in text
    assert "it crashed" in text
    assert site.form(f"/studies/{uid}/retry", site.session("eva")).status == 303
    assert site.tables("SELECT state FROM study") == [("received",)]
    assert site.ask("POST", f"/api/studies/{uid}/retry", user="eva").json == {"done": False}
    assert site.ask("POST", "/api/studies/1.9/retry", user="eva").status == 404


def test_what_was_given_up_is_tried_again(tmp_path, slices):
    from tests.node.web.site import Site

    hook = WebhookSettings(name="pager", url="https://a.example/", secret="whsec_" + "a" * 32)
    peer = PeerSettings(name="pacs", host="h")
    site = Site(tmp_path / "store", peer=(peer,), webhook=(hook,))
    try:
        (file,) = slices(count=1)
        uid = site.services.intake.take([file], "CT1").header.study_uid
        site.read(uid, objects=("a.sr.dcm",))
        assert site.ask("POST", "/api/deliveries/1/retry", user="anna").json == {"done": False}
        site.database.write(
            lambda t: t.execute("UPDATE delivery SET state = 'dead', fault = 'no route'")
        )
        text = site.ask("GET", "/queue", user="anna").text
        assert "no route" in text
        assert "Try again" in text
        assert "pager" in text
        assert "(hidden)" in site.ask("GET", "/settings", user="anna").text
        assert "whsec_" not in site.ask("GET", "/settings", user="anna").text
        assert "Try again</button>" not in site.ask("GET", "/queue", user="eva").text
        assert site.form("/deliveries/1/retry", site.session("anna")).status == 303
        assert site.tables("SELECT state, attempts FROM delivery") == [("waiting", 0)]
        assert site.ask("POST", "/api/deliveries/7/retry", user="anna").status == 404
    finally:
        site.close()


def test_the_audit_trail_says_who_looked(site, uid):
    site.ask("GET", f"/studies/{uid}", user="eva")
    trail = site.ask("GET", f"/api/studies/{uid}", user="anna").json["audit"]
    assert ("eva", "study.viewed") in {(one["actor"], one["action"]) for one in trail}
    assert EVIL not in str(trail)


@pytest.mark.parametrize("path", ["1.2.x", "..%2f..%2fetc", "1" * 65, "%00", "1.2.3"])
def test_what_is_no_study_is_not_found(site, path):
    assert site.ask("GET", f"/studies/{path}", user="eva").status == 404
    assert site.ask("GET", f"/api/studies/{path}", user="eva").status == 404


def test_secrets_are_not_shown():
    class Hook(Settings.__mro__[1], frozen=True):
        secret: str = "whsec_x"
        url: str = "http://a"

    class With(Settings, frozen=True):
        hook: tuple[Hook, ...] = (Hook(),)

    shown = dict(shown_settings(With()))
    assert ("secret", "(hidden)") in shown["[[hook]]"]
    assert ("url", "http://a") in shown["[[hook]]"]
