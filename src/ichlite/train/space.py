"""Define the search space of `ichlite tune` around a base recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ichlite.errors import UsageError
from ichlite.option_fields import check_settings, documented, must, setting
from ichlite.train.recipe import TUNED, WIDTHS, Recipe

SEARCH = "Search"
"""Panel of the search's options in `--help`."""
OBJECTIVE = "validation_mean_roc_auc"
"""Score of a trial's best epoch, which a search maximises."""
WIDTH_CHOICES: Mapping[str, tuple[int, ...]] = {
    "width": (16, 24, 32, 48),
    "expansion": (8, 16, 32, 48),
    "head_width": (32, 64, 128),
}


@documented
@dataclass(frozen=True, slots=True)
class Space:
    """Values that a search may choose from."""

    batch_sizes: tuple[int, ...] = setting(
        (16, 32, 64, 128),
        SEARCH,
        "Batch size that trials may have (repeat for more); by default 16, 32, 64 and 128.",
        must(lambda sizes: min(sizes, default=0) >= 1, "each at least 1"),
        word="batch-size",
    )
    learning_rate: tuple[float, float] = setting(
        (1e-4, 3e-2),
        SEARCH,
        "Lowest and highest learning rate that trials may have; drawn evenly in their logarithm.",
        must(lambda x: 0 < x[0] <= x[1] < math.inf, "two numbers above 0, the lower first"),
        metavar="LOW HIGH",
    )
    dropout: tuple[float, float] = setting(
        (0.0, 0.5),
        SEARCH,
        "Lowest and highest dropout before the last layer that trials may have.",
        must(lambda x: 0 <= x[0] <= x[1] < 1, "two numbers from 0 to below 1, the lower first"),
        metavar="LOW HIGH",
    )
    widths: bool = setting(False, SEARCH, "Let trials differ in the widths of LightFCN, too.")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True)
class Plan:
    """Arguments of a hyperparameter search; the same plan on the same store is the same search.

    Attributes:
        recipe: Arguments of all trials but those that the search sets: epochs and what `space`
            names. Its seed is that of the search, too.
        space: Values that trials may take.
        max_epochs: Epochs of the longest trials, 1 or more.
        factor: Hyperband's reduction factor, 2 or more: of `factor` trials one continues, to
            `factor` times the epochs.
        iterations: Number of times that all of Hyperband is run, 1 or more.

    Raises:
        UsageError: A number is out of range, or the recipe has a learning rate or loss that changes
            during training, or widths of another network than LightFCN are searched.
    """

    recipe: Recipe = field(default_factory=Recipe)
    space: Space = field(default_factory=Space)
    max_epochs: int = 9
    factor: int = 3
    iterations: int = 1

    def __post_init__(self) -> None:
        for word, count, least in (
            ("--max-epochs", self.max_epochs, 1),
            ("--factor", self.factor, 2),
            ("--hyperband-iterations", self.iterations, 1),
        ):
            if count < least:
                raise UsageError(
                    f"{word} is out of range", found=count, expected=f"at least {least}"
                )
        # What depends on a run's length is another thing in a trial that goes on to be longer.
        if self.recipe.schedule != "constant":
            raise UsageError(
                "a search cannot have a learning rate that changes, as trials differ in length",
                found="--schedule cosine",
                expected="--schedule constant",
            )
        if self.recipe.loss_at(0, 100) != self.recipe.loss:
            raise UsageError(
                "a search cannot have a loss that changes, as trials differ in length",
                found=f"--loss {self.recipe.loss}",
                expected="another loss, such as ldam",
            )
        if self.space.widths and self.recipe.model != "light_fcn":
            raise UsageError(
                "--widths searches the widths of LightFCN alone",
                found=f"--model {self.recipe.model}",
                expected="--model light_fcn",
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as a JSON-serialisable dict; equal dicts mean the same search."""
        recipe = {k: v for k, v in self.recipe.as_dict().items() if k not in {"epochs", *TUNED}}
        space = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.space).items()}
        return {
            "recipe": recipe,
            "space": space,
            "max_epochs": self.max_epochs,
            "factor": self.factor,
            "iterations": self.iterations,
        }

    def recipe_of(self, values: Mapping[str, Any], epochs: int) -> Recipe:
        """Return the recipe of a trial, with values rounded to what a command line states exactly.

        Args:
            values: Hyperparameters of the trial by name.
            epochs: Epochs of the trial.

        Example:
            >>> Plan().recipe_of({"learning_rate": 0.00123456, "dropout": 0.251}, 3).learning_rate
            0.00123
        """
        chosen = {name: values[name] for name in (*TUNED, *WIDTHS) if name in values}
        if "learning_rate" in chosen:
            chosen["learning_rate"] = float(f"{chosen['learning_rate']:.3g}")
        if "dropout" in chosen:
            chosen["dropout"] = round(float(chosen["dropout"]), 2)
        return replace(self.recipe, epochs=epochs, **chosen)

    def size(self) -> tuple[int, int]:
        """Return how long the whole search is, if no trial fails.

        Returns:
            Number of trials, where one that continues counts again each time, and number of epochs
            trained in all, each once.

        Source:
            Li et al., JMLR 18 (2018) 1-52, algorithm 1; KerasTuner's rounding.

        Example:
            >>> Plan(max_epochs=9, factor=3).size()
            (23, 75)
        """
        last = math.ceil(1 + math.log(self.max_epochs, self.factor))
        brackets = 0
        while self.max_epochs / self.factor**brackets >= 1:
            brackets += 1
        trials = epochs = 0
        for bracket in range(brackets):
            before = 0
            for left in range(bracket, -1, -1):
                count = math.ceil(last / (bracket + 1) * self.factor**left)
                until = math.ceil(self.max_epochs / self.factor**left)
                trials += count
                epochs += count * (until - before)
                before = until
        return trials * self.iterations, epochs * self.iterations
