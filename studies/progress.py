# SPDX-License-Identifier: MIT
"""What ``arcface-fair benchmark`` prints while it works: lists, costs, the bar, failures.

Costs are as measured before, else from the parts that a run is made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.folder import Record
from studies.plan import Run, Settings

# CPU seconds on one core of a plain server (measured, 8 epochs of 2560 drawn faces).
PLAIN_S = 36.0  # ArcFace, with start and judging
STARTING_S = 6.0  # of that: imports, loading, drawing, which no record counts
STAGE_S = 2.0  # one learned partition
ERASING_S = {"attention": 30.0, "rolled": 30.0}
CONTRAST_S = 11.0
ADVERSARIAL_S = 80.0


def expected_s(settings: Settings, measured: Mapping[str, float]) -> float:
    """CPU seconds of one run. measured: seconds by settings' digest."""
    if settings.digest in measured:
        return measured[settings.digest]
    config = settings.config
    seconds = PLAIN_S
    invreg, gabn = config.get("invreg") or {}, config.get("gabn") or {}
    plugins = config.get("plugins") or []
    if "gabn_plugin" in plugins:
        seconds += ERASING_S.get(str(gabn.get("erasing", "attention")), 0.0)
        seconds += ADVERSARIAL_S if gabn.get("adversarial", True) else 0.0
    if "contrast_plugin" in plugins:
        seconds += CONTRAST_S
    if "invreg_plugin" in plugins:
        seconds += STAGE_S * len(invreg.get("stages", (1, 11, 17)))
    return seconds


def measured_s(records: Iterable[Record]) -> dict[str, float]:
    """Mean CPU seconds of finished runs by settings' digest."""
    found: dict[str, list[float]] = {}
    for record in records:
        cost = record["cost"]
        seconds = cost["train_cpu_s"] + cost["measure_cpu_s"] + STARTING_S
        found.setdefault(record["settings"], []).append(seconds)
    return {digest: float(np.mean(values)) for digest, values in found.items()}


def total_s(runs: Iterable[Run], measured: Mapping[str, float]) -> float:
    """CPU seconds of all ``runs``, each key counted once."""
    by_key = {run.key: run for run in runs}
    return sum(expected_s(run.settings, measured) for run in by_key.values())


if TYPE_CHECKING:
    from studies.folder import Folder
    from studies.plan import Run
    from studies.results import Results
    from studies.rows import Row
    from studies.runner import Failure


def make_missing(
    folder: Folder, runs: dict[str, dict[int, Run]], jobs: int, redo: bool
) -> list[Failure]:
    """Makes what is not there with a bar of CPU seconds; the failures, said by name."""
    from studies.progress import measured_s, total_s
    from studies.runner import missing

    wanted = {run.key: run for each in runs.values() for run in each.values()}
    names = {
        run.key: f"{name}, seed {seed}" for name, each in runs.items() for seed, run in each.items()
    }
    if redo:
        for key in wanted:
            folder.run_file(key).unlink(missing_ok=True)
    measured = measured_s(folder.records().values())
    left = missing(folder, wanted.values())
    print(
        f"{len(wanted)} runs, {len(wanted) - len(left)} of them finished before; about "
        f"{total_s(left, measured) / 60:.0f} CPU minutes, {jobs} at a time, in {folder.path}",
        flush=True,
    )
    failures = _make(folder, left, jobs, names, measured) if left else []
    for failure in failures:
        log = folder.log_file(failure.key)
        print(f"failed: {names[failure.key]}: {failure.said} ({log})")
    return failures


def _make(
    folder: Folder, left: list[Run], jobs: int, names: dict[str, str], measured: dict[str, float]
) -> list[Failure]:
    """The runs under a bar that grows by their expected seconds; each is said as it ends."""
    from tqdm import tqdm

    from studies.progress import expected_s, total_s
    from studies.runner import make

    total, ended = total_s(left, measured), 0
    with tqdm(total=total, bar_format="{l_bar}{bar}| {postfix} {elapsed}<{remaining}") as bar:

        def told(run: Run, text: str) -> None:
            nonlocal ended
            ended += 1
            bar.write(f"{names[run.key]}: {text}")
            bar.set_postfix_str(f"{ended} of {len(left)} runs", refresh=False)
            bar.update(min(expected_s(run.settings, measured), total - bar.n))

        try:
            return make(
                folder, left, jobs,
                on_done=lambda run: told(run, _one_run(folder, run)),
                on_failed=lambda run, failure: told(run, f"failed: {failure.said}"),
            )  # fmt: skip
        except KeyboardInterrupt:
            bar.write(f"{ended} of {len(left)} runs are done; the same command goes on")
            raise


def _one_run(folder: Folder, run: Run) -> str:
    record: dict[str, Any] = folder.record(run.key) or {}
    measured, seconds = record["measured"], record["cost"]["train_cpu_s"]
    return (
        f"mean {100 * measured['mean']:.2f}, worst {100 * measured['worst']:.2f} "
        f"({seconds:.0f} CPU s)"
    )


def list_suites(
    suites: dict[str, tuple[Row, ...]], seeds: list[int], split: str, place: Path
) -> None:
    """Suites, rows, runs and CPU time; what ran before in the folder ``place`` says how long."""
    from studies.folder import Folder
    from studies.plan import resolve, runs_of
    from studies.progress import expected_s, measured_s, total_s

    here = (place / "benchmark.json").is_file()
    measured = measured_s(Folder(place).records().values()) if here else {}
    for suite, rows in suites.items():
        each = runs_of(rows, seeds, split)
        runs = [run for by_seed in each.values() for run in by_seed.values()]
        count, minutes = len({run.key for run in runs}), total_s(runs, measured) / 60
        print(f"\n{suite}: {len(rows)} rows, {count} runs, about {minutes:.0f} CPU minutes")
        for row in rows:
            control = f" (control of {row.control_of})" if row.control_of else ""
            seconds = expected_s(resolve(row), measured)
            print(f"  {row.name:<28} {seconds:5.0f} s  {row.title}{control}")


def add_intervals(
    results: Results, folder: Folder, split: str, resamples: int, names: Sequence[str]
) -> None:
    """Intervals over people, with a bar over rows."""
    from tqdm import tqdm

    from studies.resampled import add_bootstrap

    with tqdm(total=len(names), desc="intervals over people", leave=False) as bar:
        add_bootstrap(results, folder, split, resamples, names, lambda name: bar.update())


def diagnose_all(folder: Folder, keys: Sequence[str]) -> None:
    """Diagnoses finished runs anew, with a bar over runs; says how many."""
    from tqdm import tqdm

    from studies.job import diagnose

    chosen = list(dict.fromkeys(keys))
    done = sum(diagnose(folder, key, again=True) for key in tqdm(chosen, "diagnosis", leave=False))
    print(f"{done} of {len(chosen)} runs were diagnosed")
