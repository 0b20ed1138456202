# SPDX-License-Identifier: MIT
"""Turns rows into runs: what decides a result, resolved, and a key that says so.

Two rows that resolve to the same settings share their runs. A key holds only what differs from
the defaults of ``configs/base.py`` and ``World``: a new key with a default throws no run away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from typing import Any

from arcface_fair.config import load_config, merged
from arcface_fair.errors import UserError
from drawn_faces import COMPONENTS, WORLDS, World
from studies.rows import CONTROL, Row

FORMAT = 1  # of the files of runs; another one is refused
PROTOCOL: dict[str, Any] = {"per_group": 80, "images": 6, "impostors": 20_000, "fpr": 0.01}
SEEDS = {"validation": (0, 1), "test": (10, 11, 12, 13, 14)}

# What a run is called and where it lies, and what it prints: no result depends on these.
COSMETIC = frozenset(
    {"rec", "output", "name", "seed", "verbose", "frequent", "save_all_states", "keep_epochs",
     "num_workers", "resume", "notes"}
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What decides the results of a row: the whole config, and the world without a seed."""

    config: dict[str, Any]
    world: World

    @cached_property
    def decisive(self) -> dict[str, Any]:
        """What differs from the defaults, for the digest and to be looked at."""
        base = _loaded("base")
        config = {k: v for k, v in self.config.items() if k not in COSMETIC and v != base.get(k)}
        return {"config": config, "world": world_settings(self.world)}

    @cached_property
    def digest(self) -> str:
        """16 hex digits of `decisive`."""
        return digest(self.decisive)


@dataclass(frozen=True)
class Run:
    """One training run and its measurement."""

    settings: Settings
    seed: int
    split: str

    @cached_property
    def key(self) -> str:
        """16 hex digits: settings, seed, split and protocol."""
        return digest([self.settings.decisive, self.seed, self.split, PROTOCOL])

    @property
    def world(self) -> World:
        """The people it trains on."""
        return replace(self.settings.world, seed=self.seed)

    @property
    def held_out(self) -> World:
        """The people it is judged on; the same for every world of the seed."""
        return self.world.held_out(self.split, PROTOCOL["per_group"], PROTOCOL["images"])


def resolve(row: Row) -> Settings:
    """The settings of a row. Raises UserError for an unknown config or world."""
    config = merged(_loaded(row.config), row.changes)
    return Settings(_plain(config), named_world(row.world))


def named_world(name: str) -> World:
    """A world of ``WORLDS``, or with ":control" behind its name that world's control."""
    plain = name.removesuffix(CONTROL)
    if plain not in WORLDS:
        raise UserError(
            f"there is no world named {plain!r}; known: {', '.join(WORLDS)}; name one of these"
        )
    return WORLDS[plain].control() if name.endswith(CONTROL) else WORLDS[plain]


def runs_of(rows: Iterable[Row], seeds: Iterable[int], split: str) -> dict[str, dict[int, Run]]:
    """Runs by row's name and seed; equal ones have equal keys."""
    seeds = list(seeds)
    return {
        row.name: {seed: Run(settings, seed, split) for seed in seeds}
        for row in rows
        for settings in (resolve(row),)
    }


def world_settings(world: World) -> dict[str, Any]:
    """Fields of ``world`` that differ from the default world's, but for its seed.

    Where nothing follows the person it says nothing which components would.
    """
    if set(world.context_keep) == {world.loose_keep}:
        world = replace(world, confounded=COMPONENTS)
    default = asdict(World())
    fields = {k: v for k, v in asdict(world).items() if v != default[k] and k != "seed"}
    return _plain(fields)


def digest(value: Any) -> str:
    """16 hex digits of anything that JSON can hold."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _loaded(name: str) -> Mapping[str, Any]:
    """A shipped config, read once; never changed."""
    return _plain(load_config(name))


def _plain(value: Any) -> Any:
    """As JSON gives it back: lists for tuples, dicts for EasyDicts."""
    return json.loads(json.dumps(value))
