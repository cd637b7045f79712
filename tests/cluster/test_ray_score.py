"""An archive on a cluster: the same numbers as `read`, once each, whatever dies on the way."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.cluster.conftest import kill_worker
from tests.dicom_files import UID_ROOT, write_enhanced, write_head_series

from ichlite.cluster.ray_archive import Archive, Study, group
from ichlite.cluster.ray_score import MOST_TRIES, TRIES, Scorer, begin_try, score_archive
from ichlite.cluster.session import session
from ichlite.contracts.codec import read_document
from ichlite.contracts.score import ScoreSummary, SeriesCounts
from ichlite.errors import InputError, UsageError
from ichlite.infer.pipeline import read_paths
from ichlite.labels import CLASSES
from ichlite.records import SkippedFile

pytestmark = pytest.mark.long

STUDIES = 12


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies in folders; one in a zip archive, one in one file; of a chest, a part of a head."""
    root = tmp_path_factory.mktemp("archive")
    for number in range(STUDIES):
        slices = 3 if number in (5, 6) else 24
        write_head_series(
            root / f"case {number}", slices, side=64, study=str(100 + number), seed=number,
            PatientID=f"patient {number}", BodyPartExamined="CHEST" if number == 5 else "HEAD",
        )  # fmt: skip
    (root / "case 1" / "notes.txt").write_text("no image")
    shutil.make_archive(str(root / "case 2"), "zip", root, "case 2")
    write_enhanced(root / "case 3.dcm", sorted((root / "case 3").iterdir()))
    for packed in (2, 3):
        shutil.rmtree(root / f"case {packed}")
    return root


def table(out: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / name).to_pylist()
    return rows


def compare_with_read(archive: Path, out: Path) -> None:
    """Every series and slice that `ichlite read` reports is there, once, with its numbers."""
    expected = read_paths(archive)
    studies = {row["series"]: row for row in table(out, "studies") if row["status"] != "skipped"}
    slices = table(out, "slices")
    assert len(studies) == len(expected.studies) == STUDIES
    assert len(slices) == sum(len(scan.slices) for scan in expected.studies)
    by_file = {(row["file"], row["frame"]): row for row in slices}
    assert len(by_file) == len(slices)
    for scan in expected.studies:
        row = studies[scan.series]
        assert (row["study"], row["status"]) == (scan.study, scan.status)
        assert row["reasons"] == list(scan.reasons)
        assert row["urgent"] is scan.urgent
        assert row["complete"] is scan.complete
        assert row["not_cleared"] == list(scan.not_cleared)
        assert {name: row[name] for name in CLASSES} == (scan.scan or dict.fromkeys(CLASSES))
        for one in scan.slices:
            row = by_file[one.file, one.frame]
            assert row["position_mm"] == one.position_mm
            assert {name: row[name] for name in CLASSES} == dict(one.probabilities)
    skipped = [(r["file"], r["reasons"][0]) for r in table(out, "studies") if r["file"]]
    assert skipped == [(file.file, file.reason) for file in expected.skipped]


def test_a_worker_that_is_killed_costs_nothing(archive: Path, cluster: str, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    killed: list[int] = []

    def kill_once(_: int) -> None:
        if not killed:
            killed.append(kill_worker("MapWorker(Map(Scorer))"))

    with session(cluster) as there:
        summary = score_archive(archive, out, there, on_studies=kill_once)
        assert killed
        assert (summary.scored, summary.scored_before) == (STUDIES, 0)
        assert summary.series == SeriesCounts(analysed=STUDIES - 1, not_analysed=1)
        assert [one.study for one in summary.not_cleared] == [f"{UID_ROOT}106"]
        assert not summary.succeeded
        compare_with_read(archive, out)

        # A second run reads nothing again, and a run that was killed goes on with what is missing.
        before = {path: path.stat().st_mtime_ns for path in out.glob("slices/*")}
        again = score_archive(archive, out, there)
        assert (again.scored, again.scored_before) == (0, STUDIES)
        gone, half, *_ = sorted(out.glob("studies/[0-9a-f]*.parquet"))
        gone.unlink()
        (out / "slices" / half.name).with_name(".half.parquet.part").write_bytes(b"PAR1")
        third = score_archive(archive, out, there)
        assert third.scored == 1
        compare_with_read(archive, out)
        after = {path: path.stat().st_mtime_ns for path in out.glob("slices/*")}
        assert len(after) == len(before)
        assert sum(after[path] != before[path] for path in before) == 1

        # Another model's numbers do not go into the same data set.
        with pytest.raises(UsageError, match="other options"):
            score_archive(archive, out, there, force=True)


def test_the_command_prints_one_document(
    ichlite: Callable[..., Any],
    archive: Path,
    cluster: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(archive)  # Ray's processes run elsewhere
    done = ichlite("score", "case 0", tmp_path / "scores", "--ray", cluster, "--json")
    assert done.exit_code == 0, done.err
    document = read_document(ScoreSummary, done.out)
    assert (document.studies, document.slices, document.nodes) == (1, 24, 2)
    assert document.studies_per_s > 0
    bad = ichlite("score", archive / "case 5", tmp_path / "bad", "--ray", cluster)
    assert bad.exit_code == 1
    assert "not analysed" in bad.err
    assert ichlite("score", tmp_path / "nowhere", tmp_path / "x", "--ray", cluster).exit_code == 1
    assert ichlite("score", archive, tmp_path, "--ray", cluster).exit_code == 2  # not empty


def test_an_archive_must_be_there(cluster: str, tmp_path: Path) -> None:
    with session(cluster) as there:
        with pytest.raises(InputError, match=r"nowhere does not exist; name the folder that"):
            score_archive(tmp_path / "nowhere", tmp_path / "out", there)
        assert not (tmp_path / "out").exists()
        with pytest.raises(UsageError, match=r"the output folder .* lies inside the input"):
            score_archive(tmp_path, tmp_path / "out", there)
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="has no files"):
            score_archive(tmp_path / "empty", tmp_path / "out", there)


def test_a_study_that_kills_its_reader_again_and_again_is_named(
    archive: Path, tmp_path: Path
) -> None:
    study = Study("1.2", tuple(str(path) for path in (archive / "case 0").iterdir()))
    for folder in ("slices", "studies"):
        (tmp_path / folder).mkdir()
    assert [begin_try(tmp_path, study) for _ in range(MOST_TRIES)] == [1, 2, 3]
    import pickle

    Scorer(None, str(tmp_path), False)({"studies": pickle.dumps([study])})
    (row,) = table(tmp_path, "studies")
    assert row["status"] == "not_analysed"
    assert "died 3 times" in row["reasons"][0]
    assert table(tmp_path, "slices") == []
    assert list((tmp_path / TRIES).iterdir())


def test_a_disk_that_takes_no_more_is_told_and_not_raised(tmp_path: Path) -> None:
    import pickle

    (tmp_path / TRIES).write_text("a file where a folder is to be")
    row = {"studies": pickle.dumps([Study("1", ("nowhere.dcm",))])}
    said = Scorer(None, str(tmp_path), False)(row)
    assert said["count"] == 0
    assert TRIES in said["fault"]


def header(name: str, study: str = "", series: str = "", **more: str) -> dict[str, Any]:
    return {
        "name": os.fsencode(name), "study": study, "series": series, "patient": "", "reason": "",
        "may_be_ct": more.get("reason") != "not DICOM", **more,
    }  # fmt: skip


def test_studies_are_found_by_their_headers() -> None:
    rows = [
        header("b/2", "s1", "1", patient="p"),
        header("a/1", "s1", "1", patient="q"),
        header("b/caf\udce9", "s0", "2", patient="r"),
        header("a/9", series="1", reason="short"),  # a slice of series 1 is lost
        header("a/8", reason="not DICOM"),
        # One series of two studies stays together, to be refused as `read` refuses it.
        header("c/1", "s4", "4"),
        header("c/2", "s3", "4"),
    ]
    for order in (rows, rows[::-1]):
        found = group(order, [SkippedFile("d", "link to a folder: not followed")])
        assert found == Archive(
            (
                Study("s0", ("b/caf\udce9",)),
                Study("s1", ("a/1", "a/9", "b/2")),
                Study("s3", ("c/1", "c/2")),
            ),
            (SkippedFile("a/8", "not DICOM"), SkippedFile("d", "link to a folder: not followed")),
            ("folder b holds 2 patients; each study is read by itself",),
        )
    assert Counter(len(study.digest) for study in found.studies) == {16: 3}
