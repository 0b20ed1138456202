# SPDX-License-Identifier: MIT
from __future__ import annotations

import threading
import time
from itertools import count

import pytest

from arcface_fair.data.record.parallel import ordered_map


@pytest.mark.parametrize("workers", [1, 3])
def test_results_are_in_order(workers):
    def slow_when_even(n):
        time.sleep(0.001 if n % 2 == 0 else 0)
        return n * n

    got = list(ordered_map(slow_when_even, range(100), workers, batch=3))
    assert got == [n * n for n in range(100)]


def test_an_endless_stream_is_read_no_further_than_needed():
    taken = []
    stream = (taken.append(n) or n for n in count())
    results = ordered_map(lambda n: n, stream, workers=2, batch=4)
    assert [next(results) for _ in range(10)] == list(range(10))
    results.close()
    assert len(taken) <= 10 + 2 * 4 * 2 * 4


def test_work_is_done_in_threads():
    names = set(ordered_map(lambda _: threading.current_thread().name, range(64), 2, batch=2))
    assert threading.main_thread().name not in names


def test_an_error_comes_at_its_place():
    results = ordered_map(lambda n: 1 // (5 - n), range(100), workers=2, batch=1)
    assert [next(results) for _ in range(5)] == [0, 0, 0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
