import re
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from tests.made_results import analysed

from ichlite.infer.bundle import load_bundle
from ichlite.infer.results import NotAnalysed
from ichlite.write.result_uid import derived_uid, result_uids

PARTS = st.lists(st.text(max_size=8), max_size=4)


@given(PARTS, PARTS)
def test_a_derived_uid_is_a_uuid_and_is_the_same_for_the_same_texts_alone(one, other):
    uid = derived_uid(*one)
    assert re.fullmatch(r"2\.25\.(0|[1-9][0-9]{0,38})", uid)
    number = uuid.UUID(int=int(uid.removeprefix("2.25.")))
    assert (number.version, number.variant) == (8, uuid.RFC_4122)
    assert (uid == derived_uid(*other)) == (one == other)


@pytest.fixture(scope="module")
def bundle():
    return load_bundle()


def test_a_result_has_four_uids_whatever_the_order_of_its_images(bundle):
    scan = analysed()
    uids = result_uids([scan], ["1.1", "1.2"], bundle)
    parts = (uids.report_series, uids.report, uids.capture_series, uids.capture)
    assert len(set(parts)) == 4
    assert uids == result_uids([scan], iter(["1.2", "1.1"]), bundle)


def test_another_study_scan_bundle_or_call_has_other_uids(bundle):
    scan = analysed()
    manifest = bundle.manifest
    hotter = structs.replace(manifest.calibration, bias=(0.5,) * 5)
    recalibrated = replace(bundle, manifest=structs.replace(manifest, calibration=hotter))
    unread = NotAnalysed(study="1", series="2", files=(), reasons=("a chest",))
    all_uids = [
        result_uids(scans, instances, judge)
        for scans, instances, judge in (
            ([scan], ["1.1", "1.2"], bundle),
            ([analysed(study="9")], ["1.1", "1.2"], bundle),
            ([analysed(series="9")], ["1.1", "1.2"], bundle),
            ([scan], ["1.1"], bundle),
            ([scan], ["1.1", "1.2#1"], bundle),
            ([scan], ["1.1", "1.2"], recalibrated),
            ([analysed(operating_point="high_sensitivity")], ["1.1", "1.2"], bundle),
            ([analysed(reasons=("a bone kernel",))], ["1.1", "1.2"], bundle),
            ([unread], ["1.1", "1.2"], bundle),
        )
    ]
    assert len({one.report for one in all_uids}) == len(all_uids)
    assert len({one.capture for one in all_uids}) == len(all_uids)


def test_a_result_of_another_version_has_other_uids(bundle, monkeypatch):
    before = result_uids([analysed()], ["1.1"], bundle)
    monkeypatch.setattr("ichlite.write.result_uid.__version__", "99")
    assert result_uids([analysed()], ["1.1"], bundle) != before
