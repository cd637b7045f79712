"""Outcomes, results, costs and store in; everything that a reader is told, in one record, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ichlite.data.rows import SPLITS
from ichlite.data.store import Store
from ichlite.models import build
from ichlite.reproduce import examples, plots
from ichlite.reproduce.architecture import draw_architecture
from ichlite.reproduce.campaign import Outcome
from ichlite.reproduce.cells import Table
from ichlite.reproduce.claims import Ground, judge
from ichlite.reproduce.plan import LOSS_MODEL, PAPER_LOSSES, PAPER_MODELS, Grid
from ichlite.reproduce.summary import Difference, Summary, differences
from ichlite.reproduce.tables import all_tables
from ichlite.reproduce.verdicts import Claim, name_of
from ichlite.train.recipe import Recipe

RUNS_HEADER: tuple[str, ...] = (
    "Run", "State", "Judged epoch", "Test ROC AUC %", "Validation ROC AUC %", "Hours", "Images/s",
    "Waiting for batches %",
)  # fmt: skip
LEAST_PATIENTS = 10
"""Of a test split; from fewer, redraws of patients tell too little of other patients."""
_OF_A_RUN = ("model", "loss", "epochs", "seed")


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure: its file, a title and what to know of it."""

    path: Path
    title: str
    caption: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was done and found.

    Attributes:
        warning: Of the data, for the top of every page.
        caution: Of the few patients that were judged on, likewise; empty where they are enough.
        facts: Name and words, for the reader.
        tables: The paper's five.
        pictures: Figures 1 and 2, and the plots.
        claims: Judged.
        differences: Pairs of losses, then pairs of models.
        runs: Header and one row a run.
    """

    warning: str
    caution: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    claims: tuple[Claim, ...]
    differences: tuple[Difference, ...]
    runs: tuple[tuple[str, ...], ...]


def make_report(
    outcomes: Sequence[Outcome],
    summary: Summary,
    costs: Mapping[str, Any],
    store: Store,
    figures: Path,
    *,
    command: str,
    draws: int,
) -> Report:
    """Everything that was measured → the report; its figures are drawn on the way.

    Args:
        outcomes: Of all planned runs.
        summary: Of those that are finished.
        costs: From `costs.measured_costs`.
        store: That was trained on.
        figures: Folder for the pictures; made when missing.
        command: That makes all this.
        draws: Redraws of patients.

    Returns:
        The report.
    """
    figures.mkdir(parents=True, exist_ok=True)
    return Report(
        warning=data_warning(store),
        caution=patients_caution(store),
        facts=_facts(outcomes, summary, costs, store, command, draws),
        tables=all_tables(summary, costs, store),
        pictures=_pictures(summary, costs, store, figures),
        claims=judge(Ground.of(summary, costs, store)),
        differences=(*differences(summary.losses), *differences(summary.models)),
        runs=_runs(outcomes, summary),
    )


def data_warning(store: Store) -> str:
    """Store → in plain words, what its numbers can be compared with."""
    kind = str(store.meta.get("kind"))
    here = f"“{store.path.name}”, {len(store):,} slices of kind {kind}"
    if kind == "rsna":
        return (
            f"Measured on {here}. The paper used RSNA 2019, too, but which patients it drew is not "
            "published, so its test split is another one."
        )
    made = "synthetic phantoms, not patients" if kind == "phantom" else "other data"
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


def command_of(store_name: str, base: Recipe, grid: Grid, *, draws: int) -> str:
    """What was asked for → the shell command that asks for it.

    Example:
        >>> from ichlite.reproduce.plan import paper_grid
        >>> grid = paper_grid(Recipe(), seeds=[1, 2])
        >>> command_of("phantoms", Recipe(clipnorm=1.0), grid, draws=1000)
        'ichlite reproduce phantoms OUT --seeds 2 --clipnorm 1.0'
    """
    words = ["ichlite", "reproduce", store_name, "OUT", "--seeds", str(len(grid.seeds))]
    options: dict[str, tuple[object, object]] = {
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
    for name, (value, _) in recipe_changes(base).items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        else:
            words += [option, str(value)]
    return " ".join(words)


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
    summary: Summary,
    costs: Mapping[str, Any],
    store: Store,
    command: str,
    draws: int,
) -> tuple[tuple[str, str], ...]:
    results = summary.results()
    finished = sum(outcome.finished for outcome in outcomes)
    seeds = sorted({result.seed for result in results})
    hours = sum(result.document["training"]["hours"] for result in results)
    trained = sorted({_where(result.document["train"]) for result in results})
    counts = ", ".join(f"{split} {len(store.rows(split)):,}" for split in SPLITS)
    machine = costs["machine"]
    return (
        ("Command", command),
        ("Store", f"{store.path.name}, kind {store.meta.get('kind')}, hash {store.hash[:16]}"),
        ("Slices", f"{counts}; {len(set(store.patient.tolist())):,} patients"),
        ("Runs", f"{finished} of {len(outcomes)} finished"),
        ("Seeds", ", ".join(map(str, seeds)) or "none yet"),
        ("Training", f"{hours:.2f} hours in all, validation included"),
        ("Trained with", "; ".join(trained) or "nothing yet"),
        ("Recipe", _recipe_words(outcomes[0].run.recipe if outcomes else Recipe())),
        (
            "Judged",
            f"the epoch with the best validation mean ROC AUC (see Runs; crops: no epoch of full "
            f"frames was better than the steps before), on the test split, threshold 0.5; "
            f"{draws:,} redraws of patients",
        ),
        ("Times", f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, one thread"),
    )


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


def _pictures(
    summary: Summary, costs: Mapping[str, Any], store: Store, figures: Path
) -> tuple[Picture, ...]:
    chosen = examples.choose_examples(store)
    light = build(LOSS_MODEL)
    return (
        Picture(
            draw_architecture(light, figures / "figure1.svg", name_of(LOSS_MODEL)),
            "Figure 1. LightFCN",
            "Drawn from the Keras model. Widths are a reconstruction: the paper's figure is not in "
            "its text. Squares show the sides of the feature maps, on a root scale.",
        ),
        Picture(
            examples.draw_examples(store, chosen, figures / "figure2.png"),
            "Figure 2. A preprocessed slice of each subtype",
            f"From {store.path.name}, kind {store.meta.get('kind')}. Chosen by rule: "
            f"{examples.RULE}. Images: {_chosen(store, chosen)}.",
        ),
        Picture(
            plots.plot_groups(summary.losses, 5, "roc_auc", figures / "losses.svg"),
            "Losses, seed by seed",
            "Mean over subtypes on the test split. A loss is better only where its seeds stand "
            "clear of the other's.",
        ),
        Picture(
            plots.plot_groups(summary.models, 2, "balanced_accuracy", figures / "models.svg"),
            "Models, seed by seed",
            "Mean over subtypes on the test split. The paper's AUC of Table 2 stands under "
            "balanced accuracy, which it is.",
        ),
        Picture(
            plots.plot_subtypes(summary, figures / "subtypes.svg"),
            "Table 3, drawn",
            "Left bar of a pair: measured here; right, hatched: the paper's.",
        ),
        Picture(
            plots.plot_costs(summary, costs, figures / "costs.svg"),
            "What performance costs",
            "Filled: measured here. Hollow: the paper's, balanced accuracy being the mean of its "
            "Table 3, time and size of its Table 4. Only the order of models can be compared.",
        ),
    )


def _chosen(store: Store, chosen: Sequence[examples.Example]) -> str:
    return ", ".join(
        f"{one.subtype} {'none' if one.row is None else store.image[one.row]}" for one in chosen
    )


def _runs(outcomes: Sequence[Outcome], summary: Summary) -> tuple[tuple[str, ...], ...]:
    """One row a planned run: what became of it, and its main numbers."""
    known = {result.document["run"]: result for result in summary.results()}
    rows = [RUNS_HEADER]
    for outcome in outcomes:
        result = known.get(outcome.run.name)
        state = outcome.state if not outcome.reason else f"{outcome.state}: {outcome.reason}"
        if result is None:
            rows.append((outcome.run.name, state, *[""] * (len(RUNS_HEADER) - 2)))
            continue
        training = result.document["training"]
        validation = result.document["train"]["result"]["validation_mean_auc"]
        rate, waited = training["images_per_s"], training["wait_share"]
        rows.append(
            (
                outcome.run.name,
                state,
                training.get("judged_epoch", "not noted") or "",
                _percent(result.value("mean", "roc_auc")),
                _percent(validation),
                f"{training['hours']:.2f}",
                "" if rate is None else f"{rate:.0f}",
                "" if waited is None else f"{waited * 100:.0f}",
            )
        )
    return tuple(rows)


def _percent(share: float | None) -> str:
    return "undefined" if share is None else f"{share * 100:.2f}"
