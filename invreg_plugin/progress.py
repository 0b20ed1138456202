# SPDX-License-Identifier: MIT
"""Progress bars for the two long parts of a stage; shown by rank 0 alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from arcface_fair import dist


@contextmanager
def stage_bar(title: str) -> Iterator[Callable[[int, int, float], None]]:
    """Gives a function (steps done, steps in all, objective) that moves a bar."""
    bar = tqdm(desc=title, unit="step", disable=dist.rank() != 0, leave=False, dynamic_ncols=True)

    def show(done: int, total: int, objective: float) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done % 20 == 0:
            bar.set_postfix_str(f"objective {objective:.4f}")

    try:
        yield show
    finally:
        bar.close()
