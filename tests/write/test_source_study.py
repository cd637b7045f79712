import pytest
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from tests.dicom_files import UID_ROOT, write_head_series
from tests.made_results import analysed

from ichlite.errors import UnreadableFile
from ichlite.write.dicom_object import describe, file_bytes
from ichlite.write.source_study import MUST_BE_THERE, read_source

NAMES = {
    "Japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "Korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "Chinese": (["GB18030"], "Wang^XiaoDong=王^小东"),
    "Russian": (["ISO_IR 144"], "Люксембург^Анна"),
    "Greek": (["ISO_IR 126"], "Διονυσιος"),
    "Arabic": (["ISO_IR 127"], "قباني^لنزار"),
    "German": (["ISO_IR 100"], "Äneas^Rüdiger"),
    "UTF-8": (["ISO_IR 192"], "Ωμέγα^علي=王^小东"),
    "ASCII": ([], "Smith^John"),
}


def source_of(files, study="1"):
    scan = analysed(study=UID_ROOT + study, files=tuple(map(str, files)))
    return read_source([scan])


def written(source, tmp_path, at):
    made = Dataset()
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    uids = {"series_uid": "2.25.1", "instance_uid": "2.25.2", "series_number": 1}
    describe(made, source, **uids, at=at)
    path = tmp_path / "made.dcm"
    path.write_bytes(file_bytes(made))
    return dcmread(path)


@pytest.mark.parametrize("language", NAMES)
def test_a_name_in_any_script_survives_with_its_character_set(language, tmp_path, at):
    character_set, name = NAMES[language]
    words = {"SpecificCharacterSet": character_set or None, "PatientName": name}
    files = write_head_series(tmp_path / "scan", 2, StudyDescription="Kopf", **words)
    source = source_of(files)
    assert source.attributes["PatientName"] == name
    made = written(source, tmp_path, at)
    assert str(made.PatientName) == name
    assert made.StudyDescription == "Kopf"
    kept = made.get("SpecificCharacterSet")
    assert ([kept] if isinstance(kept, str) else list(kept or [])) == character_set


@pytest.mark.parametrize(
    ("coding", "declared"), [("utf-8", "ISO_IR 192"), ("latin-1", "ISO_IR 100")]
)
@pytest.mark.parametrize("said", [None, "ISO_IR 6", "nonsense"])
def test_a_name_without_a_true_character_set_is_kept_under_one(
    tmp_path, at, coding, declared, said
):
    words = {"PatientName": "M~~ller^Eva", "SpecificCharacterSet": None}
    (file,) = write_head_series(tmp_path / "scan", 1, **words)
    wanted = "Müller^Eva" if coding == "utf-8" else "M¼¼ller^Eva"
    raw = b"M\xc3\xbcller^Eva " if coding == "utf-8" else b"M\xbc\xbcller^Eva"
    data = file.read_bytes().replace(b"M~~ller^Eva ", raw.ljust(12))
    if said is not None:
        value = said.ljust(len(said) + len(said) % 2).encode()
        element = b"\x08\x00\x05\x00CS" + len(value).to_bytes(2, "little") + value
        mark = b"\x08\x00\x08\x00CS"  # ImageType, the element after it
        assert data.count(mark) == 1
        data = data.replace(mark, element + mark)
    file.write_bytes(data)
    made = written(source_of([file]), tmp_path, at)
    assert str(made.PatientName) == wanted
    assert made.SpecificCharacterSet == declared


def test_what_is_missing_is_empty_and_what_makes_no_sense_is_left_out(tmp_path, at):
    with config.disable_value_validation():
        words = {
            "PatientID": "x" * 80,
            "PatientName": "A^B\x1b[2J",
            "PatientBirthDate": "31.12.1950",
            "PatientSex": "W",
            "PatientAge": "eighty",
            "StudyDate": "20260231x",
            "StudyTime": "101112.5",
        }
        files = write_head_series(tmp_path / "scan", 2, **words)
    source = source_of(files)
    assert source.attributes == {
        "PatientID": "x" * 80,
        "PatientName": "A^B [2J",
        "StudyTime": "101112.5",
    }
    with config.disable_value_validation():
        made = written(source, tmp_path, at)
        assert made.PatientID == "x" * 80
    assert {key: made[key].value for key in MUST_BE_THERE if not made[key].value} == {
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyDate": "",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "StudyID": "",
    }


def test_of_two_patients_none_is_named_and_images_of_another_study_are_not_referred_to(tmp_path):
    one = write_head_series(tmp_path / "a", 2, PatientID="A", StudyID="S")
    two = write_head_series(tmp_path / "b", 2, PatientID="B", series="2", StudyID="S")
    other = write_head_series(tmp_path / "c", 2, study="2", PatientID="C")
    source = source_of([*one, *two, *other])
    assert len(source.images) == 4
    assert source.attributes == {"StudyID": "S"}
    assert source_of([*one, *other]).attributes == {"PatientID": "A", "StudyID": "S"}


def test_files_that_are_gone_are_passed_over_and_all_of_them_are_an_error(tmp_path):
    files = write_head_series(tmp_path / "scan", 3, LossyImageCompression="01")
    files[0].unlink()
    files[1].write_bytes(b"no DICOM")
    source = source_of(files)
    assert [image.file for image in source.images] == [str(files[2])]
    assert source.lossy
    files[2].unlink()
    with pytest.raises(UnreadableFile, match="no file of it that can still be read"):
        source_of(files)
