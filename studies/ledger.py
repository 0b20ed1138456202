# SPDX-License-Identifier: MIT
"""The test ledger: test identities are evaluated once per run config, by settings chosen before.

Settings are chosen on the validation identities. The first test run of a config writes its
settings down; other settings are refused from then on, or let in and shown as such.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from arcface_fair.errors import UserError
from studies.folder import Record
from studies.plan import SEEDS


def enter_tests(
    opened: Mapping[str, Record], digests: Mapping[str, str], reopen: bool = False
) -> dict[str, Record]:
    """``opened`` with the rows whose test runs are about to start. digests: settings by row.

    Raises UserError for a row that was opened with other settings, unless ``reopen``.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    result: dict[str, Record] = {name: dict(entry) for name, entry in opened.items()}
    for name, digest in digests.items():
        before = result.get(name)
        if before is None:
            result[name] = {"digest": digest, "date": now, "again": []}
        elif before["digest"] != digest:
            if not reopen:
                raise UserError(
                    f"the test identities were evaluated for {name!r} on {before['date'][:10]} "
                    "with other settings; choose settings on --split validation, or evaluate "
                    "again with --reopen, which the results will show"
                )
            again = [*before["again"], {"digest": before["digest"], "date": now}]
            result[name] = {**before, "digest": digest, "again": again}
    return result


def without_unfinished(
    opened: Mapping[str, Record], tested: Collection[str], asked: Collection[str]
) -> dict[str, Record]:
    """``opened`` without those of the rows ``asked`` for whose runs never came to an end.

    tested: settings with finished test runs. Rows not asked for may be under way elsewhere.
    """
    return {
        name: entry
        for name, entry in opened.items()
        if name not in asked or entry["digest"] in tested or entry["again"]
    }


def check_seeds(
    split: str, seeds: Iterable[int], present: Mapping[str, Iterable[int]] | None = None
) -> None:
    """Raises UserError for no seeds, one twice, or one whose people serve the other split.

    present: seeds of finished runs by split, beside the default ones. The people that a network
    is trained on depend on the seed too, so settings must not be chosen on a seed of the test.
    """
    seeds = list(seeds)
    if not seeds:
        raise UserError("no seeds were given; name at least one, five are usual for a test")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"a seed is given twice in {_words(seeds)}; name each once")
    if min(seeds) < 0:
        raise UserError(f"seed {min(seeds)} is negative; seeds are whole numbers from 0")
    for other, default in SEEDS.items():
        taken = set(default) | set((present or {}).get(other, ()))
        if other != split and (both := sorted(taken & set(seeds))):
            raise UserError(
                f"seed {_words(both)} belongs to the {other} people, and {split} asks for it; "
                "name seeds that only one split uses"
            )


def merged_ledgers(*known: Mapping[str, Record]) -> dict[str, Record]:
    """Openings of several places; of two entries of a row the one opened again more often."""
    result: dict[str, Any] = {}
    for openings in known:
        for name, entry in openings.items():
            if name not in result or len(entry["again"]) > len(result[name]["again"]):
                result[name] = entry
    return result


def _words(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))
