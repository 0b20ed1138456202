# SPDX-License-Identifier: MIT
"""Small faces and records for the tests of this folder, and the real ones where they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from arcface_fair.data.image.images import encode
from arcface_fair.data.record.writer import write_insightface_record

SHARED_ORL = Path(__file__).parents[3] / "../shared/data/orl"


@pytest.fixture
def orl() -> Path:
    """The folder of real photographs in a record that MXNet 1.9.1 wrote."""
    if not (SHARED_ORL / "train.rec").exists():
        pytest.skip(f"{SHARED_ORL} is absent: the real record lies beside the repository only")
    return SHARED_ORL


def face(number: int) -> np.ndarray:
    """uint8 [112, 112, 3]: a smooth colour field that no other number has."""
    small = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    return cv2.resize(small, (112, 112), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def write_record(tmp_path: Path) -> Callable[..., Path]:
    """``write_record(labels, bad=())`` writes a record of one face per label; its folder.

    Images at the positions in ``bad`` are bytes that no decoder takes.
    """

    def write(labels: list[int], bad: tuple[int, ...] = ()) -> Path:
        images = (
            (b"no image" if n in bad else encode(face(n), quality=None), label)
            for n, label in enumerate(labels)
        )
        write_insightface_record(tmp_path / "record", images, max(labels) + 1)
        return tmp_path / "record"

    return write
