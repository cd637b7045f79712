"""Compare rules, scan stages and class heads out of fold; print the tables and write them as JSON.

    python scripts/scan_stage_table.py PHANTOMS CT-ICH --runs 'runs/lesion-s{seed}-f{fold}' \
        --network-seeds 1 2 --cache CACHE --out benchmarks/results/scan_stage.json
    python scripts/scan_stage_table.py PHANTOMS CT-ICH --network models/light_fcn-phantoms ...

The networks stay as they are: what they say of every slice is read once and kept in CACHE, outside
of the project. With `--runs` each fold has a network of its own, which never saw its patients; a
scan stage for fold k learns from the other folds' patients, each as the network sees him that did
not train on him ("stacked"), from the phantoms that no network trained on, or ("own network") from
fold k's network and the patients that it was trained on. With `--network` one network that saw no
real patient serves all folds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.atomic_files import write_json
from ichlite.contracts.evaluation import Difference
from ichlite.data.join import Fold, open_stores
from ichlite.data.levels import levelled
from ichlite.evaluate.calibrate import fit_calibration
from ichlite.evaluate.intervals import interval
from ichlite.evaluate.metrics import roc_auc
from ichlite.evaluate.paired import compare
from ichlite.evaluate.predictions import Cases, Judged
from ichlite.evaluate.summary import redraw_cases
from ichlite.infer.decision import (
    EVIDENCE_MM,
    Calibration,
    Rule,
    any_probability,
    calibrate,
    scan_probability,
    sigmoid,
    smooth,
)
from ichlite.labels import ANY, CLASSES, NAMES
from ichlite.models.class_heads import HEADS
from ichlite.models.features import SliceFeatures, features_of, join_features
from ichlite.models.saved import load
from ichlite.models.scan_stage import STAGES, SliceInputs
from ichlite.reproduce.kept_runs import is_finished
from ichlite.train.head_training import (
    HeadRecipe,
    StageRecipe,
    fit_class_head,
    fit_scan_stage,
    head_logits,
    joined_sources,
    score_scan_stage,
)

TODAY = "rule of today: smoothed, noisy-or of subtypes, highest 5 mm"
BASELINE = "rule of today, uncalibrated"
"""What must be beaten: fitted to few bleeds, calibration of each subtype may spoil the ranking."""
ALONE = (1.0,)
RULES: dict[str, Rule] = {
    TODAY: Rule(),
    "not smoothed": Rule(neighbour_weights=ALONE),
    "smoothed wider (1 2 3 2 1)": Rule(neighbour_weights=(1 / 9, 2 / 9, 3 / 9, 2 / 9, 1 / 9)),
    "smoothed, noisy-or of slices": Rule(scan_rule="noisy_or", evidence_mm=EVIDENCE_MM),
    "smoothed, highest slice": Rule(scan_rule="max"),
    "smoothed, mean of three": Rule(scan_rule="top3_mean"),
    "any the largest subtype": Rule(any_rule="max"),
    "any the largest subtype, mean of three": Rule(any_rule="max", scan_rule="top3_mean"),
    "any the largest subtype, not smoothed, mean of three": Rule(
        neighbour_weights=ALONE, any_rule="max", scan_rule="top3_mean"
    ),
    "any the largest subtype, not smoothed, highest slice": Rule(
        neighbour_weights=ALONE, any_rule="max", scan_rule="max"
    ),
}
RAW_LIMIT = 100.0
"""Logits beyond it count as this."""
Scores = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Of slices (slice, 6) and scans (scan, 6), any bleed first."""


@dataclass(frozen=True, slots=True)
class Views:
    """What the network of one fold says.

    Attributes:
        held: Slices of the fold's real patients, on whom it did not train.
        trained: Slices of real patients that it trained on; None for a network that saw none.
        learn: Slices of phantoms that it did not train on, to learn from.
        test: Slices of other such phantoms.
    """

    held: SliceFeatures
    trained: SliceFeatures | None
    learn: SliceFeatures
    test: SliceFeatures


@dataclass(frozen=True, slots=True)
class Method:
    """One row of a table.

    Attributes:
        name: As printed.
        judge: Given folds' views, the number of one and a seed, returns a function from features to
            scores.
        seeded: Whether another seed gives another answer.
    """

    name: str
    judge: Callable[[Sequence[Views], int, int], Callable[[SliceFeatures], Scores]]
    seeded: bool = True


def rule_method(name: str, rule: Rule, *, calibrated: bool = True) -> Method:
    """Return the method that calibrates on the other folds, or does not, and applies a rule."""

    def judge(folds: Sequence[Views], fold: int, seed: int) -> Callable[[SliceFeatures], Scores]:  # noqa: ARG001
        calibration = Calibration()
        if calibrated:
            rest = join_features([views.held for n, views in enumerate(folds) if n != fold])
            calibration = fit_calibration(rest.labels[:, 1:], rest.logits)
        return lambda table: by_rule(table, calibrate(table.logits, calibration), rule)

    return Method(name, judge, seeded=False)


def mean_of_logits(weights: tuple[float, ...]) -> Method:
    """Return the method that averages raw logits: over neighbours, then of the three highest."""

    def judge(folds: Sequence[Views], fold: int, seed: int) -> Callable[[SliceFeatures], Scores]:  # noqa: ARG001
        return score

    def score(table: SliceFeatures) -> Scores:
        # Logits move into [0, 1] and back: `smooth` takes probabilities.
        scaled = np.clip((table.logits.astype(np.float64) + RAW_LIMIT) / (2 * RAW_LIMIT), 0, 1)
        rule = Rule(neighbour_weights=weights, any_rule="max", scan_rule="top3_mean")
        slices, scans = by_rule(table, scaled, rule)
        return slices, scans

    where = "smoothed" if len(weights) > 1 else "not smoothed"
    return Method(f"raw logits, {where}, mean of three", judge, seeded=False)


def by_rule(table: SliceFeatures, probabilities: NDArray[np.float64], rule: Rule) -> Scores:
    """Apply a rule to probabilities of whole scans: (slice, 5), or (slice, 6) with any in front."""
    slices = np.empty((len(table), len(CLASSES)))
    scans = []
    for scan in table.scans():
        smoothed = smooth(probabilities[scan], rule.neighbour_weights)
        subtypes = smoothed[:, -len(NAMES) :]
        bleeds = any_probability(subtypes, rule.any_rule)
        if smoothed.shape[1] == len(CLASSES):
            bleeds = np.maximum(bleeds, smoothed[:, 0])
        slices[scan] = np.column_stack([bleeds, subtypes])
        scans.append(scan_probability(slices[scan], rule))
    return slices, np.array(scans)


def stage_method(kind: str, use: SliceInputs, protocol: str, steps: int) -> Method:
    """Return the method that trains a scan stage for each fold."""

    def judge(folds: Sequence[Views], fold: int, seed: int) -> Callable[[SliceFeatures], Scores]:
        others = [views for n, views in enumerate(folds) if n != fold]
        own = folds[fold]
        if protocol == "own network":
            sources = [own.trained, own.learn]
        elif protocol == "phantoms only":
            sources = [own.learn]
        else:
            sources = joined_sources([v.held for v in others], distinct([v.learn for v in others]))
        recipe = StageRecipe(kind=kind, use=use, seed=seed, steps=steps)
        model = fit_scan_stage(recipe, sources)

        def score(table: SliceFeatures) -> Scores:
            found = score_scan_stage(model, table, use)
            slices, scans = found.slices.astype(np.float64), found.scans.astype(np.float64)
            return np.column_stack([slices.max(axis=1), slices]), scans

        return score

    return Method(f"{kind}, {use}, {protocol}", judge)


def head_method(kind: str, steps: int) -> Method:
    """Return the method that trains a class head for each fold and applies today's rule."""

    def judge(folds: Sequence[Views], fold: int, seed: int) -> Callable[[SliceFeatures], Scores]:
        own = folds[fold]
        real = own.trained
        if real is None:
            real = join_features([views.held for n, views in enumerate(folds) if n != fold])
        model = fit_class_head(HeadRecipe(kind=kind, seed=seed, steps=steps), [real, own.learn])
        return lambda table: by_rule(table, sigmoid(head_logits(model, table)), Rule())

    return Method(f"head: {kind}", judge)


def distinct(tables: Sequence[SliceFeatures]) -> list[SliceFeatures]:
    """Return the tables without those that say the same as an earlier one."""
    found: list[SliceFeatures] = []
    for table in tables:
        if not any(np.array_equal(table.logits, one.logits) for one in found):
            found.append(table)
    return found


def judged_of(parts: Sequence[tuple[SliceFeatures, Scores]]) -> Judged:
    """Return slices and scans of several tables as cases."""

    def cases(kind: int) -> Cases:
        labels, scores, patients = [], [], []
        for table, found in parts:
            rows = [np.array([n]) for n in range(len(table))] if kind == 0 else table.scans()
            labels += [table.labels[scan].max(axis=0) for scan in rows]
            patients += [table.patient[scan[0]] for scan in rows]
            scores.append(found[kind])
        return Cases(np.array(labels), np.concatenate(scores), np.array(patients))

    return Judged(cases(0), cases(1))


def auc_row(judged: Judged) -> dict[str, float | None]:
    """Return the four figures of a table's row."""
    means = {}
    for kind, cases in (("slices", judged.slices), ("scans", judged.scans)):
        aucs = [roc_auc(cases.labels[:, i], cases.probabilities[:, i]) for i in range(len(CLASSES))]
        subtypes = [auc for auc in aucs[1:] if auc is not None]
        means[f"{kind} any"] = aucs[0]
        means[f"{kind} mean"] = float(np.mean(subtypes)) if subtypes else None
    return means


def run_method(method: Method, networks: Sequence[Sequence[Views]], seeds: int) -> dict[str, list]:
    """Judge a method with every network seed and every seed of its own."""
    found: dict[str, list] = {"real": [], "phantoms": []}
    for folds in networks:
        for seed in range(seeds if method.seeded else 1):
            keras.utils.clear_session()
            real, phantoms = [], []
            for number, views in enumerate(folds):
                score = method.judge(folds, number, seed)
                real.append((views.held, score(views.held)))
                phantoms.append(auc_row(judged_of([(views.test, score(views.test))])))
            found["real"].append(judged_of(real))
            found["phantoms"].append(
                {key: float(np.mean([row[key] for row in phantoms])) for key in phantoms[0]}
            )
            print(method.name, auc_row(found["real"][-1]), flush=True)
    return found


def document_of(
    results: dict[str, dict[str, list]], baseline: str, draws: int
) -> list[dict[str, object]]:
    """Return a row for each method: means, spread over seeds, intervals, what it gains."""
    rows = []
    for name, found in results.items():
        every = [auc_row(judged) for judged in found["real"]]
        half = dict.fromkeys(CLASSES, 0.5)
        drawn = {
            f"{kind} any": np.mean(
                [redraw_cases(getattr(j, kind), half, draws, 0)[:, 0, 0] for j in found["real"]],
                axis=0,
            )
            for kind in ("slices", "scans")
        }
        row: dict[str, object] = {
            "method": name,
            "seeds": every,
            "mean": {key: float(np.mean([one[key] for one in every])) for key in every[0]},
            "seed_sd": {
                key: float(np.std([one[key] for one in every], ddof=1)) if len(every) > 1 else None
                for key in every[0]
            },
            "interval_95": {key: interval(values) for key, values in drawn.items()},
            "phantoms": {
                key: float(np.mean([one[key] for one in found["phantoms"]]))
                for key in found["phantoms"][0]
            },
        }
        if name != baseline:
            paired = compare(found["real"], results[baseline]["real"], draws=draws)
            row["difference"] = {
                f"{kind} {key}": difference_row(table[key])
                for kind, table in (("slices", paired.slices), ("scans", paired.scans))
                for key in (ANY, "mean")
            }
            row["beyond_noise"] = [
                key
                for key, change in row["difference"].items()
                if exceeds_noise(change, row["seed_sd"][key])
            ]
        rows.append(row)
    return rows


def difference_row(one: Difference) -> dict[str, object]:
    """Return a paired difference ready for JSON."""
    return {"difference": one.difference, "interval_95": one.interval, "p": one.p}


def exceeds_noise(change: dict, seed_sd: float | None) -> bool:
    """Return whether a gain is beyond redrawn patients and twice the spread of seeds."""
    ends = change["interval_95"]
    return ends is not None and ends[0] > 0 and change["difference"] > 2 * (seed_sd or 0.0)


def print_table(title: str, rows: Sequence[dict]) -> None:
    """Print the rows as Markdown."""
    print(f"\n{title}\n")
    print("| method | scans any (95 %) | sd | less baseline (95 %) | scans mean | slices any | sd "
          "| less baseline (95 %) | slices mean | phantoms: scans any, slices any |")  # fmt: skip
    print("|" + "---|" * 10)
    for row in rows:
        mean, sd, ends = row["mean"], row["seed_sd"], row["interval_95"]
        cells = [row["method"]]
        for kind in ("scans", "slices"):
            key = f"{kind} any"
            span = "" if ends[key] is None else f" ({ends[key][0]:.3f}-{ends[key][1]:.3f})"
            cells += [
                f"{mean[key]:.3f}{span}",
                "" if sd[key] is None else f"{sd[key]:.3f}",
                change_text(row.get("difference", {}).get(key)),
                f"{mean[f'{kind} mean']:.3f}",
            ]
        cells.append(f"{row['phantoms']['scans any']:.3f}, {row['phantoms']['slices any']:.3f}")
        print("| " + " | ".join(cells) + " |")


def change_text(change: dict | None) -> str:
    """Return a difference and its interval as a cell."""
    if change is None or change["difference"] is None:
        return ""
    ends = change["interval_95"]
    return f"{change['difference']:+.3f}" + (f" ({ends[0]:+.3f} to {ends[1]:+.3f})" if ends else "")


def read_views(chosen: argparse.Namespace, seed: int) -> dict[int, Views]:
    """Return the views of each fold that there is a network for; made where not cached."""
    found = {}
    for number in range(1, chosen.folds + 1):
        path = Path(chosen.network or chosen.runs.format(seed=seed, fold=number))
        if chosen.runs and not is_finished(path):
            print(f"fold {number}: no finished run at {path}", flush=True)
            continue
        store = open_stores([chosen.phantoms, chosen.real], Fold(number, chosen.folds))
        phantom = store.origin == 0
        # A fold takes the phantoms' test split out of use: nothing trains on it.
        plain = open_stores([chosen.phantoms, chosen.real]).split
        rows = np.flatnonzero(
            np.where(phantom, np.isin(plain, ["validation", "test"]), store.split != "unused")
        )
        name = f"{path.parent.name if path.is_file() else path.name}.npz"
        kept = chosen.cache / name
        if not kept.exists():
            level = levelled(store, chosen.brain_level_hu)
            features_of(load(path), level, rows).write(kept)
        table = SliceFeatures.read(kept)
        if not np.array_equal(table.image, store.image[rows]):
            raise SystemExit(f"{kept} is of other stores: delete it, and it is made again")

        def view(keep: NDArray[np.bool_], table=table, rows=rows) -> SliceFeatures:
            return table.take(keep[rows])

        real = ~phantom
        found[number] = Views(
            held=view(real & (store.split == "test")),
            trained=None if chosen.network else view(real & (store.split == "train")),
            learn=view(phantom & (plain == "validation")),
            test=view(phantom & (plain == "test")),
        )
    return found


def main() -> None:
    """Read or make the features, judge every method, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("phantoms", type=Path)
    parser.add_argument("real", type=Path)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--runs", help="run folders, with {seed} and {fold} in their name")
    which.add_argument("--network", help="one network for all folds, that saw no real patient")
    parser.add_argument("--network-seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3, help="of each scan stage and head")
    parser.add_argument("--steps", type=int, default=150, help="of a scan stage")
    parser.add_argument("--head-steps", type=int, default=200, help="of a class head")
    parser.add_argument("--only", nargs="*", help="methods whose name holds one of these words")
    parser.add_argument("--brain-level-hu", type=float, default=30.0)
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    seen = [read_views(chosen, seed) for seed in (chosen.network_seeds if chosen.runs else [0])]
    folds = sorted(set.intersection(*(set(views) for views in seen)))
    if len(folds) < 2:
        raise SystemExit("at least two folds need a network, of every seed")
    networks = [[views[fold] for fold in folds] for views in seen]
    protocols = ["stacked", "phantoms only"] + (["own network"] if chosen.runs else [])
    stages = [stage_method(kind, use, "stacked", chosen.steps)
              for kind in STAGES for use in ("logits", "features")]  # fmt: skip
    stages += [stage_method("temporal_conv", use, protocol, chosen.steps)
               for protocol in protocols[1:] for use in ("logits", "features")]  # fmt: skip
    rules = [rule_method(name, rule) for name, rule in RULES.items()]
    rules += [
        rule_method(BASELINE, Rule(), calibrated=False),
        mean_of_logits(Rule().neighbour_weights),
        mean_of_logits(ALONE),
    ]
    heads = [head_method(kind, chosen.head_steps) for kind in HEADS]
    kept = [one for one in (*stages, *heads)
            if not chosen.only or any(word in one.name for word in chosen.only)]  # fmt: skip
    results = {one.name: run_method(one, networks, chosen.seeds) for one in (*rules, *kept)}
    tables = {"scan_stage": {n: r for n, r in results.items() if not n.startswith("head: ")}}
    baselines = {"scan_stage": BASELINE}
    independent = "head: independent"
    if independent in results:
        heads_alone = {n: r for n, r in results.items() if n.startswith("head: ")}
        tables["class_heads"] = {BASELINE: results[BASELINE], **heads_alone}
        baselines["class_heads"] = independent
    held = [views.held for views in networks[0]]
    document: dict[str, object] = {
        "networks": Path(chosen.runs or chosen.network).name,
        "network_seeds": chosen.network_seeds if chosen.runs else None,
        "folds": folds,
        "seeds": chosen.seeds,
        "steps": chosen.steps,
        "head_steps": chosen.head_steps,
        "scans": sum(len(table.scans()) for table in held),
        "bleeding_scans": sum(int(t.labels[s, 0].max()) for t in held for s in t.scans()),
        "slices": sum(len(table) for table in held),
    }
    for name, part in tables.items():
        rows = document_of(part, baselines[name], chosen.bootstrap)
        document[name] = rows
        print_table(name, rows)
    write_json(chosen.out, document)
    print(json.dumps({k: v for k, v in document.items() if k not in tables}))


if __name__ == "__main__":
    main()
