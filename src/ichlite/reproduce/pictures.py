"""Draw the pictures of a reproduction, each with its title and what to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ichlite.data.store import Store
from ichlite.models import build
from ichlite.reproduce import campaign_plots, examples
from ichlite.reproduce.architecture import draw_architecture
from ichlite.reproduce.campaign_plan import LOSS_MODEL
from ichlite.reproduce.campaign_summary import Summary
from ichlite.reproduce.verdicts import name_of


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure: its file, a title and what to know of it."""

    path: Path
    title: str
    caption: str


def draw_pictures(
    summary: Summary, costs: Mapping[str, Any], store: Store, name: str, figures: Path
) -> tuple[Picture, ...]:
    """Draw Figures 1 and 2 and the plots into a folder.

    Args:
        summary: Scores of models and losses.
        costs: Of models.
        store: Its test split gives the slices of Figure 2.
        name: Of the data, for captions.
        figures: The folder; must exist.
    """
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
            f"From {name}. Chosen by rule: {examples.RULE}. Images: {_chosen(store, chosen)}.",
        ),
        Picture(
            campaign_plots.plot_groups(summary.losses, 5, "roc_auc", figures / "losses.svg"),
            "Losses, seed by seed",
            "Mean over subtypes. A loss is better only where its seeds stand clear of the other's.",
        ),
        Picture(
            campaign_plots.plot_groups(
                summary.models, 2, "balanced_accuracy", figures / "models.svg"
            ),
            "Models, seed by seed",
            "Mean over subtypes. The paper's AUC of Table 2 stands under "
            "balanced accuracy, which it is.",
        ),
        Picture(
            campaign_plots.plot_subtypes(summary, figures / "subtypes.svg"),
            "Table 3, drawn",
            "Left bar of a pair: measured here; right, hatched: the paper's.",
        ),
        Picture(
            campaign_plots.plot_costs(summary, costs, figures / "costs.svg"),
            "What performance costs",
            "Filled: measured here. Hollow: the paper's, balanced accuracy being the mean of its "
            "Table 3, time and size of its Table 4. Only the order of models can be compared.",
        ),
    )


def _chosen(store: Store, chosen: Sequence[examples.Example]) -> str:
    return ", ".join(
        f"{one.subtype} {'none' if one.row is None else store.image[one.row]}" for one in chosen
    )
