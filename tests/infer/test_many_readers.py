"""Readers in several threads of one process: each reads as it would alone, and nothing is left."""

from __future__ import annotations

import os
import sys
import threading

from ichlite.infer.pipeline import read_with
from ichlite.infer.reader import Reader
from ichlite.infer.results import Analysed
from ichlite.samples import PHANTOM_BLEED

READINGS = 3


def scores(reader: Reader) -> list[float]:
    (scan,) = read_with(reader, list(PHANTOM_BLEED.files[::6]), force=True).studies
    assert isinstance(scan, Analysed)
    return [*scan.scan.values(), *scan.logits.ravel().tolist()]


def test_two_readers_in_two_threads_read_as_one_does() -> None:
    interval_s = sys.getswitchinterval()
    streams = [os.fstat(descriptor) for descriptor in (1, 2)]
    with Reader() as alone:
        expected = scores(alone)
    found: dict[int, list[list[float]]] = {0: [], 1: []}
    both = threading.Barrier(2, timeout=60)

    def read(number: int) -> None:
        both.wait()
        for _ in range(READINGS):
            with Reader(threads=2) as reader:  # loading the model holds native output, too
                found[number].append(scores(reader))

    threads = [threading.Thread(target=read, args=(number,)) for number in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert all(one == expected for each in found.values() for one in each)
    assert [len(each) for each in found.values()] == [READINGS] * 2
    assert sys.getswitchinterval() == interval_s
    assert [os.fstat(descriptor).st_ino for descriptor in (1, 2)] == [s.st_ino for s in streams]
