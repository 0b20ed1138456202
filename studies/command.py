# SPDX-License-Identifier: MIT
"""``arcface-fair benchmark [SUITE ...]``: what the methods are worth, beside their controls."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arcface_fair.errors import UserError
from studies.progress import add_intervals, diagnose_all, list_suites, make_missing

if TYPE_CHECKING:
    from studies.folder import Folder
    from studies.plan import Run
    from studies.results import Results
    from studies.rows import Row
    from studies.runner import Failure

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
    parser.add_argument("--diagnose", action="store_true", help="diagnose finished runs anew")
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
    from studies.results import read_results

    if args.source:
        results = read_results(args.source)
        suites = {name: results.suite(name) for name in args.suites or results.content["suites"]}
        _show(results, suites, results.splits, everything=bool(args.suites))
        _write_page(results, args)
        return 0
    chosen = chosen_suites(args)
    seeds = chosen_seeds(args)
    if args.list:
        list_suites(chosen, seeds, args.split, args.folder)
        return 0
    return _benchmark(chosen, seeds, args)


def chosen_suites(args: argparse.Namespace) -> dict[str, tuple[Row, ...]]:
    """Rows by suite. Raises UserError for an unknown name."""
    from studies.rows import QUICK
    from studies.suites import suites

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
            near = difflib.get_close_matches(name, rows, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "name one of those that --list shows"
            raise UserError(f"there is no row {name!r} in {', '.join(names)}; {advice}")
    if not args.suites:
        return {"main" if args.quick else "rows": tuple(rows[name] for name in wanted)}
    return {n: tuple(row for row in rows_ if row.name in wanted) for n, rows_ in found.items()}


def chosen_seeds(args: argparse.Namespace) -> list[int]:
    """The seeds asked for, or the default ones of the split."""
    from studies.ledger import check_seeds
    from studies.plan import SEEDS

    seeds = list(SEEDS[args.split]) if args.seeds is None else args.seeds
    check_seeds(args.split, seeds)
    return seeds[:2] if args.quick else seeds


def _benchmark(
    suites: dict[str, tuple[Row, ...]], seeds: list[int], args: argparse.Namespace
) -> int:
    from studies.folder import Folder
    from studies.ledger import check_seeds
    from studies.plan import runs_of
    from studies.results import seeds_present

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
        failures = make_missing(folder, runs, jobs, args.redo)
    if args.diagnose:
        diagnose_all(folder, [run.key for each in runs.values() for run in each.values()])
    results = _results(folder, list(rows), args)
    names = {suite: [row.name for row in rows_] for suite, rows_ in suites.items()}
    _show(results, names, [args.split])
    _write(results, args)
    return 2 if failures else 0


def _open(folder: Folder, runs: dict[str, dict[int, Run]], args: argparse.Namespace) -> None:
    """Writes down which test rows are opened, or refuses."""
    from filelock import FileLock

    from studies.ledger import enter_tests, merged_ledgers, without_unfinished
    from studies.results import read_results

    with FileLock(folder.path / "benchmark.lock"):
        state = folder.state()
        tested = {r["settings"] for r in folder.records().values() if r["split"] == "test"}
        known = without_unfinished(state["opened"], tested, runs)
        if args.json and args.json.is_file():
            written = read_results(args.json)
            theirs = without_unfinished(written.opened, written.digests("test"), runs)
            known = merged_ledgers(known, theirs)
        digests = {name: next(iter(each.values())).settings.digest for name, each in runs.items()}
        folder.write_state({**state, "opened": enter_tests(known, digests, args.reopen)})


def _results(folder: Folder, rows: Sequence[str], args: argparse.Namespace) -> Results:
    """What the folder and the file hold, with what was asked to be computed."""
    from studies.results import gather, merge, read_results

    results = gather(folder)
    if args.json and args.json.is_file():
        results = merge(results, read_results(args.json))
    if args.bootstrap is not None:
        add_intervals(results, folder, args.split, args.bootstrap, rows)
    return results


def _show(
    results: Results,
    suites: Mapping[str, Sequence[str]],
    splits: list[str],
    everything: bool = True,
) -> None:
    """Prints tables; without ``everything`` those that only repeat others are left out."""
    from studies.summary import has_own_rows, summarise
    from studies.text import table_text

    for suite, names in suites.items():
        for split in splits:
            table = summarise(results, suite, split, names)
            if table.lines and (everything or has_own_rows(results, table)):
                print(f"\n{table_text(table)}")


def _write(results: Results, args: argparse.Namespace) -> None:
    from studies.results import read_results, write_results

    if args.json:
        write_results(results, args.json)
        print(f"wrote {args.json}")
        results = read_results(args.json)
    _write_page(results, args)


def _write_page(results: Results, args: argparse.Namespace) -> None:
    if args.page:
        from studies.page import write_page

        print(f"wrote {write_page(results, args.page)}")
