"""Spreading over threads: the results of one thread, its first fault, and nothing held for long."""

from __future__ import annotations

import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ichlite.infer.thread_map import AT_ONCE, TURN_S, Spread


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(0, 150), st.sets(st.integers(0, 149), max_size=3))
def test_any_number_of_threads_gives_what_one_gives(
    threads: int, count: int, broken: set[int]
) -> None:
    def work(item: int) -> int:
        if item in broken:
            raise ValueError(str(item))
        return item * item

    given_out = []
    fault = None
    with Spread(threads) as spread:
        try:
            given_out += spread.map(work, iter(range(count)))
        except ValueError as error:
            fault = str(error)
    first = min((item for item in broken if item < count), default=None)
    assert fault == (None if first is None else str(first))
    if first is None:
        assert given_out == [item * item for item in range(count)]


def test_both_threads_work() -> None:
    names = set()
    both = threading.Barrier(2, timeout=20)

    def work(item: int) -> None:
        if item < 2:
            both.wait()  # the first item of each: fails unless two threads are at work
        names.add(threading.current_thread().name)

    with Spread(2) as spread:
        list(spread.map(work, range(6)))
    assert len(names) == 2


def test_results_are_not_all_held() -> None:
    done = []
    with Spread(2) as spread:
        results = spread.map(done.append, range(1000))
        next(results)
        assert len(done) <= 2 * AT_ONCE


@pytest.mark.parametrize("threads", [1, 2])
def test_turns_are_short_only_where_threads_share_and_only_within(threads: int) -> None:
    before = sys.getswitchinterval()
    with Spread(threads) as spread, spread.turns():
        assert sys.getswitchinterval() == pytest.approx(TURN_S if threads == 2 else before)
    assert sys.getswitchinterval() == before


def test_readers_that_overlap_leave_the_interval_as_it_was() -> None:
    """One that began first ends first; its interval must not be kept by the other for good."""
    before = sys.getswitchinterval()
    began, ended = threading.Event(), threading.Event()

    def second() -> None:
        with Spread(2) as spread, spread.turns():
            began.set()
            ended.wait(20)

    other = threading.Thread(target=second)
    with Spread(2) as spread, spread.turns():
        assert sys.getswitchinterval() == pytest.approx(TURN_S)
        other.start()
        began.wait(20)
    assert sys.getswitchinterval() == pytest.approx(TURN_S), "the other still reads"
    ended.set()
    other.join(20)
    assert sys.getswitchinterval() == pytest.approx(before)
