"""Make the bundles that were asked for from a trained run, and say why others were refused."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras

from ichlite.compress.bundle_folder import check_folder
from ichlite.compress.export import Export, Exported, export, reference_auc
from ichlite.compress.fine_tune import teacher_name
from ichlite.compress.quantize import INT8, check_precision
from ichlite.compress.settings import Gate, Shrinking, Tuning, settings_words
from ichlite.compress.shrink import compression_spec, shrink_by_steps
from ichlite.compress.source import Source
from ichlite.data.store import Store
from ichlite.errors import IchliteError, InputError, UsageError
from ichlite.evaluate.decisions import Decisions
from ichlite.infer.bundle import MANIFEST_FILE
from ichlite.train.run_manifest import recipe_hash


@dataclass(frozen=True, slots=True)
class Order:
    """Which bundles `make_bundles` writes, where, and how the model is compressed first.

    Attributes:
        out: Folder of the bundle; if several are made, the folder that theirs are made in.
        precisions: Names of `quantize.PRECISIONS`, each once.
        shrinking, tuning, gate: Compression steps, fine-tuning settings, and the largest loss of
            ROC AUC that is allowed.
        every_step: Whether a bundle is made after each compression step instead of only the last.
        name: Name of the bundle; with several, step and precision are appended. None: the
            architecture's name.
        decisions: Calibration and operating points computed from out-of-fold scores; None: computed
            from the validation split.
        force: Whether an existing bundle is replaced.
    """

    out: Path
    precisions: tuple[str, ...] = (INT8,)
    shrinking: Shrinking = field(default_factory=Shrinking)
    tuning: Tuning = field(default_factory=Tuning)
    gate: Gate = field(default_factory=Gate)
    every_step: bool = False
    name: str | None = None
    decisions: Decisions | None = None
    force: bool = False

    def __post_init__(self) -> None:
        for precision in self.precisions:
            check_precision(precision)
        if self.shrinking.quantization_aware and self.precisions != (INT8,):
            raise UsageError(
                "--qat prepares a model for int8 alone",
                found=f"--precision {', '.join(self.precisions)}",
                expected=f"--precision {INT8}",
            )
        if self.every_step and len(self.shrinking.steps) < 2:
            raise UsageError(
                "--every-step needs two steps or more",
                found=f"{len(self.shrinking.steps)}",
                expected="two of pruning, --sparsity and --clusters",
            )
        if self.name is not None and not self.name.isprintable():
            raise UsageError(
                "--name cannot be printed as it is",
                found=repr(self.name),
                expected="one line of text",
            )

    @property
    def several(self) -> bool:
        """Whether more than one bundle is to be made."""
        return self.every_step or len(self.precisions) > 1

    def check_folders(self) -> None:
        """Check, before hours of work, that every bundle asked for can be written.

        Raises:
            UsageError: See `check_folder`; or a bundle exists and `force` is not set, or one stands
                where a folder of bundles is to be made.
            IchliteError: See `check_folder`.
        """
        for step in self.shrinking.steps if self.every_step else ("",):
            for precision in self.precisions:
                folder = self.folder(step, precision)
                check_folder(folder)
                if not self.force and folder.is_dir() and any(folder.iterdir()):
                    raise UsageError(
                        f"{folder} holds a bundle",
                        remedy="name a new folder, or replace it with --force",
                    )
                for parent in (self.out, folder.parent):
                    if folder != self.out and (parent / MANIFEST_FILE).exists():
                        raise UsageError(
                            f"{parent} is a bundle and cannot hold several of them",
                            expected="a new folder",
                        )

    def folder(self, step: str, precision: str) -> Path:
        """Return the folder of the bundle made after a compression step in one precision.

        Args:
            step: Name of the step; empty for the last.
            precision: One of `precisions`.
        """
        words = [step] * self.every_step + [precision] * (len(self.precisions) > 1)
        return self.out.joinpath(*words)

    def label(self, architecture: str, step: str, precision: str) -> str:
        """Return the name of the bundle made after a compression step in one precision.

        Args:
            architecture: Name of the model's architecture.
            step: Name of the step; empty for the last.
            precision: One of `precisions`.
        """
        if self.name is not None and not self.several:
            return self.name
        return "-".join([self.name or architecture, *[step] * self.every_step, precision])

    def done(self, step: str) -> Shrinking:
        """Return the compression that a model has undergone by the end of a step.

        Args:
            step: Name of the step; empty for the last.
        """
        return self.shrinking.until(step)

    def command(self, step: str, precision: str, label: str, teacher: Path | None) -> str:
        """Return the `ichlite compress` command that makes one bundle of this order alone.

        Args:
            step: Name of the step; empty for the last.
            precision: One of `precisions`.
            label: Name of the bundle.
            teacher: Run folder or `.keras` file of the teacher; None if the model is its own
                teacher.
        """
        words = ["ichlite", "compress", "RUN", "STORE", "OUT", "--precision", precision]
        words += settings_words(self.done(step), self.tuning, self.gate)
        words += [] if teacher is None else ["--teacher", teacher_name(teacher)]
        files = () if self.decisions is None else self.decisions.origin.scores
        words += [word for file in files for word in ("--decisions", file)]
        return shlex.join([*words, "--name", label])


@dataclass(frozen=True, slots=True)
class Refused:
    """A bundle that was not written because it could not be made or failed the accuracy gate.

    Attributes:
        path: Folder that it would have been written to.
        fault: Error that says why it was not written.
    """

    path: Path
    fault: IchliteError


def make_bundles(
    order: Order,
    source: Source,
    store: Store,
    *,
    teacher: keras.Model | None = None,
    teacher_path: Path | None = None,
    report: Callable[[str], None] = lambda _: None,
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
    on_bundle: Callable[[Exported], None] = lambda _: None,
) -> tuple[list[Exported], list[Refused]]:
    """Compress a model step by step, and write each bundle that passes the accuracy gate.

    Args:
        order: Bundles to make, and how.
        source: Trained model with its manifest and recipe.
        store: Store that the model was trained on.
        teacher: Model that the compressed one learns from; None: the model before compression.
        teacher_path: Run folder or `.keras` file of the teacher, for the manifest.
        report: Called with one line of text at each stage.
        on_step: Called after each fine-tuning step with its number, from 1, and its loss.
        on_bundle: Called with each bundle as soon as it is written.

    Returns:
        The bundles that were written, and those that were refused; a refusal stops no other bundle.

    Raises:
        UsageError, InputError, IchliteError: A compression step fails, or the decisions come from
            models of another recipe.
    """
    order.check_folders()
    _check_decisions(order.decisions, source)
    for one in (source.model, teacher or source.model):
        size = one.input_shape[1]
        if order.tuning.crop_steps and size is not None:
            raise UsageError(
                "--crop-steps needs a model and a teacher that take images of any size",
                found=f"one of {size} pixels",
                expected="runs with crop steps of their own",
            )
    written: list[Exported] = []
    refused: list[Refused] = []
    before = reference_auc(source.model, store)
    models = shrink_by_steps(
        source.model,
        store,
        source.recipe,
        order.shrinking,
        order.tuning,
        teacher=teacher,
        report=report,
        on_step=on_step,
    )
    steps = order.shrinking.steps
    for step, model in models if steps else [("", source.model)]:
        if steps and step != steps[-1] and not order.every_step:
            continue
        done = order.done(step)
        for precision in order.precisions:
            folder = order.folder(step, precision)
            label = order.label(source.recipe.model, step, precision)
            try:
                asked = Export(
                    precision,
                    name=label,
                    seed=order.tuning.seed,
                    gate=order.gate,
                    compression=compression_spec(done, order.tuning, teacher_path),
                    command=order.command(step, precision, label, teacher_path),
                    decisions=order.decisions,
                )
                made = export(
                    *(model, store, folder, source.training, asked),
                    reference=before,
                    report=report,
                )
            except IchliteError as fault:
                refused.append(Refused(folder, fault))
                if order.several:
                    report(str(fault))
                continue
            written.append(made)
            on_bundle(made)
    return written, refused


def _check_decisions(decisions: Decisions | None, source: Source) -> None:
    """Refuse decisions that come from models which were trained otherwise."""
    if decisions is None:
        return
    asked = recipe_hash(source.training)
    if decisions.origin.recipe != asked:
        raise InputError(
            f"the scores in {', '.join(decisions.origin.scores)} are of models of another recipe",
            found=f"recipe {decisions.origin.recipe or 'not said'}",
            expected=f"{asked}: the same arguments but for the seed, and the same stores",
            remedy="train the folds as the run was trained, and score them with "
            "`ichlite evaluate --scores`",
        )
