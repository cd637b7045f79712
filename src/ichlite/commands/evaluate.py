"""`ichlite evaluate`: measure a model on labelled images, or scores out of fold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichlite.commands.needs import need_train
from ichlite.commands.options import AsJson, option
from ichlite.train.recipe import DATA, HARDWARE, OUTPUT

if TYPE_CHECKING:
    from ichlite.contracts.evaluation import Evaluation
    from ichlite.contracts.run import LeftOutFold
    from ichlite.data.store import Store
    from ichlite.evaluate.predictions import Judge, Judged
    from ichlite.evaluate.scores import ScoreTable

EPILOG = (
    "Examples: ichlite evaluate bundles/ldam-int8 phantoms --split test --bootstrap 1000 --out "
    "reports/ldam. Cross-validation: ichlite evaluate runs/fold-1 ct-ich --scores "
    "scores/seed-1/fold-1.csv, so for each fold and seed, then ichlite evaluate --folds "
    "scores/seed-1 scores/seed-2."
)
SPLIT = "test"
INTERVALS = "Intervals and comparison"


def evaluate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[MODEL [STORE...]]",
            help="Bundle (embedded: the shipped one), run folder or .keras file, and the prepared "
            "stores to measure it on; with --folds, the scores of more seeds.",
        ),
    ] = None,
    split: Annotated[
        str, option(DATA, help="Split of the stores to measure on: train, validation or test.")
    ] = SPLIT,
    rsna: Annotated[
        Path | None,
        option(
            DATA,
            metavar="FOLDER",
            help="Folder of RSNA 2019 DICOM files to measure a bundle on, in place of a store.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        option(
            DATA,
            metavar="FILE",
            help="CSV file of labels for --rsna; stage_2_train.csv in its folder, if not given.",
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        option(
            OUTPUT,
            metavar="FILE",
            help="CSV file to write, with labels, logits and probabilities of every slice.",
        ),
    ] = None,
    folds: Annotated[
        list[Path] | None,
        option(
            DATA,
            help="Scores out of fold to measure instead of a model: a file, or a folder with a "
            "file for each fold (repeat for more seeds).",
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        option(
            INTERVALS,
            help="Model to compare with on the same patients; with --folds, its scores (repeat "
            "for more seeds).",
        ),
    ] = None,
    calibrate: Annotated[
        str,
        option(
            DATA, help="Calibration of each fold of --folds: cross (fitted on the others) or none."
        ),
    ] = "cross",
    out: Annotated[
        Path | None, option(OUTPUT, metavar="FOLDER", help="Folder to make for tables and plots.")
    ] = None,
    bootstrap: Annotated[
        int | None,
        option(
            INTERVALS,
            min=0,
            help="Bootstrap resamples of the patients for 95 % intervals, 0 for no intervals; if "
            "not given, 1000 with --folds or --against, else 0.",
        ),
    ] = None,
    seed: Annotated[
        int, option(INTERVALS, min=0, help="Random seed of the redraws of patients.")
    ] = 0,
    threads: Annotated[
        int, option(HARDWARE, help="Threads that read the DICOM files of --rsna.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Measure a model on labelled images, beside the baseline that calls everything negative."""
    from ichlite.atomic_files import check_file, check_folder

    if out is not None:
        check_folder(out)
    if scores is not None:
        check_file(scores)
    need_train()
    from ichlite.commands.console import print_json, say
    from ichlite.contracts.codec import to_json_value
    from ichlite.errors import UsageError
    from ichlite.evaluate.evaluation_report import markdown, write_report
    from ichlite.evaluate.intervals import DRAWS

    if bootstrap is None:
        bootstrap = DRAWS if folds or against else 0
    if against and not bootstrap:
        raise UsageError(
            "`--against` needs bootstrap resamples of the patients",
            found="--bootstrap 0",
            expected="--bootstrap 1000, or so",
        )
    if folds:
        _refuse("`--folds`", rsna=rsna, labels=labels, scores=scores, split=split != SPLIT)
        summary, judged = _folds(
            [*folds, *(paths or [])], against or [], calibrate, bootstrap, seed
        )
    else:
        _refuse("a model", calibrate=calibrate != "cross")
        task = _task(paths or [], split, rsna, labels, threads, bootstrap, seed)
        summary, judged = _model(task, against or [], scores)
    for line in summary.warnings or ():
        say(f"warning: {line}")
    if out is not None:
        for path in write_report(out, summary, judged):
            say(f"wrote {path}")
    if as_json:
        print_json(to_json_value(summary))
    else:
        typer.echo(markdown(summary), nl=False)


@dataclass(frozen=True, slots=True)
class _Task:
    """What to judge, and with which model."""

    model: Path
    stores: tuple[Path, ...]
    split: str
    rsna: Path | None
    labels: Path | None
    threads: int
    bootstrap: int
    seed: int


@dataclass(frozen=True, slots=True)
class _Found:
    """What one model says of the data, with warnings for the report."""

    judge: Judge
    judged: Judged
    scores: ScoreTable
    warnings: tuple[str, ...]

    def measure(self, task: _Task, data: str) -> Evaluation:
        """Measure the model on the data, which are named."""
        from ichlite.evaluate.summary import summarise

        return summarise(
            self.judged,
            data=data,
            slice_thresholds=self.judge.slice_thresholds,
            scan_thresholds=self.judge.scan_thresholds,
            bootstrap=task.bootstrap,
            seed=task.seed,
            left_out=self.judge.left_out,
        )


def _refuse(what: str, **options: object) -> None:
    """Refuse options that do not go with what is evaluated."""
    from ichlite.errors import UsageError

    for name, given in options.items():
        if given:
            raise UsageError(f"`--{name}` cannot be combined with {what}")


def _task(
    paths: list[Path], split: str, rsna: Path | None, labels: Path | None, threads: int,
    bootstrap: int, seed: int,
) -> _Task:  # fmt: skip
    from ichlite.data.rows import SPLITS
    from ichlite.errors import UsageError, check_name

    check_name("split", split, SPLITS)
    if not paths:
        raise UsageError(
            "there is nothing to evaluate",
            expected="a MODEL, or scores with --folds",
            remedy="see `ichlite evaluate --help`",
        )
    if (len(paths) < 2) == (rsna is None):
        raise UsageError(
            "a model is evaluated on prepared stores or on RSNA files",
            found=f"MODEL {paths[0]} alone" if rsna is None else "both",
            expected="MODEL and STORE, or MODEL and --rsna FOLDER",
        )
    return _Task(paths[0], tuple(paths[1:]), split, rsna, labels, threads, bootstrap, seed)


def _model(task: _Task, against: list[Path], scores: Path | None) -> tuple[Evaluation, Judged]:
    """Evaluate a model, and what it is compared with."""
    from msgspec import structs

    from ichlite.commands.console import say
    from ichlite.data.store import is_store
    from ichlite.errors import InputError, UsageError
    from ichlite.evaluate.paired import compare
    from ichlite.evaluate.scores import write_scores

    if len(against) > 1:
        raise UsageError(
            "`--against` takes one model unless scores are given with --folds",
            found=f"{len(against)} of them",
        )
    models = [task.model, *against]
    for path in models:
        if is_store(path):
            raise InputError(
                f"{path} is not a model",
                found="a prepared store",
                expected="a bundle, a run folder or a .keras file",
                remedy="the order is: ichlite evaluate MODEL STORE",
            )
    summary, found = (_store if task.rsna is None else _rsna)(task, models)
    first = found[0]
    if scores is not None:
        write_scores(scores, first.scores)
        say(f"wrote {scores}")
    warnings = tuple(line for one in found for line in one.warnings)
    summary = structs.replace(summary, model=first.judge.name, warnings=warnings)
    for other in found[1:]:
        paired = compare(
            [first.judged], [other.judged],
            model=other.judge.name, draws=task.bootstrap, seed=task.seed,
        )  # fmt: skip
        summary = structs.replace(summary, against=paired)
    return summary, first.judged


def _store(task: _Task, models: list[Path]) -> tuple[Evaluation, list[_Found]]:
    """Judge prepared stores with each model, and measure the first."""
    from msgspec import UNSET, structs

    from ichlite.data.feed import split_rows
    from ichlite.data.join import Fold, hold_out, open_stores
    from ichlite.data.levels import levelled
    from ichlite.errors import InputError
    from ichlite.evaluate.pointing import pointing
    from ichlite.evaluate.predictions import judge_logits, judge_slices, load_judge
    from ichlite.evaluate.scores import table_of_store
    from ichlite.evaluate.seen import Evaluated, seen_patients, seen_warnings
    from ichlite.infer.bundle import MANIFEST_FILE, bundle_folder
    from ichlite.train.run_manifest import read_manifest, recipe_hash

    judges = []
    for path in models:
        bundle = (bundle_folder(path) / MANIFEST_FILE).exists()
        folder = path if path.is_dir() else path.parent
        judges.append(load_judge(path, None if bundle else read_manifest(folder)))
    store = open_stores(task.stores)
    fold = _fold_of(judges[0], store)
    if fold is not None:
        store = hold_out(store, Fold(fold.number, fold.of, fold.seed))
    rows = split_rows(store, task.split)
    evaluated = Evaluated.of_store(store, rows, task.split)
    data = f"{'+'.join(path.name for path in task.stores)}, {task.split} split"
    if fold is not None:
        data += f" of fold {fold.number}"
        seen = seen_patients(judges[0].training, evaluated)
        if task.split == SPLIT and seen:
            raise InputError(
                f"{judges[0].name} was trained on patients of the fold that it left out",
                found=f"patient {seen[0]} ({len(seen)} such)",
                remedy="train its folds again, from a start that saw none of these patients",
            )
    left_out = fold is not None and task.split == SPLIT
    number, of = (str(fold.number), str(fold.of)) if fold and left_out else ("", "")
    found = []
    for judge in judges:
        recipe = recipe_hash(judge.training) if judge.training else ""
        logits = judge_slices(judge, store, rows)
        found.append(
            _Found(
                judge,
                judge_logits(logits, store, rows, judge.calibration, judge.rule),
                table_of_store(
                    *(store, rows, logits, judge.calibration, judge.rule),
                    fold=number,
                    folds=of,
                    recipe=recipe,
                ),
                seen_warnings(judge.name, judge.training, evaluated),
            )
        )
    first = found[0]
    summary = structs.replace(
        first.measure(task, data),
        store_hash=store.hash,
        fold=UNSET if fold is None else fold,
        pointing=pointing(first.judge.model, levelled(store, first.judge.brain_level_hu), rows)
        or UNSET,
    )
    return summary, found


def _fold_of(judge: Judge, store: Store) -> LeftOutFold | None:
    """Return the fold that a run left out of these stores; None if none, or one of other stores."""
    from ichlite.data.join import GENERATED, IMPLANT, metas_of
    from ichlite.errors import UsageError

    if judge.training is None or judge.training.data.fold is None:
        return None
    trained = judge.training.data.stores
    real = {one.hash for one in trained if one.kind not in GENERATED}
    folded = real or {one.hash for one in trained if one.kind != IMPLANT}
    here = {meta["hash"] for meta in metas_of(store)}
    if not folded & here:
        return None
    if not folded <= here:
        raise UsageError(
            f"{judge.name} left out a fold of several stores together",
            found=f"{len(folded & here)} of these stores",
            expected=f"all {len(folded)}",
        )
    return judge.training.data.fold


def _rsna(task: _Task, models: list[Path]) -> tuple[Evaluation, list[_Found]]:
    """Judge a folder of RSNA DICOM files with each model, and measure the first."""
    from msgspec import structs

    from ichlite.commands.console import say
    from ichlite.data.readers.rsna import TABLE, read_labels
    from ichlite.errors import InputError
    from ichlite.evaluate.predictions import bundle_judge
    from ichlite.evaluate.rsna_archive import judge_archive
    from ichlite.evaluate.seen import Evaluated, seen_warnings
    from ichlite.infer.bundle import load_bundle

    folder = task.rsna or Path()
    judges = [bundle_judge(load_bundle(path)) for path in models]
    labels = task.labels or folder / TABLE
    if not labels.exists():
        remedy = "name the label table with --labels FILE"
        raise InputError(f"{labels} does not exist", remedy=remedy)
    table = read_labels(labels)
    archives = [judge_archive(one.model, folder, table, threads=task.threads) for one in judges]
    found = []
    for judge, archive in zip(judges, archives, strict=True):
        kinds = ("rsna",) * len(archive.patients)
        evaluated = Evaluated(kinds, archive.patients, archive.pixels)
        warnings = seen_warnings(judge.name, judge.training, evaluated)
        found.append(_Found(judge, archive.judged, archive.scores, warnings))
        for line in archive.unread:
            say(f"not judged: {line}")
    conflicts = (one.item for one in table.findings if one.kind == "conflicting_labels")
    summary = structs.replace(
        found[0].measure(task, f"RSNA images of {folder.name}"),
        unlabelled=archives[0].unlabelled,
        not_judged=archives[0].unread,
        label_conflicts=tuple(conflicts),
    )
    return summary, found


def _folds(
    paths: list[Path], against: list[Path], calibrate: str, bootstrap: int, seed: int
) -> tuple[Evaluation, Judged]:
    """Evaluate scores out of fold, and what they are compared with."""
    from msgspec import structs

    from ichlite.evaluate.folds import calibrate_named, judge_out_of_fold, summarise_folds
    from ichlite.evaluate.paired import compare
    from ichlite.evaluate.seeds import check_same_slices, read_seeds

    way = calibrate_named(calibrate)
    seeds = read_seeds(paths)
    others = read_seeds(against) if against else ()
    for other in others:
        check_same_slices(seeds[0], other)
    summary, judged = summarise_folds(seeds, calibrate=way, bootstrap=bootstrap, seed=seed)
    if others:
        theirs = [judge_out_of_fold(one.table, calibrate=way).judged for one in others]
        name = ", ".join(one.name for one in others)
        paired = compare(judged, theirs, model=name, draws=bootstrap, seed=seed)
        summary = structs.replace(summary, against=paired)
    return summary, judged[0]
