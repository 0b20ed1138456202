# SPDX-License-Identifier: MIT
"""All pairs of many embeddings: seconds, peak memory, and the figures found.

    python benchmarks/all_pairs.py [--images 100000] [--device cuda] [--out FILE.json]

Embeddings are drawn: people are random directions, images scatter about them, and one of four
groups scatters more. Threads are those of NumPy's BLAS (OMP_NUM_THREADS).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from arcface_fair.evaluation.all_pairs import FPRS, all_pairs

IMAGES_EACH = 10
GROUPS = ("amber", "birch", "coral", "dune")


def draw(images: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(images // IMAGES_EACH), IMAGES_EACH)
    centres = rng.standard_normal((people[-1] + 1, size), np.float32)
    spread = np.where(people % len(GROUPS) == 1, 2.4, 2.0).astype(np.float32)[:, None]
    rows = centres[people]
    rows += spread * rng.standard_normal(rows.shape, np.float32)
    return rows, people, [GROUPS[who % len(GROUPS)] for who in people.tolist()]


def measure(images: int, size: int, device: str | None, resamples: int) -> dict[str, Any]:
    rows, people, groups = draw(images, size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, busy = time.perf_counter(), time.process_time()
    found = all_pairs(rows, people, groups, FPRS, device=device, resamples=resamples)
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "images": len(rows),
        "embedding_size": size,
        "pairs": len(rows) * (len(rows) - 1) // 2,
        "device": device or "numpy",
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "cores": os.cpu_count(),
        "load_at_end": os.getloadavg()[0],
        "machine": platform.processor() or platform.machine(),
        "seconds": round(seconds, 1),
        "processor_seconds": round(busy, 1),
        "embeddings_mib": round(rows.nbytes / 2**20),
        "peak_before_mib": before // 1024,
        "peak_mib": peak // 1024,
        "resamples": resamples,
        "figures": {
            scope.name: {
                f"{rate.fpr:g}": {
                    "tpr": rate.tpr.value,
                    "interval": [rate.tpr.low, rate.tpr.high],
                    "threshold": rate.threshold,
                    "accepted": rate.accepted,
                    "note": rate.note,
                }
                for rate in scope.rates
            }
            for scope in found.scopes
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--device", help="a torch device; without it, NumPy")
    parser.add_argument("--resamples", type=int, default=100)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    found = measure(args.images, args.size, args.device, args.resamples)
    text = json.dumps(found, indent=1)
    print(text)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
