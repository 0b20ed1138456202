# SPDX-License-Identifier: MIT
"""Measures what L_adv does to the maps: can a fresh classifier still tell groups from them?

    python benchmarks/gabn_probe.py                       # all variants, seed 0
    python benchmarks/gabn_probe.py --variants arcface term_0.1 --seeds 0 1

Drawn faces with a planted confounder, network small_aa, settings of configs/demo_arcface. The
probe is a small ResNet trained on the eval-mode maps of half of the unseen people and tested on
the other half's (chance 0.25 for four groups). Accuracy is the demo's, on unseen people too.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from arcface_fair.attention.gradient_maps import relative_maps  # noqa: E402
from arcface_fair.config import load_config  # noqa: E402
from arcface_fair.export import load_backbone  # noqa: E402
from arcface_fair.figures.maps import attention_maps, group_map  # noqa: E402
from arcface_fair.files import atomic_files  # noqa: E402
from arcface_fair.hosts.embedded import train  # noqa: E402
from arcface_fair.judge.inputs import read_sets  # noqa: E402
from arcface_fair.judge.protocols import judge_sets  # noqa: E402
from arcface_fair.run.centres import load_head  # noqa: E402
from arcface_fair.run.embed import embed_bin  # noqa: E402
from arcface_fair.run.folder import read_config  # noqa: E402
from drawn_faces import World, write_world  # noqa: E402
from drawn_faces.draw import draw_people  # noqa: E402
from gabn_plugin.classifier import MapNet  # noqa: E402

SMALL = {"classifier_width": 16, "map_side": 56, "classifier_lr": 0.02}
ALONE = {"erasing": "off", "confidence": False, "adversarial": False}
VARIANTS: dict[str, dict[str, Any] | None] = {
    "arcface": None,
    "term_0.1": {**ALONE, "adversarial": True, "weight": 0.1},
    "term_0.03": {**ALONE, "adversarial": True, "weight": 0.03},
    "term_0.3": {**ALONE, "adversarial": True, "weight": 0.3},
    "term_1": {**ALONE, "adversarial": True, "weight": 1.0},
    "sfre": {**ALONE, "erasing": "attention"},
    "random": {**ALONE, "erasing": "random"},
    "confidence": {**ALONE, "confidence": True},
    "gabn": {},
    "shift": {"objective": "shift"},
    "literal": {"objective": "literal"},
}
PROBE_SIDE, PROBE_WIDTH, PROBE_EPOCHS = 56, 16, 15


def unseen(world: World, per_group: int, images: int) -> tuple[np.ndarray, ...]:
    """Images uint8 [N, 112, 112, 3], groups [N], and which half of the people [N]."""
    held = world.held_out("validation", per_group, images)
    groups = held.group_of()
    rows = list(draw_people(held))
    identities = np.array([identity for identity, _, _ in rows])
    rank = np.array([np.sum(groups[:i] == groups[i]) for i in range(len(groups))])
    return np.stack([image for _, _, image in rows]), groups[identities], rank[identities] % 2


def probe(maps: np.ndarray, groups: np.ndarray, half: np.ndarray, seed: int) -> float:
    """Accuracy on one half of the people of a classifier trained on the other, mean of both."""
    inputs = adaptive_avg_pool2d(relative_maps(torch.from_numpy(maps))[:, None], PROBE_SIDE)
    labels = torch.from_numpy(groups)
    count = int(labels.max()) + 1
    scores = []
    for side in (0, 1):
        train_rows = torch.from_numpy(np.flatnonzero(half == side))
        test_rows = torch.from_numpy(np.flatnonzero(half != side))
        scores.append(_fit(inputs, labels, train_rows, test_rows, count, seed))
    return float(np.mean(scores))


def _fit(
    inputs: torch.Tensor,
    labels: torch.Tensor,
    train_rows: torch.Tensor,
    test_rows: torch.Tensor,
    count: int,
    seed: int,
) -> float:
    network = MapNet(count, PROBE_WIDTH, seed)
    generator = torch.Generator().manual_seed(seed)
    steps = PROBE_EPOCHS * (len(train_rows) // 32)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        if step % (len(train_rows) // 32) == 0:
            order = train_rows[torch.randperm(len(train_rows), generator=generator)]
        rows = order[32 * (step % (len(order) // 32)) :][:32]
        loss = cross_entropy(network(inputs[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        return float((network(inputs[test_rows]).argmax(1) == labels[test_rows]).double().mean())


def measure(name: str, seed: int, folder: Path, world: World, data: tuple, epochs: int) -> dict:
    """Trains one variant and measures accuracy, maps and probe."""
    changes: dict[str, Any] = {
        "rec": str(folder / "faces"), "output": str(folder / f"{name}_{seed}"), "seed": seed,
        "network": "small_aa", "num_epoch": epochs,
    }  # fmt: skip
    settings = VARIANTS[name]
    if settings is not None:
        changes |= {"plugins": ["gabn_plugin"], "gabn": {**SMALL, **settings}}
    started = time.perf_counter()
    output = train(load_config("demo_arcface", changes))
    seconds = time.perf_counter() - started
    backbone = load_backbone(output)
    table = judge_sets(
        lambda images, told: embed_bin(backbone, images, on_images=told),
        read_sets(sorted((folder / "faces").glob("*_test.bin"))),
        name,
    )
    total = table.summary()
    head = load_head(output, read_config(output))
    images, groups, half = data
    maps = attention_maps(backbone, head, images)
    areas = [group_map("", images[groups == g], maps[groups == g]).area for g in range(4)]
    return {
        "variant": name, "seed": seed, "train_s": round(seconds, 1),
        "accuracy": [round(table[f"accuracy/{g}"], 4) for g in table.groups],
        "mean": round(total["mean"], 4), "worst": round(total["worst"], 4),
        "std": round(total["std_ddof0"], 4), "mean_tpr": round(total["mean_tpr"], 4),
        "probe": round(probe(maps, groups, half, seed), 4),
        "area": [round(area, 4) for area in areas],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--folder", type=Path, help="where faces and runs go; default: temporary")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/gabn_probe.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        results = []
        for seed in args.seeds:
            folder = (args.folder or Path(temporary)) / f"seed_{seed}"
            world = World(seed=seed)
            write_world(world, folder / "faces", reuse=True)
            data = unseen(world, per_group=40, images=5)
            for name in args.variants:
                results.append(measure(name, seed, folder, world, data, args.epochs))
                print(json.dumps(results[-1]), flush=True)
    facts = {"torch": torch.__version__, "machine": platform.machine(), "epochs": args.epochs}
    with atomic_files(args.json) as (file,):
        file.write(json.dumps({"facts": facts, "runs": results}, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
