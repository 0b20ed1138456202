# SPDX-License-Identifier: MIT
"""A small record that a small network can learn: coloured patches, one pattern per identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from arcface_fair.data.record.writer import write_insightface_record
from arcface_fair.data.sets.bins import write_bin


def picture(identity: int, shot: int) -> bytes:
    """A JPEG [112, 112]: the identity's 4x4 pattern of colours, with noise by shot."""
    pattern = np.random.default_rng((7, identity)).integers(0, 255, (4, 4, 3))
    noise = np.random.default_rng((8, identity, shot)).normal(0, 20, (112, 112, 3))
    image = cv2.resize(pattern.astype(np.float32), (112, 112), interpolation=cv2.INTER_LINEAR)
    pixels = np.clip(image + noise, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def write_small_record(folder: Path, identities: int = 8, shots: int = 6) -> Path:
    """train.rec, train.idx, property and unseen.bin (20 pairs) in ``folder``."""
    images = ((picture(i, s), i) for i in range(identities) for s in range(shots))
    write_insightface_record(folder, images, identities, 112)
    pairs, same = [], []
    for pair in range(20):
        genuine = pair % 2 == 0
        pairs += [picture(100 + pair, 0), picture(100 + pair + (0 if genuine else 1), 1)]
        same.append(genuine)
    write_bin(folder / "unseen.bin", pairs, same)
    return folder


def small_run(record: Path, output: Path, **changes: Any) -> dict[str, Any]:
    """A config that trains ``record`` for two epochs of six steps, in seconds."""
    return {
        "rec": str(record),
        "output": str(output),
        "network": "small",
        "embedding_size": 16,
        "margin_list": (1.0, 0.3, 0.0),
        "margin_scale": 16.0,
        "batch_size": 8,
        "lr": 0.05,
        "num_epoch": 2,
        "seed": 3,
        "num_workers": 0,
        "frequent": 1,
        **changes,
    }


def raw_pixels(images, cell=4):
    """Embeddings [N, H/cell * W/cell * 3] of images [N, H, W, 3]: cells' means, mirrored added."""
    count, height, width, channels = images.shape
    cells = images.reshape(count, height // cell, cell, width // cell, cell, channels)
    means = (cells.mean((2, 4), dtype=np.float32) - 127.5) / 127.5
    return (means + means[:, :, ::-1]).reshape(count, -1)
