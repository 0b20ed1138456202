# SPDX-License-Identifier: MIT
"""Time and peak memory of one forward and backward pass of the head, against plain references.

    python benchmarks/head.py [--out benchmarks/results] [--repeats 7] [--quick]

Times are medians over repeats in which all heads take turns, on two threads, float32; memory is
the peak of the resident set above what was there with the weights loaded, less their gradient,
in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

from arcface_fair.head import ArcFace, PartialFC
from benchmarks.reference_heads import double_backward_loss, plain_loss, three_products
from invreg_plugin.penalty import irmv1

PARTITIONS, SUBSETS = 3, 2
Step = Callable[[], None]
HEADS = (
    "upstream, plain",
    "double backward",
    "dense",
    "dense + INV-REG",
    "chunked",
    "chunked + INV-REG",
    "three products",
)
REFERENCE = HEADS[0]


def make_steps(rows: int, classes: int, width: int, names: tuple[str, ...]) -> dict[str, Step]:
    """One forward and backward pass per name, on one weight and one batch."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(rows, width, generator=generator)
    labels = torch.randint(classes, (rows,), generator=generator)
    subsets = torch.randint(SUBSETS, (PARTITIONS, rows), generator=generator)
    head = PartialFC(ArcFace(), width, classes, on_clamp="ignore")
    weight = head.weight

    def penalty(found: Any) -> Tensor:
        return 0.05 * irmv1(found.ce, found.entropy, subsets, SUBSETS)

    def one(name: str) -> Step:
        def step() -> None:
            weight.grad = None
            leaf = embeddings.clone().requires_grad_()
            if name == "three products":
                three_products(embeddings, weight.detach())
            elif name == "upstream, plain":
                plain_loss(leaf, labels, weight).backward()
            elif name == "double backward":
                double_backward_loss(leaf, labels, weight, subsets, SUBSETS).backward()
            else:
                head.kernel = name.split()[0]  # type: ignore[assignment]
                head.terms = [penalty] if "INV-REG" in name else []
                head(leaf, labels).backward()
            weight.grad = None

        return step

    return {name: one(name) for name in names}


def measure_times(rows: int, classes: int, width: int, names: tuple[str, ...], repeats: int) -> Any:
    """Seconds per name: median, least, and the median of the paired ratio to the reference."""
    steps = make_steps(rows, classes, width, names)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats + 1):
        order = names if turn % 2 else names[::-1]
        for name in order:
            start = time.perf_counter()
            steps[name]()
            if turn:  # the first turn warms up
                seconds[name].append(time.perf_counter() - start)
    table = {}
    for name in names:
        table[name] = {"median_s": statistics.median(seconds[name]), "least_s": min(seconds[name])}
        for other in ("upstream, plain", "double backward", "three products", "dense", "chunked"):
            if other in names:
                pairs = zip(seconds[name], seconds[other], strict=True)
                table[name][f"of {other}"] = statistics.median(a / b for a, b in pairs)
    return table


def resident_mib(field: str) -> float:
    """VmRSS or VmHWM of this process, MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}; this benchmark needs Linux")


def measure_memory(rows: int, classes: int, width: int, name: str) -> float:
    """Peak MiB of one pass above the weights and their gradient; run it in a fresh process."""
    make_steps(rows, 512, width, (name,))[name]()  # libraries and their own buffers
    step = make_steps(rows, classes, width, (name,))[name]
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_mib("VmRSS")
    step()
    gradient = 0 if name == "three products" else classes * width * 4 / 2**20
    return resident_mib("VmHWM") - before - gradient


def in_fresh_process(rows: int, classes: int, width: int, name: str) -> float:
    """``measure_memory`` in a process of its own."""
    task = json.dumps([rows, classes, width, name])
    command = [sys.executable, __file__, "--memory", task]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def sweep(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """All cases: C at N = 256, N at C = 30,000, and the chunked head alone up to C = 1,000,000."""
    cases = [(256, 10_000), (256, 30_000), (256, 100_000), (64, 30_000), (1024, 30_000)]
    results = []
    for rows, classes in cases[:1] if quick else cases:
        times = measure_times(rows, classes, 512, HEADS, repeats)
        for name in HEADS[:-1]:
            times[name]["peak_mib"] = in_fresh_process(rows, classes, 512, name)
        results.append({"rows": rows, "classes": classes, "width": 512, "heads": times})
        _tell(results[-1])
    for classes in () if quick else (300_000, 1_000_000):
        name = "chunked + INV-REG"
        peak = in_fresh_process(256, classes, 512, name)
        heads = {name: {"peak_mib": peak}}
        results.append({"rows": 256, "classes": classes, "width": 512, "heads": heads})
        _tell(results[-1])
    return results


def _tell(case: dict[str, Any]) -> None:
    lines = [f"\nN = {case['rows']}, C = {case['classes']:,}, D = {case['width']}"]
    lines.append(f"{'head':<20}{'median s':>10}{'of plain':>10}{'of three':>10}{'MiB':>10}")
    for name, row in case["heads"].items():
        cells = [row.get(key) for key in ("median_s", f"of {REFERENCE}", "of three products")]
        text = "".join(f"{'' if cell is None else format(cell, '.3f'):>10}" for cell in cells)
        peak = row.get("peak_mib")
        lines.append(f"{name:<20}{text}{'' if peak is None else format(peak, '.0f'):>10}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Time and memory over C at N = 256."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2))
    for axis, key, title in zip(
        axes, ("median_s", "peak_mib"), ("seconds, forward + backward", "peak MiB"), strict=True
    ):
        for name in HEADS:
            points = [
                (case["classes"], case["heads"][name][key])
                for case in results
                if case["rows"] == 256 and key in case["heads"].get(name, {})
            ]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", label=name)
        axis.set(xscale="log", yscale="log", xlabel="classes C", title=f"{title} (N 256, D 512)")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one small case")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    if arguments.memory:
        sys.stdout.write(str(measure_memory(*json.loads(arguments.memory))))
        return
    results = sweep(arguments.repeats, arguments.quick)
    arguments.out.mkdir(parents=True, exist_ok=True)
    facts = {"torch": torch.__version__, "threads": 2, "dtype": "float32", "cases": results}
    (arguments.out / "head.json").write_text(json.dumps(facts, indent=1) + "\n")
    draw(results, arguments.out / "head.png")


if __name__ == "__main__":
    main()
