"""Say in words what a reproduction was made of: the data, the command, the recipe and the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import UNSET

from ichlite.contracts.run import RunManifest
from ichlite.data.join import Fold, metas_of
from ichlite.data.rows import SPLITS
from ichlite.data.store import Store
from ichlite.option_fields import option_words
from ichlite.reproduce.campaign import Data, Outcome
from ichlite.reproduce.campaign_plan import PAPER_LOSSES, PAPER_MODELS, Grid
from ichlite.reproduce.campaign_summary import Measured
from ichlite.reproduce.kept_runs import Piece
from ichlite.reproduce.published import name_of
from ichlite.train.recipe import Recipe

LEAST_PATIENTS = 10
"""Number of test patients below which resampling them says too little of other patients."""
RUNS_HEADER: tuple[str, ...] = (
    "Run", "State", "Judged epoch", "Test ROC AUC %", "Validation ROC AUC %", "Hours", "Images/s",
    "Waiting for batches %",
)  # fmt: skip
_OF_A_RUN = ("model", "loss", "epochs", "seed")
_JUDGED: Mapping[str, str] = {
    "best": "the epoch with the best validation mean ROC AUC (see Runs; crops: no epoch of full "
    "frames was better than the steps before)",
    "last": "the last epoch",
}


def data_warning(store: Store, name: str) -> str:
    """Return a sentence on what results measured on a store can be compared with.

    Args:
        store: Store that was used.
        name: Name of the store.
    """
    kinds = [str(meta.get("kind")) for meta in metas_of(store)]
    here = f"“{name}”, {len(store):,} slices of kind {' and '.join(kinds)}"
    if kinds == ["rsna"]:
        return (
            f"Measured on {here}. The paper used RSNA 2019, too, but which patients it drew is not "
            "published, so its test split is another one."
        )
    made = "synthetic phantoms, not patients" if kinds == ["phantom"] else "other data"
    return (
        f"Not comparable with the paper's data. Everything here was measured on {here} ({made}); "
        "the published numbers are of RSNA 2019. A difference between the two says nothing about "
        "either; what can be compared is how models and losses stand to one another."
    )


def patients_caution(store: Store) -> str:
    """Return a caution for the report if the test split has few patients; else an empty text."""
    count = len(np.unique(np.asarray(store.patient)[store.rows("test")]))
    if count >= LEAST_PATIENTS:
        return ""
    patients = "1 patient" if count == 1 else f"{count} patients"
    return (
        f"The test split has only {patients}. Intervals over so few patients say little: whoever "
        "is not among them is not in the intervals either."
    )


def command_of(
    data: Data, base: Recipe, grid: Grid, *, draws: int, seeds_of: Mapping[str, int]
) -> str:
    """Return the shell command that asks for a grid of runs.

    Args:
        data: Data of the reproduction.
        base: Recipe that all runs share.
        grid: Planned runs.
        draws: Resamplings of patients for intervals.
        seeds_of: Largest number of seeds of each model that has a limit.
    """
    folds = data.folds
    words = ["ichlite", "reproduce", data.name, "OUT", "--seeds", str(len(grid.seeds))]
    options: dict[str, tuple[object, object]] = {
        "--folds": (len(folds), 0),
        "--fold-seed": (folds[0].seed if folds else 0, 0),
        "--seed": (grid.seeds[0], 1),
        "--models": (",".join(group.model for group in grid.models), ",".join(PAPER_MODELS)),
        "--losses": (",".join(group.loss for group in grid.losses), ",".join(PAPER_LOSSES)),
        "--epochs-models": (grid.models[0].epochs if grid.models else 5, 5),
        "--epochs-losses": (grid.losses[0].epochs if grid.losses else 6, 6),
        "--bootstrap": (draws, 1000),
    }
    for option, (value, default) in options.items():
        if value != default:
            words += [option, str(value)]
    for model, count in seeds_of.items():
        words += ["--seeds-of", f"{model}={count}"]
    for model, path in data.inits.items():
        words += ["--init", f"{model}={path.name}"]
    own = _recipe_changes(base)
    if folds and own.get("keep") == "last":
        own.pop("keep")  # as with any folds
    return " ".join([*words, *option_words(Recipe, own)])


def facts_of(
    outcomes: Sequence[Outcome],
    measured: Measured,
    data: Data,
    *,
    command: str,
    draws: int,
) -> tuple[tuple[str, str], ...]:
    """Return the facts, as name and text, that a reader of the report needs.

    Args:
        outcomes: States of all planned runs.
        measured: Results of the finished runs.
        data: Data of the reproduction.
        command: Command that makes this reproduction.
        draws: Resamplings of patients for intervals.
    """
    finished = sum(outcome.finished for outcome in outcomes)
    documents = [piece.document for piece in measured.pieces.values()]
    hours = sum(document.training.hours for document in documents)
    trained = sorted({_trained_with(document.train) for document in documents})
    seeds = sorted({result.seed for result in measured.summary.results()})
    machine = measured.costs.machine
    recipe = outcomes[0].run.recipe if outcomes else Recipe()
    stores = (
        f"{meta['name']}, kind {meta.get('kind')}, hash {str(meta.get('hash'))[:16]}"
        for meta in metas_of(data.store)
    )
    return (
        ("Command", command),
        ("Stores", "; ".join(stores)),
        ("Slices", _slices(data)),
        ("Runs", f"{finished} of {len(outcomes)} finished"),
        ("Seeds", ", ".join(map(str, seeds)) or "none yet"),
        ("Training", f"{hours:.2f} hours in all, validation included"),
        ("Trained with", "; ".join(trained) or "nothing yet"),
        ("Recipe", _recipe_words(recipe)),
        ("Started from", _inits(data)),
        ("Judged", f"{_JUDGED[recipe.keep]}, on {_tested(data.folds)}, threshold 0.5; {draws:,} "
                   "redraws of patients"),
        ("Times", f"{machine.cpu}, {machine.cores} cores, {machine.system}, one thread"),
    )  # fmt: skip


def runs_table(
    outcomes: Sequence[Outcome], pieces: Mapping[str, Piece]
) -> tuple[tuple[str, ...], ...]:
    """Return a table of all planned runs: a header, then state and main numbers of each."""
    rows = [RUNS_HEADER]
    for outcome in outcomes:
        state = f"{outcome.state}: {outcome.reason}" if outcome.reason else outcome.state
        row: tuple[str, ...] = (outcome.run.name, state)
        if (piece := pieces.get(outcome.run.name)) is not None:
            training, ended = piece.document.training, piece.document.train.result
            judged = training.judged_epoch
            validation = None if ended is UNSET else ended.validation_mean_auc
            row += (
                "not noted" if judged is UNSET else judged or "",
                _number(piece.test_auc, 100, ".2f", "undefined"),
                _number(validation, 100, ".2f", "undefined"),
                f"{training.hours:.2f}",
                _number(training.images_per_s, 1, ".0f"),
                _number(training.wait_share, 100, ".0f"),
            )
        rows.append((*row, *[""] * (len(RUNS_HEADER) - len(row))))
    return tuple(rows)


def _number(value: float | None, scale: float, form: str, missing: str = "") -> str:
    return missing if value is None else format(value * scale, form)


def _recipe_changes(base: Recipe) -> dict[str, object]:
    """Return what all runs share and is not the paper's."""
    default = Recipe().as_dict()
    return {
        name: value
        for name, value in base.as_dict().items()
        if name not in _OF_A_RUN and value != default[name]
    }


def _slices(data: Data) -> str:
    if not data.folds:
        counts = ", ".join(f"{split} {len(data.store.rows(split)):,}" for split in SPLITS)
        return f"{counts}; {len(set(data.store.patient.tolist())):,} patients"
    tested = data.pooled()
    rows = tested.rows("test")
    trained = [len(data.of(fold).rows("train")) for fold in data.folds]
    return (
        f"{len(rows):,} of {len(set(tested.patient[rows].tolist())):,} patients, each tested on "
        f"once; {min(trained):,} to {max(trained):,} to train on"
    )


def _tested(folds: Sequence[Fold]) -> str:
    if not folds:
        return "the test split"
    return (
        f"the slices of {len(folds)} folds of patients (drawn with seed {folds[0].seed}, "
        "stratified by bleeds), pooled: a seed's models together score each slice once, unseen"
    )


def _inits(data: Data) -> str:
    named = (f"{name_of(key)} {path.parent.name}/{path.name}" for key, path in data.inits.items())
    words = ", ".join(named)
    return f"checkpoints: {words}; others random weights" if words else "random weights"


def _recipe_words(base: Recipe) -> str:
    paper = Recipe()
    words = (
        f"the paper's: Adam, batch {paper.batch_size}, learning rate {paper.learning_rate:g}, "
        f"dropout {paper.dropout:g}, no augmentation"
    )
    changed = [f"{name.replace('_', ' ')} {value}" for name, value in _recipe_changes(base).items()]
    return f"{words}; but here {', '.join(changed)}" if changed else words


def _trained_with(manifest: RunManifest) -> str:
    versions = manifest.versions
    tensorflow = versions.get("tensorflow") or versions.get("tensorflow-cpu")
    engine = versions.get("jax") if manifest.backend == "jax" else tensorflow
    return f"Keras {versions['keras']} on {manifest.backend} {engine} ({manifest.machine})"
