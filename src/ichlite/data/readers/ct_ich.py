"""Read PhysioNet CT-ICH, whichever release: JPEG pictures (v1.0-1.2), NIfTI volumes (v1.3.1)."""

from __future__ import annotations

from pathlib import Path

from ichlite.data.readers import ct_ich_jpeg, ct_ich_nifti
from ichlite.data.readers.index import Index, Progress
from ichlite.data.workers import Engine, in_this_process


def read(root: Path, progress: Progress, engine: Engine = in_this_process) -> Index:
    """Read a folder of CT-ICH: the volumes where there are any, else the pictures.

    Args:
        root: The release, or a folder that holds it alone.
        progress: Called with (patients done, patients in all).
        engine: Reads headers and masks.

    Returns:
        The labelled slices; findings say what is not in it and why.

    Raises:
        InputError: The folder is neither release, or no image of it has a label.
    """
    folders = [root, *(path for path in sorted(root.glob("*")) if path.is_dir())]
    volumes = any((folder / ct_ich_nifti.SCANS).is_dir() for folder in folders)
    pictures = any((folder / ct_ich_jpeg.PATIENTS).is_dir() for folder in folders)
    read_release = ct_ich_jpeg.read if pictures and not volumes else ct_ich_nifti.read
    return read_release(root, progress, engine)
