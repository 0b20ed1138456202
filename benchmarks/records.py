# SPDX-License-Identifier: MIT
"""Measures reading of records: ours and MXNet's reader, in turns, in one process.

    python benchmarks/records.py           # 20,000 records of 2 to 14 kB, 5 rounds

Both read the same file from the page cache, so that readers are compared and not disks: by key
in random order (what training does), and front to back (what inspection does). A round is each
of the four once. Without MXNet ours is measured alone and the file says why.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from arcface_fair.data.record.recordio import IndexedRecordReader, RecordHeader, pack  # noqa: E402
from arcface_fair.data.record.scan import scan_records  # noqa: E402
from arcface_fair.data.record.writer import IndexedRecordWriter  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "records.json"


def write_records(folder: Path, count: int) -> None:
    """Random bytes with the sizes of aligned faces as JPEG."""
    rng = random.Random(0)
    with IndexedRecordWriter(folder / "a.rec", folder / "a.idx") as writer:
        for key in range(count):
            payload = rng.randbytes(rng.randrange(2000, 14000))
            writer.write(key, pack(RecordHeader(0, float(key // 50), key, 0), payload))


def readers(folder: Path, keys: list[int]) -> dict[str, Callable[[], int]]:
    """What is measured, by name; each returns the number of bytes read."""
    rec, idx = str(folder / "a.rec"), str(folder / "a.idx")
    ours = IndexedRecordReader(rec, idx)
    found: dict[str, Callable[[], int]] = {
        "ours, random": lambda: sum(len(ours.read(key)) for key in keys),
        "ours, in order": lambda: sum(len(stretch.record) for stretch in scan_records(rec)),
    }
    try:
        import mxnet as mx
    except Exception:
        return found
    theirs = mx.recordio.MXIndexedRecordIO(idx, rec, "r")

    def in_order() -> int:
        record, total = mx.recordio.MXRecordIO(rec, "r"), 0
        while (item := record.read()) is not None:
            total += len(item)
        return total

    return {
        **found,
        "mxnet, random": lambda: sum(len(theirs.read_idx(key)) for key in keys),
        "mxnet, in order": in_order,
    }


def measure(folder: Path, rounds: int) -> dict[str, object]:
    """Records per second, median and all rounds."""
    keys = list(range(len((folder / "a.idx").read_text().splitlines())))
    random.Random(1).shuffle(keys)
    sides = readers(folder, keys)
    sizes = {name: read() for name, read in sides.items()}  # also warms the page cache
    assert len(set(sizes.values())) == 1, f"not the same bytes were read: {sizes}"
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, read in sides.items():
            start = time.perf_counter()
            read()
            rates[name].append(len(keys) / (time.perf_counter() - start))
    return {
        "python": platform.python_version(),
        "records": len(keys),
        "bytes": next(iter(sizes.values())),
        "records_per_second": {name: round(statistics.median(r)) for name, r in rates.items()},
        "rounds": {name: [round(rate) for rate in r] for name, r in rates.items()},
    }


def main() -> None:
    """Measures and writes benchmarks/results/records.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.rounds)))
        return
    from mxnet_environment import NoMXNetError, mxnet_python

    python, missing = Path(sys.executable), ""
    try:
        python = mxnet_python()
    except NoMXNetError as reason:
        missing = str(reason)
        print(f"MXNet is not compared: {missing}")
    with tempfile.TemporaryDirectory() as name:
        write_records(Path(name), args.records)
        command = [python, __file__, "--measure", name, "--rounds", str(args.rounds)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    result |= {"mxnet": missing or "1.9.1", "machine": platform.machine()}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    for side, rate in result["records_per_second"].items():
        print(f"{side:16} {rate:9,} records/s")


if __name__ == "__main__":
    main()
