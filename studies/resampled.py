# SPDX-License-Identifier: MIT
"""Intervals over people: the networks held fixed, the unseen people of every seed drawn anew.

The bootstrap over identities of `arcface_fair.evaluation.resampling`, with the balanced weights of
`protocol`, averaged over seeds (each has people of its own). It says how much hangs on who was
photographed; the t-intervals of `statistics` say how much hangs on everything that a seed draws.
B resamples, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from arcface_fair.errors import UserError
from arcface_fair.evaluation import Comparisons, Estimate, Resampled, measure
from arcface_fair.evaluation.resampling import CHUNK, interval, pair_weights, people_weights
from arcface_fair.evaluation.verification import Floats
from drawn_faces import World
from studies import protocol
from studies.folder import Folder, Record, read_json
from studies.results import Results

FIGURES = {"mean": "mean accuracy", "worst": "worst accuracy"}
Told = Callable[[str], object]


def add_bootstrap(
    results: Results,
    folder: Folder,
    split: str,
    resamples: int,
    names: Iterable[str],
    told: Told = lambda name: None,
) -> None:
    """Writes ``bootstrap`` into the results: rows ``names`` against baseline and controls.

    Rows whose embeddings are not in the folder are left out. told: hears a row's name when its
    turn has come. Raises UserError for fewer than 2 resamples.
    """
    if resamples < 2:
        raise UserError(f"--bootstrap is {resamples}; at least 2 resamples are needed, 300 do")
    drawn: dict[str, Resampled] = {}

    def of_run(record: Record) -> Resampled | None:
        key = record["key"]
        there = folder.embeddings(key).is_file() and folder.kept(key).is_dir()
        if key not in drawn and there:
            drawn[key] = resample_run(folder, record, resamples)
        return drawn.get(key)

    every = results.content.setdefault("bootstrap", {})
    before = every.get(split, {}).get("rows", {})
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name in dict.fromkeys(names):
        told(name)
        pairs = _pairs_of(results, name, split) if name in results.rows else {}
        for other, runs in pairs.items():
            both = [(of_run(a), of_run(b)) for a, b in runs]
            whole = [a.minus(b) for a, b in both if a is not None and b is not None]
            if whole:
                found.setdefault(name, {})[other] = _ends(averaged(whole))
    every[split] = {"resamples": resamples, "rows": {**before, **found}}


def _pairs_of(results: Results, name: str, split: str) -> dict[str, list[tuple[Record, Record]]]:
    """Runs of a row with those of its baseline and of its controls, seed by seed."""
    controls = [n for n, other in results.rows.items() if other["control_of"] == name]
    others = dict.fromkeys([results.rows[name]["baseline"], *controls])
    mine = results.records(name, split)
    found = {}
    for other in others:
        theirs = results.records(other, split) if other != name else {}
        found[other] = [
            (mine[seed], theirs[seed])
            for seed in mine
            if seed in theirs and mine[seed]["drawn"]["unseen"] == theirs[seed]["drawn"]["unseen"]
        ]
    return found


def resample_run(folder: Folder, record: Record, resamples: int) -> Resampled:
    """Mean and worst accuracy of one run, [B] each; runs of one seed draw the same people."""
    world = World(**read_json(folder.kept(record["key"]) / "told.json")["held_out"])
    with np.load(folder.embeddings(record["key"])) as file:
        groups = protocol.compare(world, file["embeddings"], file["identities"])
    return resample_groups(groups, resamples, record["seed"])


def resample_groups(groups: Mapping[str, Comparisons], resamples: int, seed: int) -> Resampled:
    """As `arcface_fair.evaluation.resample`, with both kinds of pairs weighing alike."""
    balance = protocol.balance(groups)
    streams = {name: np.random.default_rng((seed, place)) for place, name in enumerate(groups)}
    people: list[dict[str, Floats]] = []
    pairs: list[dict[str, Floats]] = []
    for start in range(0, resamples, CHUNK):
        count = min(CHUNK, resamples - start)
        for parts, weigh in ((people, _people), (pairs, _pairs)):
            weights = {n: balance[n] * weigh(g, streams[n], count) for n, g in groups.items()}
            parts.append(_chosen(measure(groups, protocol.RULES, weights)))
    return Resampled(
        _chosen(measure(groups, protocol.RULES, balance)), _joined(people), _joined(pairs)
    )


def averaged(parts: list[Resampled]) -> Resampled:
    """The mean over seeds, resample by resample; seeds are independent of one another."""

    def mean(kind: str) -> dict[str, Floats]:
        return {n: np.mean([getattr(each, kind)[n] for each in parts], axis=0) for n in FIGURES}

    return Resampled(mean("value"), mean("people"), mean("pairs"))


def _ends(difference: Resampled) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name in FIGURES:
        each: Estimate = interval(
            float(difference.value[name][0]), difference.people[name], difference.pairs[name]
        )
        found[name] = [each.value, each.low, each.high]
    return found


def _people(group: Comparisons, rng: np.random.Generator, count: int) -> Floats:
    return people_weights(group.sides, group.same, rng, count)


def _pairs(group: Comparisons, rng: np.random.Generator, count: int) -> Floats:
    return pair_weights(group.same, rng, count)


def _chosen(figures: Mapping[str, Floats]) -> dict[str, Floats]:
    return {name: figures[full] for name, full in FIGURES.items()}


def _joined(parts: list[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([part[name] for part in parts]) for name in FIGURES}
