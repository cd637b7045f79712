"""Write and read `train.json`: what made a model, to make it again."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from msgspec import UNSET, structs

from ichlite import __version__
from ichlite.atomic_files import check_folder, write_json
from ichlite.contracts.codec import ContractError, read_document, to_json_value
from ichlite.contracts.run import (
    SCHEMA,
    LeftOutFold,
    RunManifest,
    RunResult,
    Stretch,
    TrainedStore,
    TrainingData,
)
from ichlite.data import fingerprint
from ichlite.data.join import metas_of
from ichlite.data.rows import SPLITS
from ichlite.data.split import split_hash
from ichlite.data.store import Store
from ichlite.errors import UsageError
from ichlite.labels import NAMES
from ichlite.option_fields import changed_words
from ichlite.train.recipe import Recipe

FILE = "train.json"
PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "jax", "numpy")


def describe(
    recipe: Recipe, store: Store, *, store_name: str, init: Path | None = None, own: str = ""
) -> RunManifest:
    """Return the manifest of a run that is about to begin.

    Args:
        recipe: The run's arguments.
        store: Store that the run trains on.
        store_name: Names of the stores' folders, without paths, which mean nothing on other
            machines.
        init: Checkpoint whose weights the run starts from; None for random weights.
        own: Custom parts that no command can name, such as `model and loss`.

    Returns:
        The manifest; the same inputs give the same `recipe`, `data` and `init_sha256`.
    """
    labels, split = np.asarray(store.labels), np.asarray(store.split)
    counts = {name: len(store.rows(name)) for name in SPLITS}
    positives = labels[split == "train"].sum(axis=0)
    fold = store.meta.get("fold")
    return RunManifest(
        schema=SCHEMA,
        command=command(recipe, store_name, init, chosen=store.meta, own=own),
        recipe=recipe.as_dict(),
        data=TrainingData(
            store=store_name,
            kind=store.meta.get("kind"),
            stores=tuple(
                TrainedStore(name=meta["name"], kind=meta["kind"], hash=meta["hash"])
                for meta in metas_of(store)
            ),
            fold=None if fold is None else LeftOutFold(**fold),
            all_patients=bool(store.meta.get("all_patients")),
            store_hash=store.hash,
            split_hash=split_hash(store.patient, store.split),
            images=counts,
            train_positives={n: int(p) for n, p in zip(NAMES, positives, strict=True)},
        ),
        fingerprint=fingerprint.of_run(store, init).packed(),
        init_sha256=None if init is None else hashlib.sha256(init.read_bytes()).hexdigest(),
        versions={"ichlite": __version__, "python": platform.python_version(), **_versions()},
        backend=keras.backend.backend(),
        machine=platform.machine(),
    )


def recipe_hash(manifest: RunManifest) -> str:
    """Return 16 hexadecimal digits that identify a recipe and its stores, whatever seed and fold.

    All runs of one cross-validation, of all its seeds, and the run on all patients have the same
    hash. The checkpoint that a run starts from is not included.

    Args:
        manifest: Manifest of a run; arguments that it lacks take their defaults.
    """
    arguments = {**Recipe().as_dict(), **manifest.recipe}
    del arguments["seed"]
    data = manifest.data
    stores = [one.hash for one in data.stores] or [data.store_hash]
    text = json.dumps({"arguments": arguments, "stores": stores}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def command(
    recipe: Recipe,
    store_name: str,
    init: Path | None = None,
    *,
    chosen: Mapping[str, Any] = MappingProxyType({}),
    own: str = "",
) -> str:
    """Return the shell command that repeats a run.

    Custom models and losses exist in Python only; a comment in the command says so.

    Args:
        recipe: Arguments of the run.
        store_name: Names of the stores' folders.
        init: Checkpoint that the run starts from.
        chosen: Fold and `all_patients`, as in the store's `meta`.
        own: Custom parts of the run, such as `model`; empty for none.

    Example:
        >>> command(Recipe(loss="ldam", augment=True), "phantoms")
        'ichlite train phantoms OUT --loss ldam --augment'
    """
    words = ["ichlite", "train", store_name, "OUT", *changed_words(recipe)]
    fold = chosen.get("fold")
    words += ["--all-patients"] * bool(chosen.get("all_patients"))
    if fold is not None:
        words += ["--fold", f"{fold['number']}/{fold['of']}"]
        words += ["--fold-seed", str(fold["seed"])] if fold["seed"] else []
    if init is not None:
        words += ["--init", init.name]
    words += [f"# in Python, with a {own} of its own"] if own else []
    return " ".join(words)


def write_manifest(folder: Path, manifest: RunManifest) -> None:
    """Write a manifest to `train.json` in a run folder in one atomic step."""
    write_json(folder / FILE, manifest)


def read_manifest(folder: Path) -> RunManifest | None:
    """Read the manifest of a run folder; None if there is none.

    Args:
        folder: Run folder.

    Raises:
        UsageError: `train.json` is damaged, or was written by another program.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        return read_document(RunManifest, path.read_bytes())
    except ContractError as error:
        raise UsageError(
            f"{path} is not as `ichlite train` wrote it",
            found=str(error),
            remedy="restore it, or give another folder",
        ) from None


def begun_in(folder: Path, asked: RunManifest) -> RunManifest | None:
    """Return the manifest with which the run in a folder continues; None if there is no run.

    A run can be extended to more epochs if its steps do not depend on their number. Its manifest
    then has no result any more, and `stretches` lists the lengths it was trained to before.

    Args:
        folder: Run folder.
        asked: Manifest of the run that is asked for.

    Raises:
        UsageError: The folder holds another run, its manifest is damaged, or it cannot be extended.
    """
    begun = read_manifest(folder)
    if begun is None:
        return None
    before, wanted = begun.recipe.get("epochs"), asked.recipe["epochs"]
    if not isinstance(before, int) or wanted <= before:
        check_same(begun, asked, folder)
        return begun
    check_same(structs.replace(begun, recipe={**begun.recipe, "epochs": wanted}), asked, folder)
    reason = Recipe(**asked.recipe).why_no_longer()
    if reason is not None:
        raise UsageError(
            f"{folder.name} holds a run of {before} epochs, which cannot go on to {wanted}",
            found=reason,
            remedy="give another OUT; with --init it starts from the weights of this run",
        )
    stretches = begun.stretches
    if stretches is UNSET and begun.result is not UNSET:
        stretches = (Stretch(epochs=before, steps=begun.result.steps),)
    return structs.replace(
        begun, recipe=asked.recipe, command=asked.command, stretches=stretches, result=UNSET
    )


def ended(manifest: RunManifest, result: RunResult) -> RunManifest:
    """Return a manifest completed with the result of its run.

    Args:
        manifest: Manifest as the run began.
        result: Result of the run.
    """
    stretch = Stretch(epochs=manifest.recipe["epochs"], steps=result.steps)
    before = () if manifest.stretches is UNSET else manifest.stretches
    return structs.replace(manifest, stretches=(*before, stretch), result=result)


def check_run_folder(folder: Path) -> None:
    """Raise an error if a folder cannot be used for a run because it holds something else.

    Args:
        folder: Folder to train into; it need not exist.

    Raises:
        UsageError: The folder is not empty, hidden files aside, and has no run's manifest; or it is
            a file.
        IchliteError: It cannot be written.
    """
    check_folder(folder)
    if not folder.is_dir() or (folder / FILE).exists():
        return
    others = sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
    if others:
        raise UsageError(
            f"{folder} is not empty and holds no run",
            found=others[0],
            expected="a new or empty folder, or a run to resume",
            remedy="name another folder",
        )


def check_same(begun: RunManifest, asked: RunManifest, folder: Path) -> None:
    """Raise an error if the run in a folder differs from the run that is asked for.

    Arguments that the older manifest lacks count as their defaults; facts on the data that it lacks
    count as equal.

    Args:
        begun: Manifest of the run in the folder.
        asked: Manifest of the run that is asked for.
        folder: Run folder, for the message.

    Raises:
        UsageError: They differ in something that would make the resumed run another run.
    """
    found, expected = _identity(begun), _identity(asked)
    differing = [
        name
        for name in sorted({*found, *expected}, key=lambda one: (not one.startswith("recipe"), one))
        if found.get(name) != expected.get(name)
        and not (name.startswith("data") and found.get(name) in _NOT_SAID)
    ]
    if differing:
        raise UsageError(
            f"{folder.name} holds another run",
            found=_named(found, differing),
            expected=_named(expected, differing),
            remedy="give another OUT, or repeat the command that began the run to resume it",
        )


def _named(identity: Mapping[str, Any], names: Iterable[str]) -> str:
    """Return some values of an identity with their names, those of the recipe by option."""
    return ", ".join(f"{name.removeprefix('recipe.')} {identity.get(name)}" for name in names)


_NOT_SAID: tuple[object, ...] = (None, (), "", [])
"""What a manifest of before has in place of what it did not say of its data."""


def _identity(manifest: RunManifest) -> dict[str, Any]:
    """Return what must agree for a run to go on, by name."""
    recipe = {**Recipe().as_dict(), **manifest.recipe}
    data = to_json_value(manifest.data)
    return {
        **{f"recipe.{name}": value for name, value in recipe.items()},
        **{f"data.{name}": value for name, value in data.items()},
        "init_sha256": manifest.init_sha256,
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
