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
    """Return the manifest of a run that begins.

    Args:
        recipe: The run's arguments.
        store: What it trains on.
        store_name: The names of the stores' folders; not their paths, which say nothing elsewhere.
        init: Checkpoint whose weights the run starts from.
        own: What of it no command has, such as `model and loss`.

    Returns:
        The same inputs give the same `recipe`, `data` and `init_sha256`.
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
    """Return 16 hex digits that runs of the same training have in common.

    The same arguments but for the seed, and the same stores: the runs of one cross-validation, of
    all its seeds, and the run on all patients. Where a run starts from may differ between folds.

    Args:
        manifest: Manifest of a run; arguments that it lacks have their defaults.
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
    """Return the shell command that runs a recipe on stores of these names.

    What the recipe names of a run's own, a model say, is in Python alone; a comment says so.

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
    """Write train.json into a folder, whole or not at all."""
    write_json(folder / FILE, manifest)


def read_manifest(folder: Path) -> RunManifest | None:
    """Return the manifest in a run folder; None when no run began there.

    Raises:
        UsageError: train.json is damaged, or another program's.
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
    """Return the manifest of the run in a folder as the run goes on; None where none began.

    A run goes on to more epochs where its steps do not depend on how many come after them. Then
    it has no result any more, and `stretches` says to which lengths it was trained before.

    Args:
        folder: Folder of the run.
        asked: Manifest of the run that is wanted there.

    Raises:
        UsageError: The run there is another one, its manifest is damaged, or it cannot go on to
            more epochs.
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
    """Return the manifest of a run that has come to its end.

    Args:
        manifest: As it was.
        result: How it ended.
    """
    stretch = Stretch(epochs=manifest.recipe["epochs"], steps=result.steps)
    before = () if manifest.stretches is UNSET else manifest.stretches
    return structs.replace(manifest, stretches=(*before, stretch), result=result)


def check_run_folder(folder: Path) -> None:
    """Refuse to train into a folder of something else.

    Raises:
        UsageError: There are files, and none is a run's manifest; or it is a file.
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
    """Refuse to go on with a run as another one.

    A run begun before the recipe had some argument was run with what is its default now; what its
    manifest does not say of the data is taken to be the same.

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
