# SPDX-License-Identifier: MIT
"""Measures what a step costs with GABN, against the plain step, paired in one run.

    python benchmarks/gabn.py                               # r34, batch 16, as the issue asks
    python benchmarks/gabn.py --network small_aa --batch 64 --rounds 7

Every round times the plain step right before each variant; the ratio is of these two, and the
median over rounds is reported. Times are processor time of one thread, so that other work on the
machine counts little. A step is augmentation, forward, loss, backward, clipping, SGD; `parts` times
what the extra work is made of.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import gabn_plugin  # noqa: E402
from arcface_fair.attention.gradient_maps import attend, plain_margin  # noqa: E402
from arcface_fair.backbones import get_model  # noqa: E402
from arcface_fair.data.groups import GroupTable  # noqa: E402
from arcface_fair.files import atomic_files  # noqa: E402
from arcface_fair.head import ArcFace, PartialFC  # noqa: E402
from arcface_fair.plugin.context import Run  # noqa: E402
from arcface_fair.plugin.session import Session  # noqa: E402

CLASSES, GROUPS = 1000, 4
# name -> (settings, steps that one timing covers, the limit with r34)
VARIANTS: dict[str, tuple[dict[str, Any], int, float | None]] = {
    "detached": ({"objective": "term", "weight": 0.0}, 1, 2.0),
    "double backward": ({"start": 0.0}, 1, 4.1),
    "double backward, every 4": ({"start": 0.0, "every": 4}, 4, 2.5),
    "difference": ({"start": 0.0, "second_order": "difference"}, 1, None),
    "double backward, share 0.25": ({"start": 0.0, "share": 0.25}, 1, None),
    "detached, classifier at 56": ({"weight": 0.0, "map_side": 56}, 1, None),
}


class Bench:
    """One network with its own head, optimiser and session, and its step."""

    def __init__(self, network: str, batch: int, settings: dict[str, Any] | None) -> None:
        torch.manual_seed(0)
        self.backbone = get_model(network, num_features=512).train()
        self.head = PartialFC(ArcFace(64.0, 0.35), 512, CLASSES)
        words = [f"group_{'abcd'[c % GROUPS]}" for c in range(CLASSES)]
        run = Run(
            config={} if settings is None else {"gabn": settings},
            dataset=None,  # type: ignore[arg-type]
            group_table=GroupTable.of_words({"group": words}), group_attribute=None,
            num_classes=CLASSES, num_epochs=1, total_steps=1000, batch_size=batch, seed=0,
            work_dir=Path("unused"), device=torch.device("cpu"),
        )  # fmt: skip
        modules = [] if settings is None else [gabn_plugin]
        self.session = Session(run, modules, backbone=self.backbone, head=self.head)
        parameters = [*self.backbone.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, weight_decay=5e-4)
        self.images = torch.rand(batch, 3, 112, 112) * 2 - 1
        self.labels = torch.randint(CLASSES, (batch,))
        self.session.before_epoch(0)

    def step(self) -> None:
        """One training step."""
        images = self.session.before_forward(self.images, self.labels)
        loss = self.head(self.backbone(images), self.labels)
        self.session.after_loss(loss)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.backbone.parameters(), 5.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.session.after_step()


def seconds(function: Callable[[], Any], times: int = 1) -> float:
    """Processor time of one call: with one thread it is wall time on a machine of one's own."""
    started = time.process_time()
    for _ in range(times):
        function()
    return (time.process_time() - started) / times


def paired(plain: Bench, other: Bench, steps: int, rounds: int) -> dict[str, Any]:
    """Median ratio of ``steps`` steps of ``other`` to plain ones, timed in turn."""
    other.step()
    if steps > 1:
        for _ in range(steps - 1):  # a timing begins where a period of `every` does
            other.step()
    ratios, alone = [], []
    for _ in range(rounds):
        before = seconds(plain.step)
        mine = seconds(other.step, steps)
        after = seconds(plain.step)
        alone.append(min(before, after))
        ratios.append(mine / statistics.mean([before, after]))
    return {
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "plain_s": round(min(alone), 4),
    }


def parts(bench: Bench, plain: Bench) -> dict[str, float]:
    """Single pieces of the extra work as multiples of the plain step."""
    network, head = bench.backbone, bench.head
    margin = plain_margin(head.margin_softmax)
    unit = min(seconds(plain.step) for _ in range(2))

    def look(create_graph: bool) -> Any:
        return attend(
            network, head, bench.images, bench.labels, margin=margin, create_graph=create_graph
        )

    def forward() -> None:
        with torch.no_grad():
            network(bench.images)

    seen = look(False)
    groups = bench.labels % GROUPS
    classifier = bench.session.plugins[0].hooks[0].classifier  # type: ignore[attr-defined]
    pieces: dict[str, Callable[[], Any]] = {
        "forward alone": forward,
        "map (forward and input gradient)": lambda: look(False),
        "map with a graph": lambda: look(True),
        "classifier's step": lambda: classifier.learn(seen.maps, groups, groups),
    }
    return {
        name: round(min(seconds(piece) for _ in range(2)) / unit, 3)
        for name, piece in pieces.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="r34")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--classifier-width", type=int, default=64)
    parser.add_argument("--map-side", type=int, default=112)
    parser.add_argument("--no-parts", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    sizes = {"classifier_width": args.classifier_width, "map_side": args.map_side}
    plain = Bench(args.network, args.batch, None)
    plain.step()
    results: dict[str, Any] = {}
    for name in args.variants:
        settings, steps, limit = VARIANTS[name]
        bench = Bench(args.network, args.batch, {**sizes, **settings})
        results[name] = {**paired(plain, bench, steps, args.rounds), "limit": limit}
        print(name, results[name], flush=True)
    pieces = {} if args.no_parts else parts(Bench(args.network, args.batch, {**sizes}), plain)
    print(pieces)
    path = args.json or ROOT / f"benchmarks/results/gabn_{args.network}.json"
    facts = {
        "network": args.network, "batch": args.batch, "rounds": args.rounds, **sizes,
        "torch": torch.__version__, "machine": platform.machine(), "threads": 1,
    }  # fmt: skip
    with atomic_files(path) as (file,):
        found = {"facts": facts, "steps": results, "parts": pieces}
        file.write(json.dumps(found, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
