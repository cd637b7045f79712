"""Open the run that compression starts from, and the stores that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from ichlite.compress.graph import check_layers
from ichlite.contracts.run import RunManifest
from ichlite.ct.tensor import GRID
from ichlite.data.join import Fold, open_stores
from ichlite.data.store import Store
from ichlite.errors import IchliteError, InputError
from ichlite.infer.bundle import EMBEDDED_WORD, MANIFEST_FILE
from ichlite.models.outputs import slice_logits
from ichlite.models.saved import load
from ichlite.train.recipe import Recipe
from ichlite.train.run_manifest import FILE, read_manifest


@dataclass(frozen=True, slots=True)
class Source:
    """A trained model to compress, with the manifest and the recipe of its run.

    Attributes:
        model: Model from windows (batch, 256, 256, 3) to logits (batch, 5), with or without a
            lesion map.
        training: Manifest of the run.
        recipe: Recipe that the manifest states.
    """

    model: keras.Model
    training: RunManifest
    recipe: Recipe


def open_stores_of(path: Path, stores: Sequence[Path]) -> Store:
    """Open the stores that a run was trained on as one store, with the splits that the run used.

    Args:
        path: A run folder, or a `.keras` file in one.
        stores: Folders of its stores, in the order of the run.

    Raises:
        InputError, UsageError: There is no run, or its manifest is damaged.
        StoreError: A folder is no store, or the stores cannot be joined.
    """
    data = _manifest_of(path).data
    fold = data.fold
    return open_stores(
        stores,
        None if fold is None else Fold(fold.number, fold.of, fold.seed),
        all_patients=data.all_patients,
    )


def open_source(path: Path, store: Store) -> Source:
    """Open the trained model that compression starts from, and check it against its store.

    Args:
        path: A run folder, or a `.keras` file in one.
        store: Store that the run was trained on, as `open_stores_of` opens it.

    Raises:
        InputError: There is no model of ichlite; or the manifest is missing, was edited, or names
            another store, whose test slices may have trained the model.
        UsageError: The manifest is damaged.
    """
    training = _manifest_of(path)
    recipe = _recipe_of(training)
    trained_on = training.data.store_hash
    if trained_on != store.hash:
        raise InputError(
            f"{path} was not trained on {store.path}",
            found=f"store hash {store.hash[:16]}",
            expected=trained_on[:16],
            remedy="give the store that the run was trained on",
        )
    model = load(path)
    check_layers(model)
    return Source(model, training, recipe)


def _manifest_of(path: Path) -> RunManifest:
    """Read the manifest of a run folder, or of that of a `.keras` file."""
    if str(path) == EMBEDDED_WORD or (path / MANIFEST_FILE).exists():
        raise InputError(
            "a bundle cannot be compressed again",
            found=path,
            expected="the run folder that `ichlite train` wrote, or a .keras file in one",
        )
    if not path.exists():
        raise InputError(f"{path} does not exist", expected="a run folder, or a .keras file in one")
    training = read_manifest(path if path.is_dir() else path.parent)
    if training is None:
        raise InputError(
            f"{path} is neither a run folder nor a file in one",
            expected=f"a folder with {FILE}",
            remedy="give the folder that `ichlite train` wrote",
        )
    return training


def open_teacher(path: Path, student: keras.Model) -> keras.Model:
    """Load a teacher and check that its input and slice logits match those of the student.

    Args:
        path: A run folder, or a `.keras` file.
        student: Model that will learn from it.

    Raises:
        InputError: There is no model, or its input or output differs from the student's.
    """
    teacher = load(path)
    # A run without crops takes frames alone, one with crops any size: either may teach on frames.
    sizes = {*teacher.input_shape[1:3]} - {None, GRID}
    taught, asked = (tuple(slice_logits(one.output).shape) for one in (teacher, student))
    if sizes or (teacher.input_shape[3:], taught) != (student.input_shape[3:], asked):
        raise InputError(
            f"{path} cannot teach {student.name}",
            found=f"input {teacher.input_shape}, output {taught}",
            expected=f"input {student.input_shape}, output {asked}",
        )
    return teacher


def _recipe_of(training: RunManifest) -> Recipe:
    """Return the recipe of a manifest; what it lacks has its default."""
    try:
        return Recipe(**training.recipe)
    except (TypeError, IchliteError) as error:
        raise InputError(
            f"{FILE} is not as `ichlite train` wrote it",
            found=str(error),
            remedy="restore it, or train again",
        ) from None
