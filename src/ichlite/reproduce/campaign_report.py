"""Everything that a reader is told of a reproduction, in one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ichlite.data.join import Fold, metas_of
from ichlite.data.rows import SPLITS
from ichlite.data.store import Store
from ichlite.errors import UsageError
from ichlite.reproduce.campaign import Data, Outcome
from ichlite.reproduce.campaign_plan import PAPER_LOSSES, PAPER_MODELS, Grid
from ichlite.reproduce.campaign_summary import Difference, differences, grid_of, summarise_runs
from ichlite.reproduce.cells import Table
from ichlite.reproduce.claims import Ground, judge
from ichlite.reproduce.measure import Measured
from ichlite.reproduce.paper_tables import all_tables
from ichlite.reproduce.pictures import Picture, draw_pictures
from ichlite.reproduce.results import RESULTS, Piece, read_document, read_pieces, results_of
from ichlite.reproduce.rsna_prediction import RsnaCounts, read_counts
from ichlite.reproduce.verdicts import Claim, name_of
from ichlite.train.recipe import Recipe
from ichlite.train.run_manifest import option_words

RUNS_HEADER: tuple[str, ...] = (
    "Run", "State", "Judged epoch", "Test ROC AUC %", "Validation ROC AUC %", "Hours", "Images/s",
    "Waiting for batches %",
)  # fmt: skip
LEAST_PATIENTS = 10
"""Of a test split; from fewer, redraws of patients tell too little of other patients."""
_OF_A_RUN = ("model", "loss", "epochs", "seed")


@dataclass(frozen=True, slots=True)
class Judged:
    """The claims on one set of data.

    Attributes:
        name: Of the data, in a few words.
        claims: In the paper's order.
    """

    name: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What was done and found.

    Attributes:
        warning: Of the data, for the top of every page.
        caution: Of the few patients that were judged on, likewise; empty where they are enough.
        facts: Name and words, for the reader.
        tables: The paper's five.
        pictures: Figures 1 and 2, and the plots.
        judged: The claims here.
        beside: The claims of other reproductions, to be shown beside these.
        differences: Pairs of losses, then pairs of models.
        runs: Header and one row a run.
    """

    warning: str
    caution: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    judged: Judged
    beside: tuple[Judged, ...]
    differences: tuple[Difference, ...]
    runs: tuple[tuple[str, ...], ...]


def make_report(
    outcomes: Sequence[Outcome],
    measured: Measured,
    data: Data,
    folds: Sequence[Fold],
    figures: Path,
    *,
    command: str,
    draws: int,
    beside: Sequence[Judged] = (),
) -> Report:
    """Everything that was measured → the report; its figures are drawn on the way.

    Args:
        outcomes: Of all planned runs.
        measured: Those that are finished.
        data: That was trained and tested on.
        folds: Of the patients; empty: the store's own splits.
        figures: Folder for the pictures; made when missing.
        command: That makes all this.
        draws: Redraws of patients.
        beside: Claims of other reproductions.

    Returns:
        The report.
    """
    figures.mkdir(parents=True, exist_ok=True)
    summary, costs = measured.summary, measured.costs
    tested = data.pooled(folds)
    return Report(
        warning=data_warning(data.store, data.name),
        caution=patients_caution(tested),
        facts=_facts(outcomes, measured, data, folds, command, draws),
        tables=all_tables(summary, costs, tested, [data.of(fold) for fold in folds]),
        pictures=draw_pictures(summary, costs, tested, data.name, figures),
        judged=_judged(Ground.of(summary, costs, measured.rsna)),
        beside=tuple(beside),
        differences=(*differences(summary.losses), *differences(summary.models)),
        runs=_runs(outcomes, measured.pieces),
    )


def judge_results(folder: Path, *, draws: int, rsna: RsnaCounts | None = None) -> Judged:
    """Judge another reproduction by today's rules, from its `results/` alone.

    Args:
        folder: Of the reproduction.
        draws: Redraws of patients.
        rsna: Counts of RSNA 2019, where the folder has none.

    Raises:
        UsageError: It has no results.
        InputError: They are damaged.
    """
    results = folder / RESULTS
    found = results_of(read_pieces(results), draws=draws)
    known = read_document(results / "summary.json")
    if not found or known is None:
        raise UsageError(
            f"{folder} holds no reproduction to show beside this one",
            expected=f"a folder with {RESULTS}/ of `ichlite reproduce`",
        )
    costs = read_document(results / "costs.json") or {"models": {}}
    counts = read_counts(results / "rsna.json") or rsna
    return _judged(Ground.of(summarise_runs(found, grid_of(known)), costs, counts))


def _judged(ground: Ground) -> Judged:
    return Judged(ground.name, judge(ground))


def data_warning(store: Store, name: str) -> str:
    """Store and its name → in plain words, what its numbers can be compared with."""
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
    """Store → what to know where its test split has few patients; else nothing."""
    count = len(np.unique(np.asarray(store.patient)[store.rows("test")]))
    if count >= LEAST_PATIENTS:
        return ""
    patients = "1 patient" if count == 1 else f"{count} patients"
    return (
        f"The test split has only {patients}. Intervals over so few patients say little: whoever "
        "is not among them is not in the intervals either."
    )


def command_of(
    data: str,
    base: Recipe,
    grid: Grid,
    *,
    draws: int,
    folds: Sequence[Fold] = (),
    inits: Mapping[str, Path] = MappingProxyType({}),
    seeds_of: Mapping[str, int] = MappingProxyType({}),
) -> str:
    """What was asked for → the shell command that asks for it.

    Example:
        >>> from ichlite.reproduce.campaign_plan import paper_grid
        >>> grid = paper_grid(Recipe(), seeds=[1, 2])
        >>> command_of("phantoms", Recipe(clipnorm=1.0), grid, draws=1000)
        'ichlite reproduce phantoms OUT --seeds 2 --clipnorm 1.0'
    """
    words = ["ichlite", "reproduce", data, "OUT", "--seeds", str(len(grid.seeds))]
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
    for model, path in inits.items():
        words += ["--init", f"{model}={path.name}"]
    own = {name: value for name, (value, _) in recipe_changes(base).items()}
    if folds and own.get("keep") == "last":
        own.pop("keep")  # as with any folds
    return " ".join([*words, *option_words(own)])


def recipe_changes(base: Recipe) -> dict[str, tuple[object, object]]:
    """What all runs share → argument, its value and the paper's, where they differ.

    Example:
        >>> recipe_changes(Recipe(seed=7, learning_rate=0.003))
        {'learning_rate': (0.003, 0.01)}
    """
    default = Recipe().as_dict()
    return {
        name: (value, default[name])
        for name, value in base.as_dict().items()
        if name not in _OF_A_RUN and value != default[name]
    }


def _facts(
    outcomes: Sequence[Outcome],
    measured: Measured,
    data: Data,
    folds: Sequence[Fold],
    command: str,
    draws: int,
) -> tuple[tuple[str, str], ...]:
    pieces, store = measured.pieces.values(), data.store
    finished = sum(outcome.finished for outcome in outcomes)
    seeds = sorted({result.seed for result in measured.summary.results()})
    hours = sum(piece.document["training"]["hours"] for piece in pieces)
    trained = sorted({_where(piece.document["train"]) for piece in pieces})
    recipe = outcomes[0].run.recipe if outcomes else Recipe()
    machine = measured.costs["machine"]
    return (
        ("Command", command),
        ("Stores", "; ".join(
            f"{meta['name']}, kind {meta.get('kind')}, hash {str(meta.get('hash'))[:16]}"
            for meta in metas_of(store)
        )),
        ("Slices", _slices(data, folds)),
        ("Runs", f"{finished} of {len(outcomes)} finished"),
        ("Seeds", ", ".join(map(str, seeds)) or "none yet"),
        ("Training", f"{hours:.2f} hours in all, validation included"),
        ("Trained with", "; ".join(trained) or "nothing yet"),
        ("Recipe", _recipe_words(recipe)),
        ("Started from", _inits(data)),
        ("Judged", f"{_JUDGED[recipe.keep]}, on {_tested(folds)}, threshold 0.5; {draws:,} redraws "
                   "of patients"),
        ("Times", f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, one thread"),
    )  # fmt: skip


_JUDGED = {
    "best": "the epoch with the best validation mean ROC AUC (see Runs; crops: no epoch of full "
    "frames was better than the steps before)",
    "last": "the last epoch",
}


def _slices(data: Data, folds: Sequence[Fold]) -> str:
    if not folds:
        counts = ", ".join(f"{split} {len(data.store.rows(split)):,}" for split in SPLITS)
        return f"{counts}; {len(set(data.store.patient.tolist())):,} patients"
    tested = data.pooled(folds)
    rows = tested.rows("test")
    trained = [len(data.of(fold).rows("train")) for fold in folds]
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
    named = [f"{name_of(model)} {path.parent.name}/{path.name}"
             for model, path in data.inits.items()]  # fmt: skip
    return f"checkpoints: {', '.join(named)}; others random weights" if named else "random weights"


def _recipe_words(base: Recipe) -> str:
    paper = Recipe()
    words = (
        f"the paper's: Adam, batch {paper.batch_size}, learning rate {paper.learning_rate:g}, "
        f"dropout {paper.dropout:g}, no augmentation"
    )
    changed = [
        f"{name.replace('_', ' ')} {value}" for name, (value, _) in recipe_changes(base).items()
    ]
    return f"{words}; but here {', '.join(changed)}" if changed else words


def _where(manifest: Mapping[str, Any]) -> str:
    versions = manifest["versions"]
    tensorflow = versions.get("tensorflow") or versions.get("tensorflow-cpu")
    engine = versions.get("jax") if manifest["backend"] == "jax" else tensorflow
    return f"Keras {versions['keras']} on {manifest['backend']} {engine} ({manifest['machine']})"


def _runs(outcomes: Sequence[Outcome], pieces: Mapping[str, Piece]) -> tuple[tuple[str, ...], ...]:
    """One row a planned run: what became of it, and its main numbers."""
    rows = [RUNS_HEADER]
    for outcome in outcomes:
        piece = pieces.get(outcome.run.name)
        state = outcome.state if not outcome.reason else f"{outcome.state}: {outcome.reason}"
        if piece is None:
            rows.append((outcome.run.name, state, *[""] * (len(RUNS_HEADER) - 2)))
            continue
        training = piece.document["training"]
        validation = piece.document["train"]["result"]["validation_mean_auc"]
        rate, waited = training["images_per_s"], training["wait_share"]
        rows.append(
            (
                outcome.run.name,
                state,
                training.get("judged_epoch", "not noted") or "",
                _percent(piece.test_auc),
                _percent(validation),
                f"{training['hours']:.2f}",
                "" if rate is None else f"{rate:.0f}",
                "" if waited is None else f"{waited * 100:.0f}",
            )
        )
    return tuple(rows)


def _percent(share: float | None) -> str:
    return "undefined" if share is None else f"{share * 100:.2f}"
