# SPDX-License-Identifier: MIT
"""Maps a function over a long stream in threads: results in order, memory flat.

Threads and not processes: OpenCV and file reading let the interpreter go while they work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], workers: int, batch: int = 16
) -> Iterator[R]:
    """``map(function, items)`` in ``workers`` threads (at least 1), the same results in order.

    At most 4 * workers batches of ``batch`` items are under way, so a stream of any length needs
    the same memory. What ``function`` raises, is raised here at its place in the order.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    stream = iter(items)
    waiting: deque[Future[list[R]]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        while True:
            while len(waiting) < 4 * workers and (part := list(islice(stream, batch))):
                waiting.append(pool.submit(lambda part: [function(item) for item in part], part))
            if not waiting:
                return
            yield from waiting.popleft().result()
    finally:
        # An interrupt must not wait for everything that is still queued.
        pool.shutdown(wait=True, cancel_futures=True)
