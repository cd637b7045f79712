"""Plan the paper's training runs: models, losses, epochs and seeds, in a useful order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

from ichlite.data.join import Fold
from ichlite.errors import UsageError, check_name
from ichlite.models import MODELS
from ichlite.train.losses import LOSSES
from ichlite.train.recipe import Recipe

PAPER_MODELS: tuple[str, ...] = ("mobilenet_v2", "sfcn", "sfcn_depthwise", "light_fcn")
PAPER_LOSSES: tuple[str, ...] = ("bce", "focal", "ldam")
MODEL_LOSS = "bce"
"""Loss with which models are compared."""
LOSS_MODEL = "light_fcn"
"""Model with which losses are compared."""
QUICKEST_FIRST: tuple[str, ...] = ("light_fcn", "sfcn_depthwise", "mobilenet_v2", "sfcn")


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """Runs that differ in seed only: one model with one loss.

    Attributes:
        model, loss: Keys of `models.MODELS` and `losses.LOSSES`.
        epochs: Epochs on full slices.
    """

    model: str
    loss: str
    epochs: int

    @property
    def name(self) -> str:
        """Name that the group's run folders begin with.

        Example:
            >>> Group("light_fcn", "ldam", 6).name
            'light_fcn-ldam-e6'
        """
        return f"{self.model}-{self.loss}-e{self.epochs}"


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One planned training run: its group, its recipe, and the fold of patients held out."""

    group: Group
    recipe: Recipe
    fold: Fold | None = None

    @property
    def name(self) -> str:
        """Name of the run's folder.

        Example:
            >>> PlannedRun(Group("light_fcn", "ldam", 6), Recipe(seed=1), Fold(2, 5)).name
            'light_fcn-ldam-e6-s1-f2'
        """
        fold = "" if self.fold is None else f"-f{self.fold.number}"
        return f"{self.group.name}-s{self.recipe.seed}{fold}"


@dataclass(frozen=True, slots=True)
class Grid:
    """Planned runs of the paper's comparisons.

    Attributes:
        models: Groups of Tables 2, 3 and 4, in the paper's order.
        losses: Groups of Table 5.
        seeds: Random seeds of each group.
        runs: All runs, each once, in the order in which they are trained.
    """

    models: tuple[Group, ...]
    losses: tuple[Group, ...]
    seeds: tuple[int, ...]
    runs: tuple[PlannedRun, ...]


def paper_grid(
    base: Recipe,
    *,
    models: Sequence[str] = PAPER_MODELS,
    losses: Sequence[str] = PAPER_LOSSES,
    seeds: Sequence[int] = (1, 2, 3),
    folds: Sequence[Fold] = (),
    seeds_of: Mapping[str, int] = MappingProxyType({}),
    model_epochs: int = 5,
    loss_epochs: int = 6,
) -> Grid:
    """Plan the runs of the paper's comparisons of models and of losses.

    All of one seed come before the next; within a seed the losses, then the quick models, then the
    slow ones, each with all its folds, so that a grid that is not finished tells something.

    Args:
        base: Recipe that all runs share, except for model, loss, epochs and seed.
        models: Keys of `models.MODELS`; all with BCE.
        losses: Keys of `losses.LOSSES`; all with LightFCN.
        seeds: Random seeds, each different; at least one.
        folds: Folds to hold out, each in a run of its own; empty: the store's own splits.
        seeds_of: Largest number of seeds for some models.
        model_epochs: Epochs in the comparison of models.
        loss_epochs: Epochs in the comparison of losses.

    Returns:
        The grid; a run that both comparisons need is there once.

    Raises:
        UnknownName: No such model or loss.
        UsageError: No seeds, or one twice.

    Example:
        >>> grid = paper_grid(Recipe(), models=["light_fcn"], losses=["ldam"], seeds=[1])
        >>> [run.name for run in grid.runs]
        ['light_fcn-ldam-e6-s1', 'light_fcn-bce-e5-s1']
    """
    for name in (*models, *seeds_of):
        check_name("model", name, MODELS)
    for name in losses:
        check_name("loss", name, LOSSES)
    if not seeds or len(set(seeds)) != len(seeds):
        raise UsageError("seeds", found=list(seeds), expected="at least one, each once")

    def of_models(order: Sequence[str]) -> tuple[Group, ...]:
        return tuple(Group(one, MODEL_LOSS, model_epochs) for one in _in_order(models, order))

    of_losses = tuple(
        Group(LOSS_MODEL, one, loss_epochs) for one in _in_order(losses, PAPER_LOSSES)
    )
    runs = tuple(
        PlannedRun(group, replace(base, **asdict(group), seed=seed), fold)
        for place, seed in enumerate(seeds)
        for group in dict.fromkeys([*of_losses, *of_models(QUICKEST_FIRST)])
        if place < seeds_of.get(group.model, len(seeds))
        for fold in folds or (None,)
    )
    return Grid(of_models(PAPER_MODELS), of_losses, tuple(seeds), runs)


def _in_order(wanted: Sequence[str], order: Sequence[str]) -> list[str]:
    """Return what is wanted, each once: what has a place in the order, then the rest as given."""
    return list(dict.fromkeys([*(one for one in order if one in wanted), *wanted]))
