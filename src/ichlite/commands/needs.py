"""Check that the packages of the training side are there, and say what to install if not."""

from __future__ import annotations

import logging
import os

from ichlite.commands.console import require
from ichlite.train import check_backend

TRAIN_PACKAGES = ("keras", "tensorflow", "scipy", "matplotlib", "tensorboard", "jinja2")


def need_train() -> None:
    """Load Keras quietly, or say what is missing.

    Raises:
        MissingExtra: One of the packages of `ichlite[train]` is not installed.
        UsageError: `KERAS_BACKEND` names one that does not train.
    """
    require("train", *TRAIN_PACKAGES)
    check_backend()
    # Read when TensorFlow is imported: errors only. What it still says, at import, is muted.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    from ichlite.interrupt import Interrupt
    from ichlite.native_output import STDERR, STDOUT, native_output_held

    # Some modules of theirs swallow an interrupt that comes while they are imported.
    with Interrupt() as interrupt, native_output_held(STDOUT, STDERR):
        import keras  # noqa: F401
    if interrupt.asked:
        raise KeyboardInterrupt
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
