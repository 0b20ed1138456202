# SPDX-License-Identifier: MIT
"""Time and peak memory of one forward and backward pass of the head, against plain references.

    python benchmarks/head.py [--name head] [--repeats 7] [--threads 2] [--cases 256:100000 ...]

Times are medians over repeats in which all heads take turns, float32: wall time, and CPU time,
which on one thread (--threads 1) a busy machine disturbs least. Memory is the peak of the resident
set above what was there with the weights loaded, less their gradient, in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

from arcface_fair.head import ArcFace, PartialFC
from benchmarks.reference_heads import double_backward_loss, plain_loss, three_products
from invreg_plugin.penalty import irmv1

PARTITIONS, SUBSETS, WIDTH = 3, 2, 512
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
COMPARED = ("upstream, plain", "double backward", "dense", "chunked", "three products")
CASES = ("256:10000", "256:30000", "256:100000", "64:30000", "1024:30000")
MEMORY_ONLY = (300_000, 1_000_000)  # the chunked head alone, N = 256


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
    """Per name: median seconds, least CPU seconds, and median paired ratios to other heads."""
    steps = make_steps(rows, classes, width, names)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats + 1):
        for name in names if turn % 2 else names[::-1]:
            start, spent = time.perf_counter(), time.process_time()
            steps[name]()
            if turn:  # the first turn warms up
                wall[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - spent)
    table: dict[str, dict[str, float]] = {}
    for name in names:
        table[name] = {"median_s": statistics.median(wall[name]), "least_s": min(wall[name])}
        table[name]["least_cpu_s"] = min(cpu[name])
        for other in COMPARED:
            pairs = zip(wall[name], wall[other], strict=True)
            table[name][f"of {other}"] = statistics.median(a / b for a, b in pairs)
            table[name][f"cpu of {other}"] = min(cpu[name]) / min(cpu[other])
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


def sweep(cases: list[str], repeats: int, memory_only: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Time and memory of every case "N:C", then the chunked head's memory alone."""
    for case in cases:
        rows, classes = (int(part) for part in case.split(":"))
        times = measure_times(rows, classes, WIDTH, HEADS, repeats)
        for name in HEADS[:-1]:
            times[name]["peak_mib"] = in_fresh_process(rows, classes, WIDTH, name)
        yield {"rows": rows, "classes": classes, "width": WIDTH, "heads": times}
    for classes in memory_only:
        name = "chunked + INV-REG"
        heads = {name: {"peak_mib": in_fresh_process(256, classes, WIDTH, name)}}
        yield {"rows": 256, "classes": classes, "width": WIDTH, "heads": heads}


def _tell(case: dict[str, Any]) -> None:
    columns = {
        "wall s": "median_s",
        "of plain": f"of {REFERENCE}",
        "of three": "of three products",
        "cpu s": "least_cpu_s",
        "of plain ": f"cpu of {REFERENCE}",
        "of double": "cpu of double backward",
        "of three ": "cpu of three products",
        "MiB": "peak_mib",
    }
    lines = [f"\nN = {case['rows']}, C = {case['classes']:,}, D = {case['width']}"]
    lines.append(f"{'head':<19}" + "".join(f"{title:>10}" for title in columns))
    for name, row in case["heads"].items():
        cells = (row.get(key) for key in columns.values())
        lines.append(
            f"{name:<19}" + "".join(f"{'' if c is None else format(c, '.3g'):>10}" for c in cells)
        )
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
    if axes[0].lines:
        axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--name", default="head", help="stem of the two files")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", nargs="+", default=list(CASES), help="N:C ...")
    parser.add_argument("--memory-only", type=int, nargs="*", default=MEMORY_ONLY, help="C ...")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.memory:
        sys.stdout.write(str(measure_memory(*json.loads(arguments.memory))))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    facts = {"torch": torch.__version__, "threads": arguments.threads, "dtype": "float32"}
    results: list[dict[str, Any]] = []
    for case in sweep(arguments.cases, arguments.repeats, tuple(arguments.memory_only)):
        _tell(case)
        results.append(case)  # written at once: a long sweep may be stopped
        text = json.dumps({**facts, "cases": results}, indent=1) + "\n"
        (arguments.out / f"{arguments.name}.json").write_text(text)
        draw(results, arguments.out / f"{arguments.name}.png")


if __name__ == "__main__":
    main()
