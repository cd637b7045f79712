import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from tests.dicom_files import head_slice, write_ct_slice, write_head_series

from ichlite.commands.read import succeeded
from ichlite.ct.brain_level import at_level, brain_level_hu
from ichlite.ct.series import find_series
from ichlite.ct.tensor import model_input
from ichlite.errors import SeriesError, UnknownName, UsageError
from ichlite.infer import reader as reader_module
from ichlite.infer.bundle import EMBEDDED, load_bundle
from ichlite.infer.decision import decide
from ichlite.infer.pipeline import read_paths, read_scan, read_with
from ichlite.infer.reader import Reader
from ichlite.infer.runtime import Runtime
from ichlite.labels import ANY
from ichlite.write.result_files import to_studies_csv


def numbers(result):
    """All that a result says, apart from what files are called."""
    return [
        (s.study, s.series, s.status, s.reasons, s.scan, s.urgent, s.notes) for s in result.studies
    ] + [tuple((p.position_mm, p.probabilities) for p in s.slices) for s in result.studies]


def test_a_head_is_analysed_slice_by_slice(head_series):
    result = read_paths([head_series])
    (scan,) = result.studies
    assert scan.status == "analysed"
    assert scan.reasons == ()
    assert result.skipped == ()
    assert result.warnings == ()
    assert len(scan.slices) == len(scan.files) == 28
    assert [s.file for s in scan.slices] == sorted(str(p) for p in head_series.iterdir())
    positions = [s.position_mm for s in scan.slices]
    assert positions == sorted(positions)
    assert scan.hu is None
    assert scan.activation_maps is None


def test_the_pipeline_is_training_preprocessing_then_model_then_decision(head_series):
    bundle = load_bundle()
    scan = read_scan(head_series, keep_pixels=True)
    runtime = Runtime(bundle)
    levelled = at_level(scan.hu, brain_level_hu(scan.hu), bundle.brain_level_hu)
    logits = np.stack([runtime.run(model_input(hu))[0] for hu in levelled])
    expected = decide(logits, bundle.calibration, bundle.rule)
    assert scan.scan == expected.scan
    assert tuple(s.probabilities for s in scan.slices) == expected.slices
    assert scan.urgent == expected.urgent


def test_shuffled_renamed_and_in_sub_folders_gives_the_same_bits(head_series, tmp_path):
    rng = random.Random(4)
    files = sorted(head_series.iterdir())
    rng.shuffle(files)
    for number, file in enumerate(files):
        target = tmp_path / f"d{number % 3}" / ("deep" if number % 2 else "") / f"x{number}.img"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    expected = numbers(read_paths([head_series]))
    assert numbers(read_paths([tmp_path])) == expected
    assert numbers(read_paths([str(f) for f in files])) == expected


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_do_not_change_a_bit(head_series, tmp_path, threads):
    write_head_series(tmp_path / "b", 20, side=256, study="7", seed=5)
    paths = [head_series, tmp_path]
    one = read_paths(paths, keep_pixels=True)
    more = read_paths(paths, keep_pixels=True, threads=threads)
    assert one == more
    for a, b in zip(one.studies, more.studies, strict=True):
        assert np.array_equal(a.hu, b.hu)
        assert np.array_equal(a.activation_maps, b.activation_maps)


def test_no_threads_at_all():
    with pytest.raises(UsageError, match="0 threads"):
        Reader(threads=0)


def test_a_refused_series_has_reasons_and_no_numbers_and_the_others_are_read(head_series, tmp_path):
    write_head_series(tmp_path, 3, study="2", BodyPartExamined="CHEST")
    result = read_paths([head_series, tmp_path])
    assert [s.status for s in result.studies] == ["not_analysed", "analysed"]
    refused = result.studies[0]
    assert refused.reasons
    assert refused.scan is None
    assert refused.slices == ()
    assert refused.urgent is None
    assert len(refused.files) == 3


def test_force_judges_what_the_gate_refused_and_keeps_its_reasons(tmp_path):
    write_ct_slice(tmp_path / "one", head_slice(0.5), BodyPartExamined="CHEST")
    (refused,) = read_paths([tmp_path]).studies
    (forced,) = read_paths([tmp_path], force=True).studies
    assert refused.status == "not_analysed"
    assert forced.status == "analysed"
    assert set(refused.reasons) <= set(forced.reasons)
    assert not set(refused.reasons) & set(forced.not_cleared)
    assert forced.complete is False
    assert len(forced.slices) == 1
    only = forced.slices[0].probabilities[ANY]
    assert forced.scan[ANY] == pytest.approx(only)


def test_force_cannot_make_hu_out_of_nothing(tmp_path):
    write_head_series(tmp_path, 12, RescaleIntercept=None)
    (scan,) = read_paths([tmp_path], force=True).studies
    assert scan.status == "not_analysed"
    assert "Rescale" in " ".join(scan.reasons)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_truncated_slice_marks_its_series_and_no_other(head_series, tmp_path, threads):
    files = write_head_series(tmp_path, 28, side=256, study="3")
    files[9].write_bytes(files[9].read_bytes()[:-4000])
    result = read_paths([head_series, tmp_path], threads=threads)
    by_study = {s.study: s for s in result.studies}
    assert [s.status for s in by_study.values()] == ["analysed", "analysed"]
    assert sorted(s.complete for s in by_study.values()) == [False, True]
    assert [f.file for f in result.skipped] == [str(files[9])]


def test_a_fault_in_our_own_code_loses_one_series_only(head_series, tmp_path, monkeypatch):
    write_head_series(tmp_path, 20, side=256, study="4")
    real = reader_module.judge_volume

    def fails_once(volume):
        if len(volume.hu) == 20:
            raise ZeroDivisionError("a bug\non two lines")
        return real(volume)

    monkeypatch.setattr(reader_module, "judge_volume", fails_once)
    result = read_paths([head_series, tmp_path])
    assert [s.status for s in result.studies] == ["not_analysed", "analysed"]
    (reason,) = result.studies[0].reasons
    assert reason.startswith("internal error ZeroDivisionError: a bug")
    assert "\n" not in reason


def test_a_model_without_numbers_is_never_a_negative(head_series, monkeypatch):
    def nothing(self, hu):
        return np.full(5, np.nan, np.float32), np.zeros((*self.map_shape, 5), np.float32)

    monkeypatch.setattr(Runtime, "run_hu", nothing)
    (scan,) = read_paths([head_series]).studies
    assert scan.status == "not_analysed"
    assert "no number" in scan.reasons[0]


def test_missing_and_empty_paths_are_named_and_the_rest_is_read(head_series, tmp_path):
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    (tmp_path / "store").mkdir()
    for name in ("store.json", "index.csv"):
        (tmp_path / "store" / name).write_text("{}")
    folders = [tmp_path / name for name in ("nowhere", "empty", "store")]
    result = read_paths([head_series, *folders, EMBEDDED])
    assert [s.status for s in result.studies] == ["analysed"]
    reasons = {Path(f.file).name: f.reason for f in result.skipped}
    assert reasons["nowhere"] == "does not exist"
    assert "empty folder" in reasons["empty"]
    assert "a prepared store" in reasons["store"]
    assert reasons[EMBEDDED.name] == "a bundle, which holds a model; pass it with --bundle"


def test_nothing_to_read_at_all(tmp_path):
    result = read_paths([tmp_path])
    assert result.studies == ()
    assert len(result.skipped) == 1


def test_two_patients_in_one_folder_are_read_each_by_itself_and_said(tmp_path):
    write_head_series(tmp_path, 20, side=256, study="1", PatientID="A")
    for file in write_head_series(tmp_path / "b", 20, side=256, study="2", PatientID="B"):
        file.rename(tmp_path / f"b{file.name}")
    result = read_paths([tmp_path])
    assert [s.status for s in result.studies] == ["analysed", "analysed"]
    (warning,) = result.warnings
    assert f"{tmp_path} holds 2 patients" in warning
    assert all(warning in s.notes for s in result.studies)


def test_each_input_file_is_in_exactly_one_place(head_series, tmp_path):
    write_head_series(tmp_path, 3, study="2", BodyPartExamined="CHEST")
    (tmp_path / "notes.txt").write_text("hello")
    result = read_paths([head_series, tmp_path])
    places = [f for s in result.studies for f in s.files] + [f.file for f in result.skipped]
    files = [str(p) for folder in (head_series, tmp_path) for p in folder.rglob("*") if p.is_file()]
    assert sorted(places) == sorted(files)


def test_visit_sees_pixels_that_are_then_dropped(head_series):
    seen = []
    result = read_paths([head_series], visit=seen.append, pixels_for_visit=True)
    assert seen[0].hu.shape == (28, 256, 256)
    assert seen[0].activation_maps.shape[::3] == (28, 5)
    assert result.studies[0].hu is None


def test_read_scan_takes_one_scan_only(head_series, tmp_path):
    assert read_scan(head_series).status == "analysed"
    for study in ("1", "2"):
        write_head_series(tmp_path / study, 20, side=256, study=study)
    with pytest.raises(SeriesError, match="2 series"):
        read_scan(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(SeriesError, match="empty folder"):
        read_scan(tmp_path / "none")


def test_a_reader_reads_again_and_again(head_series):
    with Reader() as reader:
        assert read_with(reader, [head_series]) == read_with(reader, [head_series])
        (series,) = find_series([head_series])[0]
        assert reader.read(series).scan == read_with(reader, [head_series]).studies[0].scan


def test_the_real_head_of_the_package_is_analysed():
    from ichlite.samples import GE_HEAD

    result = read_paths(GE_HEAD.files)
    assert [s.status for s in result.studies] == ["analysed"]
    assert len(result.studies[0].slices) == 28


def test_the_real_head_of_the_package_equals_the_original(ge_head):
    from ichlite.samples import GE_HEAD

    assert numbers(read_paths(GE_HEAD.files)) == numbers(read_paths(list(ge_head.rglob("*.dcm"))))


def test_one_path_and_a_bundle_folder_need_no_wrapping(head_series):
    expected = numbers(read_paths([head_series]))
    assert numbers(read_paths(head_series, bundle=load_bundle().path)) == expected
    assert numbers(read_paths(str(head_series), bundle=str(load_bundle().path))) == expected


def needing(level_hu):
    return replace(load_bundle(), brain_level_hu=level_hu)


def test_a_bundle_with_a_brain_level_sees_the_same_brain_at_any_offset(head_series, tmp_path):
    shutil.copytree(head_series, tmp_path / "shifted")
    for file in (tmp_path / "shifted").iterdir():
        data = pydicom.dcmread(file)
        data.RescaleIntercept = "6"
        data.save_as(file)
    scores = [read_scan(one, bundle=needing(30.0)).scan for one in
              (head_series, tmp_path / "shifted")]  # fmt: skip
    assert scores[0] == pytest.approx(scores[1], abs=0.02)
    assert read_scan(head_series, bundle=needing(60.0)).scan != scores[0]


def test_a_scan_without_a_brain_level_is_not_analysed_by_a_bundle_that_needs_one(
    head_series, monkeypatch
):
    monkeypatch.setattr(reader_module, "brain_level_hu", lambda hu: None)
    assert read_scan(head_series, bundle=needing(None)).status == "analysed"
    (scan,) = read_paths(head_series, bundle=needing(30.0)).studies
    assert scan.status == "not_analysed"
    assert "no brain level can be measured" in scan.reasons[0]


def test_the_operating_point_is_the_readers_or_the_bundles(head_series):
    bundle = load_bundle()
    points = {
        "high_sensitivity": {ANY: 0.0},
        "balanced": bundle.rule.thresholds,
        "high_specificity": {ANY: 1.0},
    }
    bundle = replace(bundle, operating_points=points)
    for name, urgent in (("high_sensitivity", True), ("high_specificity", False)):
        scan = read_scan(head_series, bundle=bundle, operating_point=name)
        assert (scan.urgent, scan.operating_point, scan.threshold) == (
            urgent,
            name,
            points[name][ANY],
        )
        assert read_scan(head_series, bundle=bundle.at(name)) == scan
    assert read_scan(head_series, bundle=bundle).operating_point == "balanced"
    with pytest.raises(UnknownName, match="high_sensitivity, balanced, high_specificity"):
        Reader(bundle, operating_point="best")


def test_more_threads_than_cores_hold_no_more_models(monkeypatch):
    monkeypatch.setattr(reader_module, "usable_cores", lambda: 2)
    with Reader(threads=64) as reader:
        assert len(reader._runtimes) == 2


def test_data_sets_give_the_numbers_of_their_files(head_series):
    files = sorted(head_series.iterdir())
    sets = [pydicom.dcmread(file) for file in files]
    from_files, from_sets = read_scan(head_series), read_scan(sets)
    assert from_sets.scan == from_files.scan
    assert [s.probabilities for s in from_sets.slices] == [
        s.probabilities for s in from_files.slices
    ]
    assert Path(from_sets.files[0]).name == "dataset-0001"
    assert not Path(from_sets.files[0]).exists()
    mixed = read_scan([*sets[:9], *files[9:]])
    assert mixed.scan == from_files.scan


def test_a_data_set_without_file_meta_is_read(head_series):
    sets = [pydicom.dcmread(file) for file in sorted(head_series.iterdir())]
    for one in sets:
        del one.file_meta
    assert read_scan(sets).scan == read_scan(head_series).scan


def test_what_is_neither_path_nor_data_set_is_named():
    with pytest.raises(UsageError, match="input 1 cannot be read; found int"):
        read_scan([3])
    with pytest.raises(UsageError, match="input 1 cannot be read; found NoneType"):
        read_scan(None)


def test_each_study_is_announced_before_its_results(tmp_path):
    for study in "123":
        write_head_series(tmp_path / study, 20, study=study)
    write_head_series(tmp_path / "more", 12, study="3", series="2", ConvolutionKernel="BONE")
    said = []
    read_paths(
        [tmp_path],
        visit=lambda scan: said.append(scan.study[-1]),
        progress=lambda *counts: said.append(counts),
    )
    assert said == [(0, 3), "1", (1, 3), "2", (2, 3), "3", "3"]


def test_patients_who_share_the_uid_of_a_study_are_read_each_by_themselves(tmp_path):
    for number, thickness in (("1", "5"), ("2", "4")):
        write_head_series(
            tmp_path / number, 28, side=256, study="9", series=number,
            PatientID=number, SliceThickness=thickness,
        )  # fmt: skip
    result = read_paths([tmp_path])
    assert [(s.status, s.patient) for s in result.studies] == [("analysed", 1), ("analysed", 2)]
    assert all("2 patients share this StudyInstanceUID" in s.notes[-1] for s in result.studies)
    assert any("2 patients share" in line for line in result.warnings)
    assert len(to_studies_csv(result).splitlines()) == 3
    for file in (tmp_path / "2").iterdir():
        data = pydicom.dcmread(file)
        data.ContrastBolusAgent = "OMNIPAQUE"
        data.save_as(file)
    assert not succeeded(read_paths([tmp_path]))


def test_one_reader_serves_many_threads(head_series):
    with Reader() as reader, ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: read_with(reader, [head_series]), range(4)))
    assert {scan.status for result in results for scan in result.studies} == {"analysed"}
    assert all(numbers(result) == numbers(results[0]) for result in results)
