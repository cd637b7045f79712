"""The worklist: most urgent first, sorted and filtered, in words that are never "negative"."""

import pytest

from ichlite.node.web.words import call_of
from ichlite.node.web.worklist import ORDERS, PAGE, Wanted, list_studies

OUTCOMES = {
    "urgent": {},
    "urgenter": {"any_probability": 0.99, "complete": False},
    "incomplete": {"urgent": None, "complete": False, "any_probability": 0.1},
    "chest": {"status": "not_analysed", "urgent": None, "complete": None, "any_probability": None},
    "calm": {"urgent": False, "any_probability": 0.05},
    "waiting": None,
}


@pytest.fixture
def studies(site, slices):
    """The UIDs of studies of each kind, by name."""
    found = {}
    for number, (name, outcome) in enumerate(OUTCOMES.items()):
        (file,) = slices(study=str(number), count=1, PatientName=name, PatientID=str(9 - number))
        taken = site.services.intake.take([file], "CT1")
        found[name] = taken.header.study_uid
        if outcome is not None:
            reasons = () if "chest" not in name else ("the scan is not of a head",)
            site.read(found[name], **{"reasons": reasons, **outcome})
    return found


def names(site, **wanted):
    with site.database.read() as tables:
        return [one.patient_name for one in list_studies(tables, Wanted(**wanted)).studies]


def test_most_urgent_first_then_what_is_not_cleared_then_what_waits_then_the_rest(site, studies):
    assert names(site) == ["urgenter", "urgent", "incomplete", "chest", "waiting", "calm"]
    assert names(site, backwards=True)[0] == "calm"


def test_groups_and_their_counts(site, studies):
    with site.database.read() as tables:
        counts = list_studies(tables, Wanted()).counts
    assert counts == {"urgent": 2, "look": 2, "work": 1, "unflagged": 1}
    assert names(site, group="look") == ["incomplete", "chest"]
    assert names(site, group="unflagged") == ["calm"]


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_has_all_studies_and_turns_round(site, studies, order):
    forth = names(site, order=order)
    assert sorted(forth) == sorted(OUTCOMES)
    if order in ("patient", "received", "probability"):
        assert names(site, order=order, backwards=True)[0] != forth[0]
    assert site.ask("GET", f"/?sort={order}&backwards=1", user="eva").status == 200


def test_a_result_that_new_slices_outdate_is_on_the_way_but_an_urgent_one_stays(
    site, studies, slices
):
    for name in ("calm", "urgent"):
        (file,) = slices(study=str(list(OUTCOMES).index(name)), count=1, seed=5, PatientName=name)
        site.services.intake.take([file], "CT1")
    assert set(names(site, group="work")) == {"waiting", "calm"}
    assert names(site, group="urgent") == ["urgenter", "urgent"]
    text = site.ask("GET", "/", user="eva").text
    assert "version 1 shown; new slices: being received" in text


def test_pages(site, slices):
    def many(tables):
        for number in range(PAGE + 1):
            tables.execute(
                "INSERT INTO study (uid, state, source, first_at, last_at) "
                "VALUES (?, 'received', 'CT1', ?, ?)",
                (f"1.2.{number}", number, number),
            )

    site.database.write(many)
    first = site.ask("GET", "/api/studies", user="eva").json
    assert (len(first["studies"]), first["page"], first["pages"]) == (PAGE, 1, 2)
    last = site.ask("GET", "/api/studies?page=2", user="eva").json
    assert [one["study"] for one in last["studies"]] == ["1.2.0"]
    assert "page 1 of 2" in site.ask("GET", "/", user="eva").text


@pytest.mark.parametrize("query", ["show=x", "sort=uid;--", "page=x", "page=-1", "backwards=2"])
def test_what_there_is_not_is_refused(site, query):
    assert site.ask("GET", f"/?{query}", user="eva").status == 400
    assert site.ask("GET", f"/api/studies?{query}", user="eva").status == 400


def test_no_page_and_no_answer_ever_says_negative_of_a_study(site, studies):
    for uid in studies.values():
        text = site.ask("GET", f"/studies/{uid}", user="eva").text
        assert "Research use only. Not a medical device." in text
        assert "This is not a negative" in text or "negative" not in text.lower()
    said = site.ask("GET", "/api/studies", user="eva").text.lower()
    assert "negative" not in said
    for status in ("analysed", "not_analysed", None):
        for urgent in (True, False, None):
            for complete in (True, False, None):
                words = call_of(status, urgent=urgent, complete=complete, reasons=()).words
                assert "negative" not in words
                assert "normal" not in words


def test_the_entry_says_what_the_status_document_says(site, studies):
    from ichlite.node.studies import status_document

    with site.database.read() as tables:
        known = {one["study"]: one for one in status_document(tables)["studies"]}
    for entry in site.ask("GET", "/api/studies", user="eva").json["studies"]:
        for key, value in known[entry["study"]].items():
            assert entry[key] == value, key
