"""Search hyperparameters: best.json, a table of all trials, a verdict on the defaults.

The search is `hyperband.search`. Then the paper's defaults get as many epochs as the best trial
had, and, if asked, both are trained again with other seeds. Running it again goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ichlite.atomic_files import write_json, write_text
from ichlite.data.store import Store
from ichlite.errors import IchliteError, UsageError
from ichlite.option_fields import option_of
from ichlite.train.hyperband import FOLDER, RUN, search
from ichlite.train.recipe import TUNED, WIDTHS, Recipe
from ichlite.train.run_manifest import command
from ichlite.train.space import OBJECTIVE, Plan, Space
from ichlite.train.training_loop import DIVERGED, Progress, fit
from ichlite.train.trials import Trial, best_trial, to_csv, to_markdown, verdict
from ichlite.train.tuner_processes import BEST_FILE, role

SCHEMA = "ichlite-tune/1"
PLAN_FILE = "tune.json"
TABLES = ("trials.csv", "trials.md")
NAMED: Mapping[str, str] = {
    "schema": "schema",
    "store_hash": "data",
    "iterations": "--hyperband-iterations",
}
"""Keys of tune.json whose name differs from the option that sets them."""


def tune(
    plan: Plan,
    store: Store,
    out: Path,
    *,
    store_name: str = "STORE",
    max_trials: int | None = None,
    other_seeds: int = 0,
    on_step: Callable[[Progress], None] = lambda _: None,
    on_trial: Callable[[Trial], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any] | None:
    """Search hyperparameters, compare the best with the paper's defaults, and write the results.

    Args:
        plan: Arguments of the search.
        store: A prepared store.
        out: Folder of the search; it is made when missing.
        store_name: Name of the store in manifests and commands.
        max_trials: Largest number of trials; None: all of Hyperband.
        other_seeds: Number of further seeds with which the best recipe is compared with the
            defaults.
        on_step: Called after each step trained in this process.
        on_trial: Called with each trial that ended in this process.
        say: Called with lines of text that report progress.

    Returns:
        The contents of best.json; None in a worker, whose chief writes it.

    Raises:
        UsageError: The folder holds another search.
        IchliteError: No trial has a score.
    """
    _begin(plan, store, out)
    rows = search(
        plan,
        store,
        out,
        store_name=store_name,
        max_trials=max_trials,
        on_step=on_step,
        on_trial=on_trial,
    )
    if role() == "worker":
        return None
    write_text(out / TABLES[0], to_csv(rows))
    write_text(out / TABLES[1], to_markdown(rows))
    best = best_trial(rows)
    if best is None:
        raise IchliteError("no trial gave a score", remedy=f"see {out / TABLES[0]}")
    recipes = {
        "best": plan.recipe_of(asdict(best), best.epochs),
        "defaults": replace(plan.recipe, epochs=best.epochs, **_paper()),
    }

    def train(name: str, recipe: Recipe, seed: int) -> float | None:
        say(f"training the {name} recipe with seed {seed} for {recipe.epochs} epochs")
        folder = out / f"{name}-seed{seed}"
        return _score_of(replace(recipe, seed=seed), store, folder, store_name, on_step)

    seeds = [plan.recipe.seed + extra for extra in range(1, other_seeds + 1)]
    scores: dict[str, list[float | None]] = {
        "best": [best.validation_mean_roc_auc],
        "defaults": [train("defaults", recipes["defaults"], plan.recipe.seed)],
    }
    for seed in seeds:
        for name, recipe in recipes.items():
            scores[name].append(train(name, recipe, seed))
    found, line = verdict(
        scores["best"], scores["defaults"], epochs=recipes["best"].epochs, trials=len(rows)
    )
    document = {
        "schema": SCHEMA,
        "store": store_name,
        "store_hash": store.hash,
        "objective": OBJECTIVE,
        "found_better": found,
        "verdict": line,
        "best": {
            "trial": best.trial,
            "model": f"{FOLDER}/trial_{best.trial}/{RUN}/best.keras",
            **_of(recipes["best"], scores["best"][0], store_name),
        },
        "defaults": {
            "model": f"defaults-seed{plan.recipe.seed}/best.keras",
            **_of(recipes["defaults"], scores["defaults"][0], store_name),
        },
        "other_seeds": [
            {"seed": seed, "best": tuned, "defaults": paper}
            for seed, tuned, paper in zip(
                seeds, scores["best"][1:], scores["defaults"][1:], strict=True
            )
        ],
        "trials": len(rows),
        "epochs_trained": sum(row.epochs_here for row in rows),
        "tables": list(TABLES),
    }
    write_json(out / BEST_FILE, document)
    return document


def _begin(plan: Plan, store: Store, out: Path) -> None:
    asked = {"schema": SCHEMA, "store_hash": store.hash, **plan.as_dict()}
    path = out / PLAN_FILE
    if path.exists():
        # A search begun before the recipe had some argument had what is its default now.
        default = _options({"recipe": Plan().as_dict()["recipe"]})
        begun, wanted = default | _options(_read_plan(path)), _options(asked)
        differing = [k for k in {**wanted, **begun} if begun.get(k) != wanted.get(k)]
        if differing:
            raise UsageError(
                f"{out.name} holds a search with other {', '.join(differing)}",
                found=begun.get(differing[0]),
                expected=wanted.get(differing[0]),
                remedy="give another OUT, or repeat the command that began the search to go on",
            )
    elif role() != "worker":
        # A worker on another machine may have been here before its chief.
        if out.is_dir() and any(there.name != FOLDER for there in out.iterdir()):
            raise UsageError(
                f"{out} holds something that `ichlite tune` did not make",
                expected=f"a new or empty folder, or one with {PLAN_FILE}",
                remedy="give another OUT",
            )
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, asked)


def _read_plan(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UsageError(f"{path} is damaged", remedy="give another OUT")
    return document


def _options(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of tune.json by the option that sets each.

    Example:
        >>> _options({"recipe": {"bn_momentum": 0.9}, "space": {"batch_sizes": [8]}, "factor": 3})
        {'--bn-momentum': 0.9, '--batch-size': [8], '--factor': 3}
    """
    flat: dict[str, Any] = {}
    for name, value in document.items():
        flat |= value if name in {"recipe", "space"} and isinstance(value, dict) else {name: value}
    return {NAMED.get(name, option_of(Space, name)): flat[name] for name in flat}


def _score_of(
    recipe: Recipe,
    store: Store,
    folder: Path,
    store_name: str,
    on_step: Callable[[Progress], None],
) -> float | None:
    """Train a recipe, and return its best validation AUC, or None where it diverged."""
    try:
        run = fit(recipe, store, folder, store_name=store_name, on_step=on_step)
    except IchliteError as failure:
        if failure.code != DIVERGED:
            raise
        return None
    return run.best


def _paper() -> dict[str, Any]:
    default = Recipe().as_dict()
    return {name: default[name] for name in TUNED}


def _of(recipe: Recipe, score: float | None, store_name: str) -> dict[str, Any]:
    values = recipe.as_dict()
    return {
        **{name: values[name] for name in (*TUNED, *WIDTHS)},
        "epochs": recipe.epochs,
        OBJECTIVE: score,
        "command": command(recipe, store_name),
    }
