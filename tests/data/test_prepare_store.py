"""Preparing: every fault under its own name, no slice lost, and the same store after any kill."""

from __future__ import annotations

import csv
import json
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.dicom_files import UID_ROOT
from tests.kaggle import SIDE, add_slice, label_lines, make_set, pixels

from ichlite.data.audit import KINDS
from ichlite.data.pixels import make_part, read_source
from ichlite.data.prepare_store import READERS, Prepared, prepare_store
from ichlite.data.store import Store
from ichlite.data.workers import local_engine
from ichlite.errors import InputError, StoreError, UnknownName, UsageError
from ichlite.labels import CLASSES


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    return make_set(tmp_path / "rsna")


def add_labels(root: Path, lines: list[str]) -> None:
    with (root / "stage_2_train.csv").open("a") as file:
        file.write("\n".join(lines) + "\n")


def findings(out: Path) -> list[dict[str, str]]:
    with (out / "findings.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def kinds(out: Path) -> Counter[str]:
    return Counter(one["kind"] for one in findings(out))


def test_every_slice_and_label_is_in_the_store(kaggle: Path, tmp_path: Path) -> None:
    made = prepare_store("rsna", kaggle, tmp_path / "out")
    store = Store.open(tmp_path / "out")
    store.verify()
    assert (made.done, len(store)) == (40, 40)
    expected = [int(n[3:5]) < 7 and n[5] == "2" for n in store.image.tolist()]
    assert store.any.astype(bool).tolist() == expected
    assert store.labels[:, 1].astype(bool).tolist() == expected
    assert store.position_mm[:4].tolist() == [0, 5, 10, 15]
    assert set(store.split[store.patient > "ID_p6"]) == {"unused"}
    assert Counter(store.split.tolist()) == {
        "train": 20, "validation": 4, "test": 4, "unused": 12,
    }  # fmt: skip
    assert findings(tmp_path / "out") == []


def test_a_second_run_does_nothing(kaggle: Path, tmp_path: Path) -> None:
    first = prepare_store("rsna", kaggle, tmp_path / "out")
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*")}

    def no_engine(_: Callable[[Any], Any], items: Sequence[Any], /) -> Iterator[Any]:
        raise AssertionError(f"{len(items)} things were made again")

    again = prepare_store("rsna", kaggle, tmp_path / "out", engine=no_engine)
    assert again.done == 0
    assert again.description == first.description
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*")} == before


def test_another_split_reads_no_pixel(kaggle: Path, tmp_path: Path) -> None:
    first = prepare_store("rsna", kaggle, tmp_path / "out")
    other = prepare_store("rsna", kaggle, tmp_path / "out", preset="all", seed=3)
    assert other.done == 0
    assert other.description["hash"] != first.description["hash"]
    assert "unused" not in Store.open(tmp_path / "out").split
    back = prepare_store("rsna", kaggle, tmp_path / "out")
    assert back.description["hash"] == first.description["hash"]


def test_processes_change_no_byte(
    kaggle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("store_parts", "prepare_store", "finalize_store"):
        monkeypatch.setattr(f"ichlite.data.{module}.PART_IMAGES", 8)
    one = prepare_store("rsna", kaggle, tmp_path / "one")
    two = prepare_store("rsna", kaggle, tmp_path / "two", engine=_backwards)
    assert one.description == two.description
    assert (tmp_path / "one" / "index.csv").read_bytes() == (
        tmp_path / "two" / "index.csv"
    ).read_bytes()
    Store.open(tmp_path / "two").verify()


def _backwards(function: Callable[[Any], Any], items: Sequence[Any], /) -> Iterator[Any]:
    assert len(items) in {1, 5}, "one chunk of headers, five parts"
    return reversed([function(item) for item in reversed(items)])


def test_two_processes_make_the_same_store(kaggle: Path, tmp_path: Path) -> None:
    one = prepare_store("rsna", kaggle, tmp_path / "one")
    with local_engine(2) as engine:
        two = prepare_store("rsna", kaggle, tmp_path / "two", engine=engine)
    assert one.description["hash"] == two.description["hash"]


RUN = """
import sys
import ichlite.data.store_parts, ichlite.data.finalize_store, ichlite.data.prepare_store
from pathlib import Path
from typing import Any
for module in (ichlite.data.store_parts, ichlite.data.finalize_store, ichlite.data.prepare_store):
    module.PART_IMAGES = 3
print("begun", flush=True)
made = ichlite.data.prepare_store.prepare_store("rsna", Path(sys.argv[1]), Path(sys.argv[2]))
print(made.description["hash"], flush=True)
"""


def run_once(root: Path, out: Path, kill_after_s: float | None) -> str | None:
    """Prepare in a process of its own; kill it after so long, None: let it finish."""
    words = [sys.executable, "-c", RUN, str(root), str(out)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            child.send_signal(signal.SIGKILL)
        said = child.stdout.read().strip()
    return said or None


def test_a_kill_at_any_point_gives_the_same_store(
    kaggle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_s = time.monotonic()
    whole = run_once(kaggle, tmp_path / "whole", None)
    usual_s = time.monotonic() - start_s
    out = tmp_path / "killed"
    killed = 0
    rng = random.Random(7)
    for _ in range(6):
        # Mostly short: the work itself takes a fraction of what starting Python does.
        if run_once(kaggle, out, rng.uniform(0, 0.3 * usual_s) ** 2) is None:
            killed += 1
    assert run_once(kaggle, out, None) == whole
    assert killed > 0
    assert not list(out.rglob(".*.part*"))
    monkeypatch.setattr("ichlite.data.store_parts.PART_IMAGES", 3)
    store = Store.open(out)
    store.verify()
    assert len(store) == 40


def test_each_planted_fault_has_its_own_name(kaggle: Path, tmp_path: Path) -> None:
    """Faults 1 to 10, as the real set has them, in a copy."""
    images = kaggle / "stage_2_train_images"
    short = images / "ID_000.dcm"
    short.write_bytes(short.read_bytes()[:-500])
    add_labels(kaggle, label_lines("ID_001", (0,) * 6))
    add_labels(kaggle, ["ID_010_epidural,1"])
    offset = (pixels(1).clip(0, 1999) + 3096).astype(np.uint16) & 0x0FFF
    twelve = {"BitsStored": 12, "HighBit": 11}
    add_slice(kaggle, "ID_012", 1, 2, pixels=offset, RescaleIntercept="0", **twelve)
    add_slice(kaggle, "ID_013", 1, 3, RescaleIntercept="0", **twelve)
    add_slice(kaggle, "ID_021", 2, 0, pixels=pixels(999))
    add_slice(kaggle, "ID_new\nline", 2, 9)
    (images / "notes.txt").write_text("hello")
    add_slice(kaggle, "ID_031", 3, 1, pixels=pixels(100 * 4 + 1))
    add_slice(kaggle, "ID_051", 5, 1, RescaleSlope=None)
    add_labels(kaggle, label_lines("ID_gone", (0,) * 6))
    add_labels(kaggle, label_lines("ID_half", (0,) * 6)[:3])
    add_slice(kaggle, "ID_062", 6, 2, PatientID="")
    made = prepare_store("rsna", kaggle, tmp_path / "out", preset="all")
    named = {(one["kind"], one["item"]) for one in findings(tmp_path / "out")}
    folder = "stage_2_train_images"
    assert named == {
        ("short_pixel_data", f"{folder}/ID_000.dcm"),
        ("duplicate_label_rows", "ID_001"),
        ("conflicting_labels", "ID_010"),
        ("twelve_bit_offset", f"{folder}/ID_012.dcm"),
        ("signed_12_bit", f"{folder}/ID_013.dcm"),
        ("repeated_position", f"{UID_ROOT}2.1"),
        ("unusual_file_name", f"{folder}/ID_new\nline.dcm"),
        ("image_without_label", f"{folder}/ID_new\nline.dcm"),
        ("not_an_image", f"{folder}/notes.txt"),
        ("duplicate_pixels_across_patients", "ID_031"),
        ("missing_rescale", f"{folder}/ID_051.dcm"),
        ("label_without_image", "ID_gone"),
        ("incomplete_labels", "ID_half"),
        ("missing_patient", f"{folder}/ID_062.dcm"),
    }
    store = Store.open(tmp_path / "out")
    left_out = {"ID_000", "ID_010", "ID_013", "ID_051", "ID_062"}
    assert len(store) == 40 - len(left_out) == made.description["images"]
    assert not left_out & set(store.image.tolist())
    assert made.description["audit"]["repaired"] == {
        "duplicate_label_rows": 6, "twelve_bit_offset": 1,
    }  # fmt: skip
    sides = {str(store.split[store.patient == f"ID_p{k}"][0]) for k in (3, 4)}
    assert len(sides) == 1, "patients 3 and 4 share a slice's pixels"
    report = (tmp_path / "out" / "audit.md").read_text()
    assert all(f"### {kind}: " in report for kind, _ in named)
    assert "ID_new\\nline.dcm" in report


def test_patients_of_the_challenges_test_set_are_named(kaggle: Path, tmp_path: Path) -> None:
    add_slice(kaggle, "ID_x", 3, 0)
    there = kaggle / "stage_2_train_images" / "ID_x.dcm"
    (kaggle / "stage_2_test_images").mkdir()
    there.rename(kaggle / "stage_2_test_images" / "ID_x.dcm")
    prepare_store("rsna", kaggle, tmp_path / "out")
    assert kinds(tmp_path / "out") == {"image_without_label": 1, "patient_in_two_splits": 1}


def test_twelve_bit_offset_is_put_right(kaggle: Path, tmp_path: Path) -> None:
    true = np.full((SIDE, SIDE), 40, np.int16)
    true[:8] = -1000
    stored = ((true + 1000 - 1000) % 4096).astype(np.uint16)
    add_slice(
        kaggle, "ID_000", 0, 0, pixels=stored, RescaleIntercept="0", BitsStored=12, HighBit=11
    )
    prepare_store("rsna", kaggle, tmp_path / "out")
    store = Store.open(tmp_path / "out")
    hu = store.hu[int(np.flatnonzero(store.image == "ID_000")[0])]
    assert set(np.unique(hu).tolist()) == {-1000, 40}


@pytest.mark.parametrize("form", [".tar.xz", ".zip"])
def test_archives_are_unpacked(kaggle: Path, tmp_path: Path, form: str) -> None:
    plain = prepare_store("rsna", kaggle, tmp_path / "plain")
    packed = tmp_path / "packed"
    packed.mkdir()
    shutil.copy(kaggle / "stage_2_train.csv", packed)
    kind = {".tar.xz": "xztar", ".zip": "zip"}[form]
    shutil.make_archive(str(packed / "images"), kind, kaggle, "stage_2_train_images")
    made = prepare_store("rsna", packed, tmp_path / "out")
    assert made.description["hash"] == plain.description["hash"]
    assert not list((tmp_path / "out").glob("unpacked*"))
    assert prepare_store("rsna", packed, tmp_path / "out").done == 0


@pytest.mark.parametrize("form", ["tar", "tar.gz"])
def test_no_archive_is_taken_for_whole_that_is_not(kaggle: Path, tmp_path: Path, form: str) -> None:
    """tarfile alone takes a damaged member header for the end of the archive."""
    packed = tmp_path / "packed"
    packed.mkdir()
    shutil.copy(kaggle / "stage_2_train.csv", packed)
    archive = packed / f"images.{form}"
    with tarfile.open(archive, "w:gz" if form == "tar.gz" else "w") as tar:
        tar.add(kaggle / "stage_2_train_images", "stage_2_train_images")
        at = tar.getmembers()[9].offset
    data = bytearray(archive.read_bytes())
    at = at if form == "tar" else len(data) // 2
    data[at : at + 300] = b"\xff" * 300
    archive.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"images\.tar.* cannot be unpacked"):
        prepare_store("rsna", packed, tmp_path / "out")
    archive.write_bytes(bytes(data[: at // 2]))
    with pytest.raises(InputError, match=r"images\.tar.* cannot be unpacked"):
        prepare_store("rsna", packed, tmp_path / "out")


def test_what_was_unpacked_for_other_files_is_not_used(kaggle: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    packed.mkdir()
    shutil.copy(kaggle / "stage_2_train.csv", packed)
    names = sorted((kaggle / "stage_2_train_images").iterdir())
    for part, count in (("a", 20), ("b", 20)):
        with tarfile.open(packed / f"{part}.tar", "w") as tar:
            for path in names[: 20 if part == "a" else None][-count:]:
                tar.add(path, f"stage_2_train_images/{path.name}")
    whole = (packed / "b.tar").read_bytes()
    (packed / "b.tar").write_bytes(whole[:2000])
    with pytest.raises(InputError, match=r"b\.tar cannot be unpacked"):
        prepare_store("rsna", packed, tmp_path / "out")
    (packed / "a.tar").write_bytes(whole)
    (packed / "b.tar").write_bytes(whole)
    made = prepare_store("rsna", packed, tmp_path / "out")
    assert made.description["images"] == 20
    assert not (tmp_path / "out" / "unpacked").exists()


def test_a_folder_named_like_ours_is_left_alone(kaggle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        prepare_store("rsna", tmp_path / "rsna" / "stage_2_train_images", tmp_path / "out")
    (tmp_path / "out" / "unpacked").mkdir(parents=True)
    (tmp_path / "out" / "unpacked" / "thesis").write_text("years of work")
    prepare_store("rsna", kaggle, tmp_path / "out")
    assert (tmp_path / "out" / "unpacked" / "thesis").exists()


def test_a_set_below_a_folder_or_behind_a_link_is_read(kaggle: Path, tmp_path: Path) -> None:
    (tmp_path / "below" / "kaggle").mkdir(parents=True)
    shutil.copy(kaggle / "stage_2_train.csv", tmp_path / "below" / "kaggle")
    link = tmp_path / "below" / "kaggle" / "stage_2_train_images"
    link.symlink_to(kaggle / "stage_2_train_images")
    (kaggle / "stage_2_train_images" / "loop").symlink_to(kaggle / "stage_2_train_images")
    prepare_store("rsna", tmp_path / "below", tmp_path / "out")
    assert len(Store.open(tmp_path / "out")) == 40
    assert kinds(tmp_path / "out") == {"not_an_image": 1}
    (kaggle / "stage_2_train_images" / "ID_000.dcm").unlink()
    with pytest.raises(StoreError, match="other or older files"):
        prepare_store("rsna", tmp_path / "below", tmp_path / "out")


@pytest.mark.parametrize("lost", ["00000.h5", "00000.json", "empty 00000.h5", "empty 00000.json"])
def test_a_lost_part_is_made_again(kaggle: Path, tmp_path: Path, lost: str) -> None:
    first = prepare_store("rsna", kaggle, tmp_path / "out")
    part = tmp_path / "out" / "parts" / lost.split()[-1]
    part.unlink()
    if lost.startswith("empty"):
        part.touch()
    again = prepare_store("rsna", kaggle, tmp_path / "out")
    assert (again.done, again.description) == (40, first.description)
    Store.open(tmp_path / "out").verify()


def test_a_series_of_two_patients_is_named_and_kept_together(kaggle: Path, tmp_path: Path) -> None:
    add_slice(kaggle, "ID_031", 3, 1, PatientID="ID_other", pixels=pixels(77))
    prepare_store("rsna", kaggle, tmp_path / "out", preset="all")
    assert kinds(tmp_path / "out") == {"series_of_several_patients": 1}
    store = Store.open(tmp_path / "out")
    assert len(set(store.split[store.series == f"{UID_ROOT}3.1"])) == 1


def test_a_name_like_a_volumes_is_a_file_first(tmp_path: Path) -> None:
    path = add_slice(tmp_path, "a.nii#7", 1, 1)
    result, hu = read_source(path.parent, path.name)
    assert hu is not None
    assert result.findings == ()


def test_a_damaged_archive_is_named(kaggle: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "images.tar.xz").write_bytes(b"\xfd7zXZ\x00nothing")
    with pytest.raises(InputError, match=r"images\.tar\.xz cannot be unpacked"):
        prepare_store("rsna", packed, tmp_path / "out")


def test_a_changed_set_is_not_mixed_into_a_store(kaggle: Path, tmp_path: Path) -> None:
    prepare_store("rsna", kaggle, tmp_path / "out")
    add_slice(kaggle, "ID_new", 3, 9)
    with pytest.raises(StoreError, match="name a new folder"):
        prepare_store("rsna", kaggle, tmp_path / "out")


def test_a_changed_set_is_not_mixed_into_a_begun_store(kaggle: Path, tmp_path: Path) -> None:
    def stop(function: Callable[[Any], Any], items: Sequence[Any], /) -> Iterator[Any]:
        if function is make_part:
            raise KeyboardInterrupt
        return map(function, items)

    with pytest.raises(KeyboardInterrupt):
        prepare_store("rsna", kaggle, tmp_path / "out", engine=stop)
    with pytest.raises(StoreError, match=r"no readable store\.json"):
        Store.open(tmp_path / "out")
    add_slice(kaggle, "ID_new", 3, 9)
    with pytest.raises(StoreError, match="begun from other files"):
        prepare_store("rsna", kaggle, tmp_path / "out")


def test_a_folder_with_other_things_is_left_alone(kaggle: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not empty"):
        prepare_store("rsna", kaggle, tmp_path / "thesis")


def test_hidden_files_of_others_are_left_alone(kaggle: Path, tmp_path: Path) -> None:
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    with pytest.raises(UsageError, match="not empty"):
        prepare_store("rsna", kaggle, tmp_path / "repository")


def test_two_at_once_do_not_mix(kaggle: Path, tmp_path: Path) -> None:
    def meanwhile(function: Callable[[Any], Any], items: Sequence[Any], /) -> Iterator[Any]:
        words = [sys.executable, "-m", "ichlite", "prepare", "rsna", kaggle, tmp_path / "out"]
        other = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
        assert (other.returncode, other.stdout) == (1, "")
        assert "is being written by another process" in other.stderr
        return map(function, items)

    assert prepare_store("rsna", kaggle, tmp_path / "out", engine=meanwhile).done == 40


def test_a_worker_that_dies_before_it_can_tell_is_counted_once(
    kaggle: Path, tmp_path: Path
) -> None:
    """Its part is whole; whoever gets the item next has nothing to do, and says the same."""
    told: list[tuple[int, int]] = []

    def twice(function: Callable[[Any], Any], items: Sequence[Any], /) -> Iterator[Any]:
        for item in items:
            function(item)
            yield function(item)

    def report(stage: str, done: int, total: int) -> None:
        if stage == "preparing slices":
            told.append((done, total))

    assert prepare_store("rsna", kaggle, tmp_path / "out", engine=twice, report=report).done == 40
    assert told[-1] == (40, 40)


def test_a_place_that_takes_nothing_is_one_line(kaggle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = [sys.executable, "-m", "ichlite", "prepare", "rsna", kaggle, tmp_path / "file" / "out"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"ichlite: error: {tmp_path / 'file'} is a file, not a folder")


def test_wrong_usage_is_refused(kaggle: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="rsna, cq500"):
        prepare_store("mnist", kaggle, tmp_path / "out")
    with pytest.raises(UsageError, match=r"out lies inside the input folder .*; name another"):
        prepare_store("rsna", kaggle, kaggle / "out")
    with pytest.raises(UsageError, match=r"the output folder .* is the input itself; name another"):
        prepare_store("rsna", kaggle, kaggle)
    with pytest.raises(UnknownName, match="paper, all"):
        prepare_store("rsna", kaggle, tmp_path / "out", preset="half")
    with pytest.raises(UsageError, match="gives no split"):
        prepare_store("rsna", kaggle, tmp_path / "out2", preset="given")


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for kind in READERS:
        with pytest.raises(InputError):
            prepare_store(kind, tmp_path / "empty", tmp_path / "out")
    with pytest.raises(InputError, match="does not exist"):
        prepare_store("rsna", tmp_path / "nowhere", tmp_path / "out")


def test_every_finding_has_a_name_and_a_line() -> None:
    for kind, (action, line) in KINDS.items():
        assert kind.replace("_", "").isalnum()
        assert action in {"repaired", "quarantined", "noted"}
        assert len(line) > 10


@pytest.fixture(scope="module")
def real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Prepared]:
    source = shared_data / "rsna-dev"
    out = tmp_path_factory.mktemp("real") / "store"
    with local_engine(2) as engine:
        return out, prepare_store("rsna", source, out, preset="all", engine=engine)


@pytest.mark.long
def test_real_labels_equal_the_table_for_every_slice(
    real: tuple[Path, Prepared], shared_data: Path
) -> None:
    out, made = real
    truth: dict[str, dict[str, int]] = {}
    with (shared_data / "rsna-dev" / "stage_2_train.csv").open() as file:
        for line in csv.DictReader(file):
            image, _, name = line["ID"].rpartition("_")
            truth.setdefault(image, {})[name] = int(line["Label"])
    store = Store.open(out)
    assert len(store) == len(truth) == 422
    for image, any_bleed, labels in zip(store.image, store.any, store.labels, strict=True):
        six = dict(zip(CLASSES, [int(any_bleed), *map(int, labels)], strict=True))
        assert truth[str(image)] == six
    assert made.description["audit"]["quarantined"] == {}
    assert json.loads((out / "store.json").read_text())["studies"] == 12
