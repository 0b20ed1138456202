# SPDX-License-Identifier: MIT
"""Settings of one drawn population: who lives there, and which context follows the person.

The planted confounder is ``context_keep``: with this probability, by group, a component of an
image's context (hair, head band, glasses, background, clothes, and face paint or stickers where
a world asks for them) is the identity's own value; otherwise it is drawn afresh. Two worlds that
differ in nothing else hold the same people.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from arcface_fair.errors import UserError

COMPONENTS = (
    "hair_style",
    "hair_colour",
    "fringe",
    "head_band",
    "glasses",
    "background",
    "clothes",
)
# Off unless World.extra names them: with them off, nothing about a picture changes.
EXTRAS = ("makeup", "stickers")
SPLITS = ("train", "validation", "test")
TONES = 4  # looks (skin tone and face shape) that traits.py knows; a fifth group has none


@dataclass(frozen=True, kw_only=True)
class World:
    """One population of drawn people; a wrong field is a :class:`UserError` naming it."""

    identities: int = 320  # people, at least one per group with a share above 0
    images: int = 8  # photographs of each person, at least 1
    group_names: tuple[str, ...] = ("amber", "birch", "coral", "dune")  # first = majority
    group_shares: tuple[float, ...] = (0.7, 0.1, 0.1, 0.1)  # of the identities, sums to 1
    context_keep: tuple[float, ...] = (0.1, 0.95, 0.95, 0.95)  # by group, 0..1
    extra: tuple[str, ...] = ()  # further components, out of EXTRAS
    confounded: tuple[str, ...] = COMPONENTS  # components that obey context_keep
    loose_keep: float = 0.1  # the same probability for every other component, all groups
    pose: float = 0.7  # spread of yaw and pitch, 0 = frontal, 1 = 30 and 18 degrees
    seed: int = 0  # people, context and camera; at least 0
    split: str = "train"  # train, validation, test: disjoint people under one seed

    def __post_init__(self) -> None:
        # Lists are what JSON gives back; a world must be hashable to be a cache's key.
        for name in ("group_names", "group_shares", "context_keep", "extra", "confounded"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _whole("identities", self.identities, 1)
        _whole("images", self.images, 1)
        _whole("seed", self.seed, 0)
        if self.split not in SPLITS:
            _refuse("split", self.split, f"one of {', '.join(SPLITS)}")
        _check_groups(self)
        _rate("loose_keep", self.loose_keep)
        _rate("pose", self.pose)
        if len(set(self.extra) & set(EXTRAS)) != len(self.extra):
            _refuse("extra", ", ".join(self.extra), f"different names out of {', '.join(EXTRAS)}")
        if unknown := sorted(set(self.confounded) - set(self.components)):
            names = ", ".join(self.components)
            _refuse("confounded", ", ".join(unknown), f"names out of {names}")

    @property
    def components(self) -> tuple[str, ...]:
        """Everything that makes up the context of this world's pictures, extras last."""
        return (*COMPONENTS, *self.extra)

    def rng(self, stream: str, *keys: int) -> np.random.Generator:
        """Random numbers that depend on (seed, split, stream, keys) and nothing else."""
        part = SPLITS.index(self.split)
        entropy = np.random.SeedSequence((self.seed, part, zlib.crc32(stream.encode()), *keys))
        return np.random.Generator(np.random.Philox(entropy))

    def group_of(self) -> np.ndarray:
        """Group index of every identity, int64 [identities], in an order drawn from the seed."""
        ideal = np.asarray(self.group_shares) * self.identities
        count = np.floor(ideal + 1e-9).astype(np.int64)
        rest = self.identities - int(count.sum())
        count[np.argsort(-(ideal - count), kind="stable")[:rest]] += 1
        groups = np.repeat(np.arange(len(count)), count)
        return self.rng("groups").permutation(groups)

    def keep(self, group: int) -> np.ndarray:
        """Probability, by component, that the identity's own value is used, [components]."""
        chosen = [name in self.confounded for name in self.components]
        return np.where(chosen, self.context_keep[group], self.loose_keep)

    def held_out(self, split: str, per_group: int, images: int) -> World:
        """As many unseen people of every group, whose context is loose: nothing is planted."""
        present = [n for n, share in zip(self.group_names, self.group_shares, strict=True) if share]
        shares = [(n in present) / len(present) for n in self.group_names]
        return replace(
            self,
            identities=per_group * len(present),
            images=images,
            group_shares=tuple(shares),
            context_keep=(self.loose_keep,) * len(shares),
            split=split,
        )

    def control(self) -> World:
        """The same people and cameras with the confounder taken out: what could be reached."""
        return replace(self, context_keep=(self.loose_keep,) * len(self.group_names))


def _check_groups(world: World) -> None:
    names = world.group_names
    if not 1 <= len(names) <= TONES or len(set(names)) != len(names):
        _refuse("group_names", names, f"1 to {TONES} different words")
    for name in names:
        if not name.isidentifier():
            _refuse("group_names", name, "words of letters, digits and underscores")
    for field in ("group_shares", "context_keep"):
        values = getattr(world, field)
        if len(values) != len(names):
            _refuse(field, values, f"one number for each of the {len(names)} groups")
        for value in values:
            _rate(field, value)
    if abs(sum(world.group_shares) - 1) > 1e-6:
        _refuse("group_shares", world.group_shares, "shares that sum to 1")
    if empty := set(np.flatnonzero(world.group_shares)) - set(world.group_of().tolist()):
        lost = ", ".join(names[g] for g in sorted(empty))
        _refuse("identities", world.identities, f"enough people for every share (none in {lost})")


def _whole(field: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        _refuse(field, value, f"a whole number of at least {least}")


def _rate(field: str, value: float) -> None:
    if not 0 <= value <= 1:
        _refuse(field, value, "numbers from 0 to 1")


def _refuse(field: str, value: object, expected: str) -> None:
    raise UserError(
        f"World.{field} is {value!r}; expected {expected}; correct this setting of the drawn world"
    )


WORLDS: Mapping[str, World] = MappingProxyType(
    {
        "confounded": World(),
        "control": World().control(),
        "weak": World(context_keep=(0.1, 0.8, 0.8, 0.8)),
        "weaker": World(context_keep=(0.1, 0.6, 0.6, 0.6)),
        "glasses": World(confounded=("glasses",)),
        "makeup": World(extra=("makeup",), confounded=("makeup",)),
        "scattered": World(extra=("stickers",), confounded=("stickers",)),
        "alike": World(context_keep=(0.95, 0.95, 0.95, 0.95)),
        "minority_small": World(group_shares=(0.85, 0.05, 0.05, 0.05)),
        "minority_large": World(group_shares=(0.4, 0.2, 0.2, 0.2)),
    }
)
