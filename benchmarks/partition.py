# SPDX-License-Identifier: MIT
"""Measures partition learning: time, peak memory and what was found, against the published way.

    python benchmarks/partition.py                # 20,001 x 512 features of 500 identities
    python benchmarks/partition.py --large        # then 1,000,000 x 512 of 20,000 identities

Each side runs in a process of its own and starts from a file on disk. Peak memory is the
process's largest resident set minus what it held once its imports were done and a small matrix
product had been made.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from published_partition import published_partition  # noqa: E402

from arcface_fair.plugin.partition import agreement  # noqa: E402
from invreg_plugin.config import InvRegSettings  # noqa: E402
from invreg_plugin.features import FeatureStore  # noqa: E402
from invreg_plugin.learning import learn_partition  # noqa: E402

DIM, BLOCK = 512, 20000
SIDES = ("ours", "published", "published_without_head")


def resident_mib(field: str) -> float:
    """VmRSS or VmHWM of this process (Linux)."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(field + ":")[1].split()[0]) / 1024


def make_data(folder: Path, num_images: int, num_classes: int, published: bool) -> None:
    """Identities around one centre each, centres moved by a two-valued attribute; on disk."""
    generator = np.random.default_rng(0)
    attribute = generator.integers(0, 2, num_classes)
    centres = generator.standard_normal((num_classes, DIM), dtype=np.float32)
    direction = generator.standard_normal(DIM, dtype=np.float32)
    centres += np.where(attribute[:, None] == 1, direction, -direction)
    extra = generator.integers(0, num_classes, num_images - 2 * num_classes)
    identities = np.sort(np.concatenate([np.arange(num_classes).repeat(2), extra]))
    np.savez(folder / "labels.npz", identities=identities, attribute=attribute)
    rows = np.empty((num_images if published else 0, DIM))
    with FeatureStore.create(folder / "features", num_images, DIM, "benchmark") as store:
        for start in range(0, num_images, BLOCK):
            some = identities[start : start + BLOCK]
            noise = generator.standard_normal((len(some), DIM), dtype=np.float32)
            block = centres[some] + 0.7 * noise
            store.write(start, block)
            if published:
                rows[start : start + BLOCK] = block
    if published:
        np.save(folder / "features64.npy", rows)


def child(side: str, folder: Path, seed: int, identities_per_batch: int) -> None:
    """Runs one side and leaves its figures in ``folder``."""
    torch.set_num_threads(1)
    warm = torch.randn(256, 256, requires_grad=True)
    (warm @ warm).exp().sum().backward()
    labels = np.load(folder / "labels.npz")
    identities, attribute = labels["identities"], labels["attribute"]
    before, start, processor = resident_mib("VmRSS"), time.perf_counter(), time.process_time()
    steps = 0
    if side != "ours":
        features = np.load(folder / "features64.npy")
        head = side == "published"
        subset = published_partition(features, identities, len(attribute), 2, seed, head)
    else:
        with FeatureStore.open(folder / "features", "benchmark") as store:
            settings = InvRegSettings(identities_per_batch=identities_per_batch)
            partition = learn_partition(store, identities, len(attribute), settings, seed=seed)
        subset, steps = partition.subset, int(partition.report["steps"])
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    found = agreement(subset, attribute)
    figures = {
        "side": side,
        "seed": seed,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(processor, 2),
        "peak_mib": round(resident_mib("VmHWM") - before, 1),
        "peak_mib_with_imports": round(resident_mib("VmHWM"), 1),
        "best_match_accuracy": found.best_match_accuracy,
        "nmi": found.nmi,
        "steps": steps,
        "identities_per_batch": identities_per_batch,
    }
    (folder / "figures.json").write_text(json.dumps(figures))


def measured(side: str, folder: Path, seed: int, identities_per_batch: int = 128) -> dict:
    """The figures of one side, measured in a fresh process."""
    order = [sys.executable, __file__, "--child", side, "--folder", str(folder)]
    order += ["--seed", str(seed), "--identities-per-batch", str(identities_per_batch)]
    subprocess.run(order, check=True, cwd=ROOT)
    return json.loads((folder / "figures.json").read_text())


def compare(num_images: int = 20001, num_classes: int = 500, seed: int = 0) -> dict:
    """All sides on the same data, one after the other; ratios to the lighter published form."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder, num_images, num_classes, published=True)
        ours, published, light = (measured(side, folder, seed) for side in SIDES)
    return {
        "images": num_images,
        "identities": num_classes,
        "ours": ours,
        "published": published,
        "published_without_head": light,
        "times_faster": round(light["seconds"] / ours["seconds"], 1),
        "times_less_cpu": round(light["cpu_seconds"] / ours["cpu_seconds"], 1),
        "share_of_memory": round(ours["peak_mib"] / light["peak_mib"], 3),
    }


def large(num_images: int = 1000000, num_classes: int = 20000) -> dict:
    """Ours alone, with two sizes of the batch, which is what the memory follows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder, num_images, num_classes, published=False)
        runs = [measured("ours", folder, 0, size) for size in (128, 64)]
    return {"images": num_images, "identities": num_classes, "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", default=ROOT / "benchmarks/results/partition.json", type=Path)
    parser.add_argument("--large", action="store_true", help="also 1,000,000 x 512")
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--identities-per-batch", type=int, default=128)
    choice = parser.parse_args()
    if choice.child:
        child(choice.child, choice.folder, choice.seed, choice.identities_per_batch)
        return
    result = {"machine": f"{platform.machine()}, 1 thread, torch {torch.__version__}"}
    result["comparison"] = compare(seed=choice.seed)
    if choice.large:
        result["large"] = large()
    choice.out.parent.mkdir(parents=True, exist_ok=True)
    choice.out.write_text(json.dumps(result, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
