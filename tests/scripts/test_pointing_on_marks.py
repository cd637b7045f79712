"""Marks of bleeds: read, laid on a store, played on by hand; and how slices were chosen."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scripts.mark_panels import LEAST_STEPS, MOST_A_PATIENT, choose
from scripts.pointing_on_marks import (
    MARKS,
    chance,
    lay,
    maps_out_of_fold,
    picture,
    play,
    play_on_implants,
    read_marks,
)
from tests.made_runs import made_run
from tests.toy import make_store

from ichlite.contracts.evaluation import Pointing
from ichlite.contracts.run import LeftOutFold
from ichlite.data.store import Store
from ichlite.errors import InputError
from ichlite.evaluate.pointing import hits_of
from ichlite.labels import NAMES
from scripts import pointing_on_marks

HEADER = "image,subtype,row0,column0,row1,column1,note"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("marks") / "store")


def marks_file(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
    return path


def one_bleed(store: Store, number: int = 1) -> tuple[str, str]:
    """The first image with so many subtypes, and its first subtype."""
    row = int(np.flatnonzero(store.labels.sum(axis=1) == number)[0])
    return str(store.image[row]), NAMES[int(store.labels[row].argmax())]


def hot(kind: str, row: int, column: int) -> np.ndarray:
    maps = np.full((1, 32, 32, 5), -5.0, np.float32)
    maps[0, row, column, NAMES.index(kind)] = 2.0
    return maps


def test_a_box_is_hit_on_its_cells_and_nearly_beside_them(store: Store, tmp_path: Path) -> None:
    image, kind = one_bleed(store)
    path = marks_file(tmp_path / "m.csv", f"{image},{kind},80,80,96,88,doubtful: dim")
    marked = lay(read_marks(path), store)
    for column, strict, tolerant in ((10, 1, 1), (11, 0, 1), (12, 0, 0)):
        found = play(hot(kind, 11, column), marked, store)
        for name in ("any", kind):
            hits = found["all"][name]
            assert (hits.slices, hits.strict, hits.tolerant) == (1, strict, tolerant)
            assert found["neither_on_nor_beside"][name] == [image] * (1 - tolerant)
            assert found["without_doubtful"][name].slices == 0
            assert found["with_a_positive_cell"][name].slices == 1
    silent = play(hot(kind, 11, 10) - 3, marked, store)["with_a_positive_cell"]
    assert silent["any"].slices == silent[kind].slices == 0
    assert chance(marked, store)[kind][0] == pytest.approx(2 / chance_cells(store, marked))


def chance_cells(store: Store, marked: pointing_on_marks.Marked) -> int:
    hu = np.asarray(store.hu[int(marked.rows[0])]).reshape(32, 8, 32, 8)
    return int((hu.mean(axis=(1, 3)) > -200).sum())


def test_any_is_asked_only_where_every_labelled_subtype_is_marked(
    store: Store, tmp_path: Path
) -> None:
    image, kind = one_bleed(store, number=2)
    marked = lay(read_marks(marks_file(tmp_path / "m.csv", f"{image},{kind},0,0,8,8,")), store)
    found = play(hot(kind, 0, 0), marked, store)["all"]
    assert (found["any"].slices, found[kind].slices, found[kind].strict) == (0, 1, 1)


def test_a_slice_without_a_box_is_not_asked(store: Store, tmp_path: Path) -> None:
    image, kind = one_bleed(store)
    other = next(i for i in store.image[store.labels[:, NAMES.index(kind)] > 0] if i != image)
    path = marks_file(
        tmp_path / "m.csv", f"{image},{kind},,,,,not seen", f"{other},{kind},0,0,9,9,"
    )
    assert store.image[lay(read_marks(path), store).rows].tolist() == [other]


@pytest.mark.parametrize(
    "line", ["a,epidural,9,9,9,20,", "a,brain,1,1,2,2,", "a,epidural,1,x,2,2,"]
)
def test_a_line_that_marks_nothing_is_named(line: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2"):
        read_marks(marks_file(tmp_path / "m.csv", line))


def test_marks_of_another_store_are_refused(store: Store, tmp_path: Path) -> None:
    image, kind = one_bleed(store)
    wrong = next(name for name in NAMES if name != kind)
    for image_and_kind in (f"nobody,{kind}", f"{image},{wrong}"):
        path = marks_file(tmp_path / "m.csv", f"{image_and_kind},0,0,8,8,")
        with pytest.raises(InputError, match="not the store"):
            lay(read_marks(path), store)


@pytest.fixture
def two_folds(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Runs of two folds that nobody trained; the model of each is its number."""
    monkeypatch.setattr(
        pointing_on_marks,
        "read_manifest",
        lambda run: made_run(fold=LeftOutFold(number=int(run.name), of=2)),
    )
    monkeypatch.setattr(
        pointing_on_marks,
        "load_judge",
        lambda run, training: SimpleNamespace(model=int(run.name), brain_level_hu=None),
    )
    return [Path("1"), Path("2")]


def test_each_slice_is_judged_by_the_run_that_left_its_patient_out(
    store: Store, two_folds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.flatnonzero(store.any)
    held = {
        number: set(
            pointing_on_marks.hold_out(store, pointing_on_marks.Fold(number, 2)).rows("test")
        )
        for number in (1, 2)
    }
    monkeypatch.setattr(
        pointing_on_marks,
        "maps_of",
        lambda model, _, part: np.full((len(part), 2, 2, 5), model, np.float32),
    )
    maps = maps_out_of_fold(two_folds, store, rows)
    assert all(row in held[int(one[0, 0, 0])] for row, one in zip(rows, maps, strict=True))
    with pytest.raises(InputError, match="no run that left"):
        maps_out_of_fold([Path("1")], store, rows)
    with pytest.raises(InputError, match="another run did"):
        maps_out_of_fold([Path("1"), Path("1")], store, rows)


def test_a_picture_shows_marks_and_the_strongest_place(store: Store, tmp_path: Path) -> None:
    image, kind = one_bleed(store)
    marks = read_marks(marks_file(tmp_path / "m.csv", f"{image},{kind},80,80,96,88,"))
    drawn = picture(np.asarray(store.hu[0]), hot(kind, 11, 10)[0], marks)
    assert drawn.getpixel((2 * 80, 16 + 2 * 88)) == pointing_on_marks.BOX_RGB
    assert drawn.getpixel((512 + 16 * 10, 16 + 16 * 11 + 8)) == pointing_on_marks.SPOT_RGB


def test_the_choice_has_every_bleeding_patient_and_few_slices_of_each(store: Store) -> None:
    chosen = choose(store, 20)
    assert chosen == choose(store, 20)
    assert len(set(chosen)) == 20
    assert store.any[chosen].all()
    patients = store.patient[chosen].tolist()
    assert set(patients) == set(store.patient[store.any > 0].tolist())
    assert max(map(patients.count, patients)) <= MOST_A_PATIENT
    near = [b - a for a, b in pairwise(chosen)]
    assert min(near) >= LEAST_STEPS


def test_the_marks_that_are_kept_are_of_the_slices_that_were_chosen() -> None:
    with MARKS.with_name("ct_ich_choice.csv").open(encoding="utf-8") as file:
        chosen = {
            (c["image"], name) for c in csv.DictReader(file) for name in NAMES if c[name] == "1"
        }
    marks = read_marks(MARKS)
    assert {(mark.image, mark.subtype) for mark in marks} == chosen


def test_implants_are_played_on_by_the_run_that_left_their_heads_out(
    store: Store, two_folds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each implanted slice counts once, and the counts of the folds are added."""
    asked: list[np.ndarray] = []

    def played(model: int, implants: Store, rows: np.ndarray) -> Pointing:
        asked.append(implants.patient[rows])
        hits = {name: hits_of(0, 0, 0) for name in NAMES}
        return Pointing(least_ml=1.0, any=hits_of(len(rows), model, model), **hits)

    monkeypatch.setattr(pointing_on_marks, "pointing", played)
    found = play_on_implants(two_folds, store, store)
    assert not set(asked[0].tolist()) & set(asked[1].tolist())
    assert found["any"].slices == len(store)
    assert found["any"].strict == 1 + 2
    assert found["epidural"].slices == 0
