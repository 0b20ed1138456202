# SPDX-License-Identifier: MIT
"""Measures packing of 100,000 small images: images per second, and memory as it goes on.

    python benchmarks/packing.py                # faces kept as they are, then aligned
    python benchmarks/packing.py --images 10000

Each way runs in a process of its own. Memory is the resident set after each tenth of the work.
Looking through the finished record is measured too (inspect without and with decoding).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from arcface_fair.data.image.alignment import TEMPLATE  # noqa: E402
from arcface_fair.data.image.crop import Crop  # noqa: E402
from arcface_fair.data.image.landmarks import Landmarks  # noqa: E402
from arcface_fair.data.record.packing import pack_people  # noqa: E402
from arcface_fair.data.record.report import inspect_record  # noqa: E402
from arcface_fair.data.record.sources import open_source  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "packing.json"
SHOTS = 50


def resident_mib() -> float:
    """The resident set of this process (Linux)."""
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def draw_source(folder: Path, images: int) -> None:
    """group/identity/image with 50 images each: smooth fields of colour, 112 x 112 JPEG."""
    rng = np.random.default_rng(0)
    numbers = " ".join(f"{n:.2f}" for n in (TEMPLATE * 0.95 + 3).ravel())
    with (folder / "lmk.txt").open("w") as landmarks:
        for n in range(images):
            person = f"{'ABCD'[n // SHOTS % 4]}/p{n // SHOTS:06d}"
            path = folder / "src" / person / f"{n % SHOTS:02d}.jpg"
            if n % SHOTS == 0:
                path.parent.mkdir(parents=True)
            small = rng.integers(0, 256, (4, 4, 3), np.uint8)
            image = cv2.resize(small, (112, 112), interpolation=cv2.INTER_CUBIC)
            path.write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
            landmarks.write(f"{person}/{path.name} {numbers}\n")


def measure(folder: Path, way: str, workers: int) -> dict[str, object]:
    """One way of packing, in this process."""
    if way.startswith("inspect"):
        start = time.perf_counter()
        report = inspect_record(folder / "kept", decode_images=way == "inspect, decoding")
        seconds = time.perf_counter() - start
        return {"per_second": round(report.records / seconds), "megabytes": report.size // 10**6}
    crop = Crop(Landmarks(folder / "lmk.txt") if way == "aligned" else None)
    people = open_source(folder / "src")
    memory: list[float] = []

    def progress(done: int, total: int) -> None:
        if done * 10 // total > len(memory):
            memory.append(round(resident_mib(), 1))

    before = resident_mib()
    start = time.perf_counter()
    packed = pack_people(people, folder / way, crop, workers=workers, progress=progress)
    seconds = time.perf_counter() - start
    return {
        "per_second": round(packed.images / seconds),
        "cpu_seconds": round(time.process_time(), 1),
        "resident_mib_before": round(before, 1),
        "resident_mib_each_tenth": memory,
    }


def main() -> None:
    """Measures and writes benchmarks/results/packing.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(Path(args.measure[0]), args.measure[1], args.workers)))
        return
    result: dict[str, object] = {
        "images": args.images,
        "workers": args.workers,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    with tempfile.TemporaryDirectory() as name:
        draw_source(Path(name), args.images)
        for way in ("kept", "aligned", "inspect", "inspect, decoding"):
            command = [sys.executable, __file__, "--workers", str(args.workers)]
            command += ["--measure", name, way]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            result[way] = json.loads(done.stdout.splitlines()[-1])
            print(f"{way:18} {result[way]}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
