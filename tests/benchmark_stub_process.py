# SPDX-License-Identifier: MIT
"""The process of a stub run: plain Python, so that tests of the runner need not wait."""

import json
import sys
import time
from pathlib import Path


def act(path: str, key: str, what: str) -> int:
    """Writes the record that the real job would, or does something worse."""
    if what == "fail":
        sys.stderr.write("some lines before\nthe network gives no finite embeddings\n")
        return 2
    if what == "hang":
        Path(path, "hanging").write_text(key)
        time.sleep(600)
    if what == "nothing":
        return 0
    told = json.loads(Path(path, "jobs", f"{key}.json").read_text())
    place = Path(path, "runs", f"{key}.json")
    place.parent.mkdir(exist_ok=True)
    done = {
        "key": key,
        **told["record"],
        "measured": {"mean": 0.5, "worst": 0.25},
        "cost": {"train_cpu_s": 1.0, "measure_cpu_s": 0.0},
    }
    place.write_text(json.dumps(done))
    return 0


if __name__ == "__main__":
    sys.exit(act(*sys.argv[1:4]))
