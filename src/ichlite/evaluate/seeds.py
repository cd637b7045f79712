"""Read the scores of a cross-validation, one seed or several; check that they belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from ichlite.errors import InputError
from ichlite.evaluate.scores import ScoreTable, join_scores, read_scores


@dataclass(frozen=True, slots=True)
class Seed:
    """The out-of-fold scores of a cross-validation with one random seed.

    Attributes:
        name: Name of the file or folder of the scores.
        table: Scores of all folds, sorted by the name of the image.
    """

    name: str
    table: ScoreTable


def read_seed(path: Path) -> Seed:
    """Read the out-of-fold scores of a cross-validation with one random seed.

    Args:
        path: CSV file of scores, or folder with one such file for each fold.

    Raises:
        InputError: There is no file of scores; a slice has no fold, or is scored twice; there are
            fewer than two folds, or one is missing; or a patient is in two folds.
    """
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path} holds no file of scores", expected="one .csv file for each fold")
    tables = [read_scores(file) for file in files]
    table = tables[0] if len(tables) == 1 else join_scores(tables, str(path))
    _check_folds(path, table)
    return Seed(path.name, table.take(np.argsort(table.image, kind="stable")))


def read_seeds(paths: Sequence[Path]) -> tuple[Seed, ...]:
    """Read the out-of-fold scores of several random seeds on the same folds and recipe.

    Args:
        paths: A file or folder of scores for each seed; see `read_seed`.

    Raises:
        InputError: See `read_seed`; or the seeds differ in slices, labels, folds or recipe; or two
            have the same scores.
    """
    seeds = tuple(read_seed(path) for path in paths)
    for other in seeds[1:]:
        check_same_slices(seeds[0], other)
        differing = np.flatnonzero(seeds[0].table.fold != other.table.fold)
        if len(differing):
            raise InputError(
                f"{other.name} has other folds than {seeds[0].name}",
                found=f"image {other.table.image[differing[0]]} in fold "
                f"{other.table.fold[differing[0]]} and in fold {seeds[0].table.fold[differing[0]]}",
                expected="seeds of the same folds",
            )
        if seeds[0].table.recipe[0] != other.table.recipe[0]:
            raise InputError(
                f"{other.name} is of models of another recipe than {seeds[0].name}",
                found=f"recipe {other.table.recipe[0] or 'not said'}",
                expected=f"{seeds[0].table.recipe[0] or 'none said'}: the same but for the seed",
            )
    for one, other in combinations(seeds, 2):
        if np.array_equal(one.table.logits, other.table.logits):
            raise InputError(
                f"{one.name} and {other.name} are one seed, given twice",
                found="the same scores in both",
                expected="scores of models trained with other seeds",
            )
    return seeds


def check_same_slices(one: Seed, other: Seed) -> None:
    """Check that the scores of two seeds are of the same slices, with the same labels.

    Args:
        one: Scores of a seed.
        other: Scores to compare with it.

    Raises:
        InputError: They differ in slices, labels, patients, series or level of the labels.
    """
    alone = np.setxor1d(one.table.image, other.table.image)
    if len(alone):
        raise InputError(
            f"{other.name} and {one.name} are not of the same slices",
            found=f"image {alone[0]} in one of them alone ({len(alone)} such)",
            expected="the same slices in both",
        )
    for column in ("labels", "patient", "series", "by_slice"):
        differs = getattr(one.table, column) != getattr(other.table, column)
        rows = np.flatnonzero(differs.reshape(len(differs), -1).any(axis=1))
        if len(rows):
            what = "label_level" if column == "by_slice" else column
            raise InputError(
                f"{other.name} and {one.name} disagree on {what}",
                found=f"image {one.table.image[rows[0]]} ({len(rows)} such)",
                expected="scores of the same store",
            )


def _check_folds(path: Path, table: ScoreTable) -> None:
    """Refuse scores that are not those of all folds, each patient in one."""
    folds = table.fold_numbers
    if folds == [""]:
        raise InputError(
            f"{path} does not say which fold each slice was left out of",
            expected="a fold for every slice",
            remedy="score each run of `ichlite train --fold` with `ichlite evaluate --scores`",
        )
    if len(folds) < 2:
        raise InputError(
            f"{path} holds the scores of one fold alone",
            found=f"fold {folds[0]}",
            expected="two folds or more",
        )
    of = int(table.folds[0] or len(folds))
    missing = sorted({str(n) for n in range(1, of + 1)} - set(folds), key=int)
    if missing:
        raise InputError(
            f"{path} lacks a fold",
            found=f"folds {', '.join(folds)}",
            expected=f"fold {missing[0]}, too, because figures of a part of the patients are not "
            "those of all",
        )
    fold_of: dict[str, str] = {}
    for patient, fold in zip(table.patient.tolist(), table.fold.tolist(), strict=True):
        if fold_of.setdefault(patient, fold) != fold:
            raise InputError(
                f"{path} has a patient in two folds",
                found=f"patient {patient} in {fold_of[patient]} and {fold}",
                expected="each patient in one: a model must not have seen whom it scores",
            )
