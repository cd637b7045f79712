"""Make the embedded sample studies from their sources; `make samples` runs this.

    python scripts/make_samples.py --ge FOLDER_WITH_THE_GE_HEAD --licence ITS_LICENSE
    python scripts/make_samples.py --phantom

Both end as JPEG 2000 Lossless. Of the GE head every header element is kept, PixelPaddingValue
included, and each file's pixels are compared with the original's. Licences lie beside the folders,
so that a sample's folder holds DICOM files alone.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

SAMPLES = Path(__file__).resolve().parents[1] / "src" / "ichlite" / "assets" / "samples"

PHANTOM_SEED = 5
PHANTOM_SUBJECT = 0
"""A parenchymal bleed that broke into the ventricles; not among the training phantoms."""


def make_ge(source: Path, licence: Path) -> None:
    """Compress every `*.dcm` of `source`, and check each against its original."""
    import numpy as np
    from pydicom import dcmread
    from pydicom.uid import JPEG2000Lossless

    target = SAMPLES / "ge-head"
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.dcm")):
        original = dcmread(path)
        compressed = dcmread(path)
        compressed.compress(JPEG2000Lossless, generate_instance_uid=False)
        compressed.save_as(target / path.name, enforce_file_format=True)
        again = dcmread(target / path.name)
        if not np.array_equal(original.pixel_array, again.pixel_array):
            sys.exit(f"{path}: the pixels changed")
        lost = {element.tag for element in original} - {element.tag for element in again}
        if lost:
            sys.exit(f"{path}: header elements were lost: {sorted(map(str, lost))}")
    shutil.copyfile(licence, SAMPLES / "ge-head.LICENSE")


def make_phantom() -> None:
    """Generate one phantom with blood as a DICOM study."""
    from ichlite.phantom.generate import Order, patient_name
    from ichlite.phantom.studies import write_studies

    target = SAMPLES / "phantom-bleed"
    order = Order(PHANTOM_SUBJECT + 1, PHANTOM_SEED, balance="paper", grid=512)
    with tempfile.TemporaryDirectory() as folder:
        studies = Path(folder) / "studies"
        write_studies(studies, order, compress=True)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(studies / patient_name(PHANTOM_SEED, PHANTOM_SUBJECT), target)


def main() -> None:
    """Make the samples that were asked for and say their sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ge", type=Path, metavar="FOLDER")
    parser.add_argument("--licence", type=Path, metavar="FILE")
    parser.add_argument("--phantom", action="store_true")
    chosen = parser.parse_args()
    if chosen.ge is not None:
        make_ge(chosen.ge, chosen.licence or chosen.ge / "LICENSE")
    if chosen.phantom:
        make_phantom()
    for folder in sorted(path for path in SAMPLES.iterdir() if path.is_dir()):
        files = list(folder.glob("*.dcm"))
        total = sum(file.stat().st_size for file in files)
        print(f"{folder.name}: {len(files)} files, {total} bytes")


if __name__ == "__main__":
    main()
