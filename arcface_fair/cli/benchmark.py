# SPDX-License-Identifier: MIT
"""``arcface-fair benchmark [SUITE ...]``: what the methods are worth, beside their controls."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arcface_fair.errors import UserError

if TYPE_CHECKING:
    from arcface_fair.benchmark.folder import Folder
    from arcface_fair.benchmark.plan import Run
    from arcface_fair.benchmark.results import Results
    from arcface_fair.benchmark.rows import Row
    from arcface_fair.benchmark.runner import Failure

HELP = "train every method beside its controls on drawn people: paired tables, JSON, a page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to compare, on whom, where it lies, and what to write."""
    parser.add_argument(
        "suites", nargs="*", metavar="SUITE", help="tables (default: main); --list names them"
    )
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="these rows only")
    parser.add_argument(
        "--quick", action="store_true", help="the first two seeds of the four rows that matter most"
    )
    parser.add_argument(
        "--split", choices=("validation", "test"), default="validation",
        help="people to judge on: settings are chosen on validation (default), test opens once",
    )  # fmt: skip
    parser.add_argument("--seeds", nargs="*", type=int, help="default: 0 1, or 10 .. 14 for test")
    parser.add_argument("--reopen", action="store_true", help="test other settings; it will show")
    parser.add_argument("--jobs", type=int, help="runs at once (default: as many as cores)")
    parser.add_argument(
        "--folder", type=Path, default=Path("benchmark"), help="finished runs (default: benchmark)"
    )
    parser.add_argument(
        "--redo", action="store_true", help="make finished runs of these rows again"
    )
    parser.add_argument("--no-runs", action="store_true", help="only show what is there")
    parser.add_argument("--list", action="store_true", help="name suites, rows and their cost")
    parser.add_argument(
        "--bootstrap", type=int, metavar="N", help="add intervals over people, N resamples"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="results; added to if it exists")
    parser.add_argument("--page", type=Path, metavar="OUT", help="a page that opens offline")
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="JSON",
        help="show this results file, run nothing",
    )


def run(args: argparse.Namespace) -> int:
    """Makes what is missing, prints the tables; 2 if a run failed."""
    from arcface_fair.benchmark.results import read_results

    if args.source:
        results = read_results(args.source)
        _show(results, args.suites or list(results.content["suites"]), results.splits)
        _write_page(results, args)
        return 0
    suites = chosen_suites(args)
    seeds = chosen_seeds(args)
    if args.list:
        _list(suites, seeds, args)
        return 0
    return _benchmark(suites, seeds, args)


def chosen_suites(args: argparse.Namespace) -> dict[str, tuple[Row, ...]]:
    """Rows by suite. Raises UserError for an unknown name."""
    from arcface_fair.benchmark.rows import QUICK
    from arcface_fair.benchmark.suites import suites

    known = suites()
    for name in args.suites:
        if name not in known:
            raise UserError(
                f"there is no suite {name!r}; known: {', '.join(known)}; name one of these"
            )
    everything = args.list or bool(args.rows)
    names = args.suites or (list(known) if everything else ["main"])
    wanted = args.rows or (QUICK if args.quick else None)
    found = {name: known[name] for name in names}
    if wanted is None:
        return found
    rows = {row.name: row for rows in found.values() for row in rows}
    for name in wanted:
        if name not in rows:
            raise UserError(
                f"there is no row {name!r} in {', '.join(names)}; "
                f"known: {', '.join(rows)}; name one of these"
            )
    if not args.suites:
        return {"main" if args.quick else "rows": tuple(rows[name] for name in wanted)}
    return {n: tuple(row for row in rows_ if row.name in wanted) for n, rows_ in found.items()}


def chosen_seeds(args: argparse.Namespace) -> list[int]:
    """The seeds asked for, or the default ones of the split."""
    from arcface_fair.benchmark.opening import check_seeds
    from arcface_fair.benchmark.plan import SEEDS

    seeds = list(SEEDS[args.split]) if args.seeds is None else args.seeds
    check_seeds(args.split, seeds)
    return seeds[:2] if args.quick else seeds


def _benchmark(
    suites: dict[str, tuple[Row, ...]], seeds: list[int], args: argparse.Namespace
) -> int:
    from arcface_fair.benchmark.folder import Folder
    from arcface_fair.benchmark.opening import check_seeds
    from arcface_fair.benchmark.plan import runs_of
    from arcface_fair.benchmark.results import seeds_present

    jobs = (os.cpu_count() or 1) if args.jobs is None else args.jobs
    if jobs < 1:
        raise UserError(f"--jobs is {jobs}; it must be at least 1")
    rows = {row.name: row for rows in suites.values() for row in rows}
    runs = runs_of(rows.values(), seeds, args.split)
    folder = Folder(args.folder)
    check_seeds(args.split, seeds, seeds_present(folder))
    failures: list[Failure] = []
    if not args.no_runs:
        if args.split == "test":
            _open(folder, runs, args)
        failures = _make(folder, runs, jobs, args)
    results = _results(folder, suites, args)
    _show(results, list(suites), [args.split])
    _write(results, args)
    return 2 if failures else 0


def _open(folder: Folder, runs: dict[str, dict[int, Run]], args: argparse.Namespace) -> None:
    from arcface_fair.benchmark.opening import merged_openings, open_test
    from arcface_fair.benchmark.results import read_results

    state = folder.state()
    written = read_results(args.json).opened if args.json and args.json.is_file() else {}
    digests = {name: next(iter(each.values())).settings.digest for name, each in runs.items()}
    opened = open_test(merged_openings(state["opened"], written), digests, args.reopen)
    folder.write_state({**state, "opened": opened})


def _make(
    folder: Folder, runs: dict[str, dict[int, Run]], jobs: int, args: argparse.Namespace
) -> list[Failure]:
    from tqdm import tqdm

    from arcface_fair.benchmark.cost import expected_s, measured_s, total_s
    from arcface_fair.benchmark.runner import make, missing

    wanted = {run.key: run for each in runs.values() for run in each.values()}
    names = {run.key: (name, seed) for name, each in runs.items() for seed, run in each.items()}
    if args.redo:
        for key in wanted:
            folder.run_file(key).unlink(missing_ok=True)
    measured = measured_s(folder.records().values())
    left = missing(folder, wanted.values())
    print(
        f"{len(wanted)} runs, {len(wanted) - len(left)} of them finished before; about "
        f"{total_s(left, measured) / 60:.0f} CPU minutes, {jobs} at a time, in {folder.path}",
        flush=True,
    )
    total = max(total_s(left, measured), 1.0)
    form = "{l_bar}{bar}| {postfix} {elapsed}<{remaining}"
    failures: list[Failure] = []
    with tqdm(total=total, bar_format=form, disable=not left) as bar:

        def told(run: Run, text: str) -> None:
            name, seed = names[run.key]
            bar.write(f"{name}, seed {seed}: {text}")
            bar.update(min(expected_s(run.settings, measured), total - bar.n))
            done = sum(folder.finished(key) for key in wanted)
            bar.set_postfix_str(f"{done} of {len(wanted)} runs")

        try:
            failures = make(
                folder, left, jobs,
                on_done=lambda run: told(run, _one_run(folder, run)),
                on_failed=lambda run, failure: told(run, f"failed: {failure.said}"),
            )  # fmt: skip
        except KeyboardInterrupt:
            done = sum(folder.finished(key) for key in wanted)
            bar.write(f"{done} of {len(wanted)} runs are finished; the same command goes on")
            raise
    for failure in failures:
        name, seed = names[failure.key]
        print(f"failed: {name}, seed {seed}: {failure.said} ({folder.log_file(failure.key)})")
    return failures


def _one_run(folder: Folder, run: Run) -> str:
    record: dict[str, Any] = folder.record(run.key) or {}
    measured, seconds = record["measured"], record["cost"]["train_cpu_s"]
    return (
        f"mean {100 * measured['mean']:.2f}, worst {100 * measured['worst']:.2f} "
        f"({seconds:.0f} CPU s)"
    )


def _results(
    folder: Folder, suites: dict[str, tuple[Row, ...]], args: argparse.Namespace
) -> Results:
    from arcface_fair.benchmark.results import gather, merge, read_results, seeds_present

    results = gather(folder, suites, seeds_present(folder))
    if args.json and args.json.is_file():
        results = merge(results, read_results(args.json))
    return results


def _show(results: Results, suites: list[str], splits: list[str]) -> None:
    from arcface_fair.benchmark.summary import summarise
    from arcface_fair.benchmark.text import table_text

    for suite in suites:
        for split in splits:
            table = summarise(results, suite, split)
            if table.lines:
                print(f"\n{table_text(table)}")


def _write(results: Results, args: argparse.Namespace) -> None:
    from arcface_fair.benchmark.results import write_results

    if args.json:
        write_results(results, args.json)
        print(f"wrote {args.json}")
    _write_page(results, args)


def _write_page(results: Results, args: argparse.Namespace) -> None:
    if args.page:
        from arcface_fair.benchmark.page import write_page

        print(f"wrote {write_page(results, args.page)}")


def _list(suites: dict[str, tuple[Row, ...]], seeds: list[int], args: argparse.Namespace) -> None:
    from arcface_fair.benchmark.cost import expected_s, measured_s, total_s
    from arcface_fair.benchmark.folder import Folder
    from arcface_fair.benchmark.plan import resolve, runs_of

    here = (args.folder / "benchmark.json").is_file()
    measured = measured_s(Folder(args.folder).records().values()) if here else {}
    for suite, rows in suites.items():
        each = runs_of(rows, seeds, args.split)
        runs = [run for by_seed in each.values() for run in by_seed.values()]
        count, minutes = len({run.key for run in runs}), total_s(runs, measured) / 60
        print(f"\n{suite}: {len(rows)} rows, {count} runs, about {minutes:.0f} CPU minutes")
        for row in rows:
            control = f" (control of {row.control_of})" if row.control_of else ""
            seconds = expected_s(resolve(row), measured)
            print(f"  {row.name:<28} {seconds:5.0f} s  {row.title}{control}")
