# SPDX-License-Identifier: MIT
"""All rows with their finished runs: from a work folder, from a results file, or both.

A results file is one JSON object: ``rows`` by name (settings, controls, keys of runs by split and
seed), ``runs`` by key (every figure of each run), ``opened`` (test rows), ``suites``, ``made``.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from arcface_fair.errors import UserError
from arcface_fair.files import atomic_files
from studies.folder import Folder, Record, read_json
from studies.ledger import merged_ledgers
from studies.plan import FORMAT, PROTOCOL, SEEDS, Run, resolve
from studies.provenance import made
from studies.suites import all_rows, suites
from studies.worlds import sample

Figures = dict[str, float]
FIGURES = ("mean", "worst", "std_ddof0", "std_ddof1", "ser", "mean_tpr", "worst_tpr")


class Results:
    """Rows in order, their runs, and what was opened."""

    def __init__(self, content: Record) -> None:
        self.content = content
        self.rows: dict[str, Record] = content["rows"]
        self.runs: dict[str, Record] = content["runs"]

    @property
    def opened(self) -> dict[str, Record]:
        """Test rows by name: the settings they were opened with, when, and when again."""
        return self.content["opened"]

    @property
    def splits(self) -> list[str]:
        """Splits that have runs."""
        return [s for s in SEEDS if any(row["runs"].get(s) for row in self.rows.values())]

    def records(self, row: str, split: str) -> dict[int, Record]:
        """Finished runs of a row by seed, rising; empty where there are none."""
        keys = self.rows.get(row, {}).get("runs", {}).get(split, {})
        return {int(s): self.runs[keys[s]] for s in sorted(keys, key=int) if keys[s] in self.runs}

    def figures(self, row: str, split: str) -> dict[int, Figures]:
        """Figures of a row by seed: `FIGURES`, ``accuracy/GROUP``, ``tpr/GROUP``, ``cpu_s``."""
        return {seed: figures_of(run) for seed, run in self.records(row, split).items()}

    def figure(self, row: str, split: str, name: str) -> dict[int, float]:
        """One figure of a row by seed."""
        return {seed: found[name] for seed, found in self.figures(row, split).items()}

    def suite(self, name: str) -> list[str]:
        """Names of the suite's rows, in order. Raises UserError for an unknown suite."""
        known = self.content["suites"]
        if name not in known:
            raise UserError(
                f"the results hold no suite {name!r}; known: {', '.join(known)}; name one of these"
            )
        return known[name]

    def digests(self, split: str) -> set[str]:
        """Settings that have runs of the split."""
        return {row["digest"] for row in self.rows.values() if row["runs"].get(split)}


def figures_of(run: Record) -> Figures:
    """The figures of one run; rates 0..1, NaN where there is none."""
    found = {name: run["measured"][name] for name in FIGURES}
    for group, each in run["measured"]["groups"].items():
        found[f"accuracy/{group}"], found[f"tpr/{group}"] = each["accuracy"], each["tpr"]
    found |= {"cpu_s": run["cost"]["train_cpu_s"], "wall_s": run["cost"]["train_wall_s"]}
    return {name: math.nan if value is None else float(value) for name, value in found.items()}


def gather(folder: Folder) -> Results:
    """Everything that the folder holds: every row of every suite that has a finished run."""
    records = folder.records()
    seeds = seeds_present(folder)
    rows: dict[str, Record] = {}
    used: dict[str, Record] = {}
    for row in all_rows().values():
        settings = resolve(row)
        keys: dict[str, dict[str, str]] = {}
        for split, wanted in seeds.items():
            for seed in wanted:
                key = Run(settings, seed, split).key
                if key in records:
                    keys.setdefault(split, {})[str(seed)] = key
                    drawn = records[key]["drawn"].get("sample")
                    stale = drawn is not None and drawn != sample(settings.world)
                    used[key] = _without_common(records[key]) | ({"stale": True} if stale else {})
        if keys:
            told = {k: v for k, v in asdict(row).items() if k != "name"}
            known = {"digest": settings.digest, "decisive": settings.decisive, "runs": keys}
            rows[row.name] = {**told, **known}
    names = {name: [row.name for row in rows_] for name, rows_ in suites().items()}
    opened = folder.state()["opened"]
    return Results(
        {
            "format": FORMAT, "made": made(), "protocol": PROTOCOL, "suites": names,
            "opened": opened, "rows": rows, "runs": used,
        }
    )  # fmt: skip


def _without_common(record: Record) -> Record:
    """A run without what its row or the whole file says as well."""
    return {k: v for k, v in record.items() if k not in ("format", "decisive", "protocol")}


def seeds_present(folder: Folder) -> dict[str, list[int]]:
    """Seeds of finished runs by split, with the default ones."""
    found = {split: set(seeds) for split, seeds in SEEDS.items()}
    for record in folder.records().values():
        found[record["split"]].add(int(record["seed"]))
    return {split: sorted(seeds) for split, seeds in found.items()}


def read_results(path: Path) -> Results:
    """A results file. Raises UserError for one that is none or of another format."""
    content = read_json(path)
    if not {"rows", "runs", "suites", "opened"} <= set(content):
        raise UserError(f"{path} is no results file of the benchmark; give one that --json wrote")
    if content.get("format") != FORMAT:
        raise UserError(
            f"{path} has format {content.get('format')!r}, this version reads {FORMAT}; "
            "write it again with --json"
        )
    return Results(content)


def merge(new: Results, old: Results) -> Results:
    """``new`` with what only ``old`` holds: rows with the same settings keep all their runs."""
    content: dict[str, Any] = dict(new.content)
    rows = dict(new.rows)
    runs = dict(new.runs)
    for name, row in old.rows.items():
        if name not in rows:
            rows[name] = row
        elif rows[name]["digest"] == row["digest"]:
            splits = {**row["runs"], **rows[name]["runs"]}
            rows[name] = {
                **rows[name],
                "runs": {
                    s: {**row["runs"].get(s, {}), **rows[name]["runs"].get(s, {})} for s in splits
                },
            }
    for row in rows.values():
        for keys in row["runs"].values():
            runs |= {key: old.runs[key] for key in keys.values() if key not in runs}
    names = {**old.content["suites"], **content["suites"]}
    opened = merged_ledgers(new.opened, old.opened)
    extra = {k: v for k, v in old.content.items() if k not in content}
    return Results(
        {**extra, **content, "rows": rows, "runs": runs, "suites": names, "opened": opened}
    )


def write_results(results: Results, path: Path) -> None:
    """Writes the file whole or not at all: a line per row and run, rates to six decimals."""
    parts = [f'"{key}": {_text(key, value)}' for key, value in results.content.items()]
    with atomic_files(path) as (file,):
        file.write(("{\n" + ",\n".join(parts) + "\n}\n").encode())


def _text(key: str, value: Any) -> str:
    if key not in ("rows", "runs") or not value:
        return json.dumps(_rounded(value))
    lines = [f'"{name}": {json.dumps(_rounded(each))}' for name, each in value.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
