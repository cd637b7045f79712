"""Read one study and name its most suspicious slices.

python examples/read_study.py STUDY_FOLDER     (without a folder: the sample head CT)
"""

from __future__ import annotations

import sys

import ichlite
from ichlite.infer.results import verdict
from ichlite.samples import GE_HEAD


def main() -> None:
    scan = ichlite.read_scan(sys.argv[1] if len(sys.argv) > 1 else GE_HEAD.folder)
    print(f"any haemorrhage {scan.scan['any']:.2f}: {verdict(scan)}")
    for reason in scan.not_cleared:
        print(f"  {reason}")
    highest = sorted(scan.slices, key=lambda one: -one.probabilities["any"])[:3]
    for one in highest:
        print(f"{one.position_mm:8.1f} mm  {one.probabilities['any']:.2f}  {one.file}")


if __name__ == "__main__":
    main()
