# SPDX-License-Identifier: MIT
"""Do later stages find something new? Likeness of stages beside that of restarts within a stage.

    python benchmarks/partition_stages.py                      # three worlds, two objectives

Trains the demo's INV-REG run on drawn faces, keeping every epoch's network, and learns each stage's
partition again from other starts on the same features. Two stages that are as alike as two
restarts of one stage have found the same thing; what it is, the ground truth of the drawn faces
says (attributes.tsv; ``context`` is the planted confounder).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from arcface_fair.config import load_config  # noqa: E402
from arcface_fair.export import load_backbone  # noqa: E402
from arcface_fair.figures import PartitionedRun, open_run  # noqa: E402
from arcface_fair.figures.composition import follows  # noqa: E402
from arcface_fair.hosts.embedded import train  # noqa: E402
from arcface_fair.plugin.partition import agreement  # noqa: E402
from arcface_fair.run.checkpoint import kept_model_path  # noqa: E402
from arcface_fair.run.embed import embed_bin  # noqa: E402
from drawn_faces import World, write_world  # noqa: E402
from invreg_plugin.config import InvRegSettings  # noqa: E402
from invreg_plugin.learning import learn_partition  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("work_dirs/partition_stages"))
    parser.add_argument("--objectives", nargs="+", default=["paper", "rex"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/stages.json")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    for objective in args.objectives:
        runs = [measure(args.folder, objective, seed, args.restarts) for seed in args.seeds]
        found[objective] = {"runs": runs, "mean": averages(runs)}
        print(in_words(objective, found[objective]), flush=True)
        args.json.write_text(json.dumps(found, indent=1) + "\n")


def measure(folder: Path, objective: str, seed: int, restarts: int) -> dict[str, Any]:
    """One world, one run, every stage learned again ``restarts`` times."""
    started = time.perf_counter()
    rec = write_world(World(seed=seed), folder / f"faces_{seed}", force=True, reuse=True).parent
    output = folder / f"{objective}_{seed}"
    config = load_config(
        "demo_invreg", {"rec": str(rec), "output": str(output), "seed": seed, "keep_epochs": 1}
    )
    config.invreg = {**config.invreg, "objective": objective}
    train(config)
    run = open_run(output)
    stages = config.invreg["stages"]
    again = [relearn(run, epoch, objective, restarts) for epoch in stages]
    return {
        "seed": seed,
        "sizes": [stage.sizes for stage in run.stages],
        "between_stages": {
            f"{a.number}-{b.number}": agreement(a.subset.codes, b.subset.codes).nmi
            for a, b in combinations(run.stages, 2)
        },
        "restarts_within_stage": [
            pairwise([stage.subset.codes, *others])
            for stage, others in zip(run.stages, again, strict=True)
        ],
        "attributes": [follows(stage, run.attributes) for stage in run.stages],
        "seconds": round(time.perf_counter() - started, 1),
    }


def relearn(run: PartitionedRun, epoch: int, objective: str, restarts: int) -> list[np.ndarray]:
    """Partitions of the features that the stage before ``epoch`` saw, from other starts."""
    backbone = load_backbone(kept_model_path(run.folder, epoch - 1))
    images = np.stack([run.dataset.read(place) for place in range(run.dataset.num_images)])
    features = embed_bin(backbone, images, flip=False)
    return [
        learn_partition(
            features,
            run.dataset.identities,
            run.num_classes,
            InvRegSettings(objective=objective),
            seed=100 + restart,
        ).subset
        for restart in range(restarts)
    ]


def pairwise(partitions: list[np.ndarray]) -> float:
    """Mean NMI over all pairs."""
    return float(np.mean([agreement(a, b).nmi for a, b in combinations(partitions, 2)]))


def averages(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds."""
    pairs = runs[0]["between_stages"]
    stages = range(len(runs[0]["sizes"]))
    names = runs[0]["attributes"][0]
    return {
        "between_stages": {p: mean(run["between_stages"][p] for run in runs) for p in pairs},
        "restarts_within_stage": [
            mean(run["restarts_within_stage"][stage] for run in runs) for stage in stages
        ],
        "attributes": {
            name: [mean(run["attributes"][stage][name]["nmi"] for run in runs) for stage in stages]
            for name in names
        },
    }


def mean(values: Any) -> float:
    """Of an iterable of numbers, to four digits."""
    return round(float(np.mean(list(values))), 4)


def in_words(objective: str, found: dict[str, Any]) -> str:
    """A few lines for people."""
    means = found["mean"]
    pairs = ", ".join(f"{pair} {nmi:.2f}" for pair, nmi in means["between_stages"].items())
    within = ", ".join(f"{nmi:.2f}" for nmi in means["restarts_within_stage"])
    best = sorted(means["attributes"].items(), key=lambda item: -max(item[1]))[:4]
    lines = [
        f"objective {objective}, {len(found['runs'])} worlds, NMI:",
        f"  between stages        {pairs}",
        f"  restarts within stage {within}",
    ]
    for name, values in best:
        lines.append(f"  stages with {name:<12} {', '.join(f'{v:.2f}' for v in values)}")
    for run in found["runs"]:
        tops = [next(iter(stage)) for stage in run["attributes"]]
        lines.append(f"  world {run['seed']}: stages follow most {', '.join(tops)}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
