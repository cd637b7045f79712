import json

from ichlite.infer.bundle import load_bundle
from ichlite.infer.results import ReadResult
from ichlite.records import SkippedFile
from ichlite.write.escaping import printable, unicode_text
from ichlite.write.report_page import Report
from ichlite.write.result_files import to_csv, to_json


def test_bytes_that_are_no_text_and_control_characters_reach_no_output_raw():
    name = "caf\udce9\x1b[2J\u202e"
    result = ReadResult("b", (), (SkippedFile(name, "not DICOM"),))
    document = json.loads(to_json(result))
    assert document["skipped"][0]["file"] == "caf\\xe9\x1b[2J\u202e"
    for text in (to_csv(result), Report(load_bundle()).page(result)):
        assert "caf\\xe9 [2J" in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        text.encode()


def test_a_surrogate_that_stands_for_no_byte():
    assert unicode_text("a\ud800") == "a\\ud800"
    assert printable("ä\n") == "ä "
