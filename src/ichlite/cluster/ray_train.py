"""Train one run on many machines together.

Ray Train starts a group of processes and starts it again when one of them dies; JAX joins them
(`jax.distributed`), and `train.training_loop.fit` runs in each. Every process makes its part of
each batch, and the devices together compute what one would: gradients and batch statistics are of
the whole batch. The first process writes the run folder, from which a new group goes on.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ichlite.atomic_files import write_json
from ichlite.cluster.session import Cluster
from ichlite.contracts.codec import Document, read_document
from ichlite.data.join import Fold, open_stores
from ichlite.errors import IchliteError, UsageError
from ichlite.train.recipe import Recipe

FOLDER = "ray"
ORDER = "order"
"""Configuration key under which a group of training processes finds its `TrainOrder`."""
DONE_FILE = "done.json"
STOP_FILE = "stop.json"
MOST_RESTARTS = 20
RUN_FILES = ("train.json", "last.keras", "best.keras", "history.csv")
GPU_PLATFORM = "cuda"


@dataclass(frozen=True, slots=True)
class TrainOrder:
    """Training run that a group of processes carries out together; all paths are absolute."""

    recipe: Recipe
    stores: tuple[Path, ...]
    folder: Path
    fold: Fold | None
    all_patients: bool
    init: Path | None
    platform: str


class Outcome(Document, frozen=True, kw_only=True):
    """How training ended, as `train.training_loop.Run` says it, `resumed_at` of the last group."""

    steps: int
    resumed_at: int
    validation_mean_roc_auc: float | None
    best_step: int
    chosen_by: str


class Stopped(Document, frozen=True, kw_only=True):
    """The error that ended training, with its code, and whether it is one of usage."""

    error: str
    code: str | None
    usage: bool


def train_on_cluster(
    recipe: Recipe,
    stores: Sequence[Path],
    folder: Path,
    cluster: Cluster,
    *,
    workers: int,
    fold: Fold | None = None,
    all_patients: bool = False,
    init: Path | None = None,
) -> Outcome:
    """Train one run on all workers of a Ray cluster, or resume it, within a `session`.

    Args:
        recipe: Arguments of the run; its batch size is that of all workers together.
        stores: Folders of the prepared stores; every machine sees them, `folder` and `init` under
            the same path.
        folder: Run folder, as written by `ichlite train`.
        cluster: Cluster that `session` is connected to. If it has a GPU for each worker, each gets
            one.
        workers: Number of training processes, each on one GPU or core.
        fold: Fold of patients that is held out for testing; None for the stores' own splits.
        all_patients: Whether every real patient is used for training.
        init: Checkpoint to start from; None for random weights.

    Returns:
        How the training ended.

    Raises:
        UsageError: The cluster has too few cores or GPUs, or the batch cannot be divided among
            workers.
        IchliteError: Training failed for a reason that trying again does not remove.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    on_gpu = cluster.gpus >= workers > 0
    if not 1 <= workers <= max(cluster.cpus, cluster.gpus):
        raise UsageError(
            f"{workers} workers do not fit the cluster",
            expected=f"1 to {max(cluster.cpus, cluster.gpus)} workers",
            remedy="give another --workers",
        )
    if recipe.batch_size % workers:
        raise UsageError(
            f"a batch of {recipe.batch_size} images cannot be shared by {workers} workers",
            expected=f"a multiple of {workers}",
            remedy="give another --batch-size or --workers",
        )
    shared = folder.resolve() / FOLDER
    shared.mkdir(parents=True, exist_ok=True)
    for name in (DONE_FILE, STOP_FILE):
        (shared / name).unlink(missing_ok=True)
    order = TrainOrder(
        recipe,
        tuple(store.resolve() for store in stores),
        folder.resolve(),
        fold,
        all_patients,
        None if init is None else init.resolve(),
        GPU_PLATFORM if on_gpu else "cpu",
    )
    trainer = DataParallelTrainer(
        work,
        train_loop_config={ORDER: order},
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu=on_gpu, resources_per_worker={"CPU": 1}
        ),
        run_config=RunConfig(
            name="group",
            storage_path=str(shared),
            failure_config=FailureConfig(max_failures=MOST_RESTARTS),
        ),
    )
    try:
        trainer.fit()
    except Exception as failure:  # Ray wraps what happened in a worker in errors of its own
        raise IchliteError(
            "training on the cluster failed",
            found=str(failure).strip().splitlines()[-1],
            remedy="the same command goes on from the last checkpoint",
        ) from failure
    return _outcome(shared)


def work(config: Mapping[str, TrainOrder]) -> None:
    """Join the other processes of a group and train; entry point of each Ray Train worker.

    Args:
        config: Configuration of Ray Train: the `TrainOrder` under `ORDER`.

    Raises:
        Exception: Whatever ended the training; Ray Train then starts a new group.
    """
    import ray.train
    from ray.train.collective import barrier

    context = ray.train.get_context()
    rank, count = context.get_world_rank(), context.get_world_size()
    order = config[ORDER]
    folder, shared = order.folder, order.folder / FOLDER
    if (shared / STOP_FILE).exists():
        return
    try:
        _join(rank, count, order.platform)
        with tempfile.TemporaryDirectory() as scratch:
            own = folder if rank == 0 else Path(scratch) / folder.name
            if rank != 0:
                _copy_run(folder, own)
            barrier()  # the first does not write before the others have read
            _fit(order, own, shared if rank == 0 else None)
            barrier()  # nobody leaves while another still computes
    except IchliteError as failure:
        usage = isinstance(failure, UsageError)
        write_json(shared / STOP_FILE, Stopped(error=str(failure), code=failure.code, usage=usage))
        if count > 1:
            raise  # the others may wait for this one: a new group finds the file, and ends


def _join(rank: int, count: int, platform: str) -> None:
    """Make the devices of all processes one computer's, before Keras is imported."""
    from ray.train.collective import broadcast_from_rank_zero
    from ray.util import get_node_ip_address

    os.environ.update({"KERAS_BACKEND": "jax", "JAX_PLATFORMS": platform})
    os.environ.setdefault("JAX_CPU_COLLECTIVES_IMPLEMENTATION", "gloo")
    import jax

    if count == 1:
        return
    with closing(socket.socket()) as probe:
        probe.bind(("", 0))
        own_address = f"{get_node_ip_address()}:{probe.getsockname()[1]}"
    address = broadcast_from_rank_zero(own_address)
    jax.distributed.initialize(address, count, rank)


def _fit(order: TrainOrder, own: Path, shared: Path | None) -> None:
    from ichlite.train.training_loop import fit

    run = fit(
        order.recipe,
        open_stores(order.stores, order.fold, all_patients=order.all_patients),
        own,
        store_name=" ".join(store.name for store in order.stores),
        init=order.init,
    )
    outcome = Outcome(
        steps=run.steps,
        resumed_at=run.resumed_at,
        validation_mean_roc_auc=run.best,
        best_step=run.best_step,
        chosen_by=run.chosen_by,
    )
    if shared is not None:
        write_json(shared / DONE_FILE, outcome)


def _copy_run(folder: Path, own: Path) -> None:
    """Copy what `fit` goes on from: all must begin where the first does, and write elsewhere."""
    own.mkdir()
    for name in RUN_FILES:
        if (folder / name).exists():
            shutil.copy2(folder / name, own / name)


def _outcome(shared: Path) -> Outcome:
    if (shared / STOP_FILE).exists():
        stop = read_document(Stopped, (shared / STOP_FILE).read_bytes())
        kind = UsageError if stop.usage else IchliteError
        raise kind(stop.error, code=stop.code)
    return read_document(Outcome, (shared / DONE_FILE).read_bytes())
