# SPDX-License-Identifier: MIT
"""What every test may ask for: one thread, and several ranks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

from tests import ranks  # noqa: E402

torch.set_num_threads(1)
# The same examples on every machine, however slow it is; nothing is written beside the tests.
settings.register_profile("ours", deadline=None, derandomize=True, database=None)
settings.load_profile("ours")


@pytest.fixture(scope="session", autouse=True)
def _end_the_pools() -> Iterator[None]:
    yield
    ranks.stop_all()


@pytest.fixture(scope="session")
def run_ranks() -> Callable[..., list[Any]]:
    """``run_ranks(world_size, fn, *args)``: see tests/ranks.py."""
    return ranks.run_ranks
