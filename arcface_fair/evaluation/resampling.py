# SPDX-License-Identifier: MIT
"""Intervals that know that pairs share people: a bootstrap over identities.

Every resample draws each group's people with replacement. A person drawn n times has the weight
w = 1 + h (n - 1); a genuine pair weighs w, an impostor pair of a and b w_a * w_b. With h = 1 that
is the plain bootstrap; with h = `STEP` = 1/2 resamples stay near the data, where the metrics are
nearly linear, and what varies is brought back to scale by 1 / h. Thresholds are chosen anew in
every resample.

The product counts shared people rightly, but overstates chance that belongs to a single impostor
pair: its variance is (1 + h^2)^2 - 1 = h^2 (2 + h^2) where it should be h^2 (the "pigeonhole"
bootstrap of Owen, arXiv 0712.1111, is conservative for the same reason). A second bootstrap over
impostor pairs alone estimates that part, and

    V = (V_people - (1 + h^2) V_pairs) / h^2,  at least V_people / (h^2 (2 + h^2))

is the variance of the interval. Its shape is that of the resamples, around the value itself.
B resamples, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from arcface_fair.errors import UserError
from arcface_fair.evaluation.comparisons import Comparisons, Ints
from arcface_fair.evaluation.metrics import Metric, Protocol, measure, metrics_of
from arcface_fair.evaluation.verification import Bools, Floats

STEP = 0.5  # h
CHUNK = 50  # resamples at a time; bounds the memory
Values = dict[str, Floats]


@dataclass(frozen=True)
class Estimate:
    """A value and its interval. NaN: the data cannot say."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is a value at all."""
        return bool(np.isfinite(self.value))


@dataclass(frozen=True)
class Resampled:
    """Resamples of every metric: people drawn [B], and impostor pairs alone drawn [B].

    metrics: what each is, by key; `estimates` needs it, differences do not.
    """

    value: Values
    people: Values
    pairs: Values
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    def estimates(self, level: float = 0.95) -> dict[str, Estimate]:
        """Every metric with its interval."""
        return {
            name: clipped(
                interval(float(self.value[name][0]), self.people[name], self.pairs[name], level),
                *self.metrics[name].domain,
            )
            for name in self.value
        }

    def changes(self, level: float = 0.95) -> dict[str, Estimate]:
        """As `estimates`, of differences, which know no natural ends."""
        return {
            name: interval(float(self.value[name][0]), self.people[name], self.pairs[name], level)
            for name in self.value
        }

    def minus(self, other: Resampled) -> Resampled:
        """Differences to ``other``, resample by resample: paired if both drew the same people."""
        with np.errstate(invalid="ignore"):  # infinite ratios have no difference
            value, people, pairs = (
                {name: mine[name] - theirs[name] for name in mine}
                for mine, theirs in (
                    (self.value, other.value),
                    (self.people, other.people),
                    (self.pairs, other.pairs),
                )
            )
        return Resampled(value, people, pairs)


def resample(
    groups: Mapping[str, Comparisons],
    protocol: Protocol | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
    on_resamples: Callable[[int], object] = lambda count: None,
) -> Resampled:
    """All metrics of `measure`, and how they vary. Two models with the same groups, people and
    seed get the same draws, so that `Resampled.minus` is paired.
    """
    if resamples < 2:
        raise UserError(f"{resamples} resamples give no interval; 1000 are usual, at least 2")
    protocol = protocol or Protocol()
    people: list[Values] = []
    pairs: list[Values] = []
    for by_people, by_pairs in _weightings(groups, resamples, seed):
        people.append(measure(groups, protocol, by_people))
        pairs.append(measure(groups, protocol, by_pairs))
        on_resamples(len(next(iter(by_people.values()))))
    return Resampled(
        measure(groups, protocol), _joined(people), _joined(pairs), metrics_of(groups, protocol)
    )


def check_paired(first: Mapping[str, Comparisons], second: Mapping[str, Comparisons]) -> None:
    """Raises UserError unless both models were judged on the same pairs of the same groups."""
    alike = list(first) == list(second) and all(
        np.array_equal(first[name].same, second[name].same)
        and np.array_equal(first[name].sides, second[name].sides)
        for name in first
    )
    if not alike:
        raise UserError(
            "the models were judged on different pairs; evaluate both on the same sets to compare"
        )


def interval(value: float, people: Floats, pairs: Floats, level: float = 0.95) -> Estimate:
    """The interval of one metric from its resamples [B] each; NaN where it has none."""
    if not 0 < level < 1:
        raise UserError(f"level is {level}; it must lie between 0 and 1, 0.95 is usual")
    ends = [(1 - level) / 2, (1 + level) / 2]
    drawn = people[np.isfinite(people)]
    if not np.isfinite(value) or len(drawn) < 0.9 * len(people):
        return Estimate(value, np.nan, np.nan)
    spread, alone = drawn.var(), pairs[np.isfinite(pairs)]
    chance = alone.var() if len(alone) else 0.0
    wanted = max(spread - (1 + STEP**2) * chance, spread / (2 + STEP**2)) / STEP**2
    scale = np.sqrt(wanted / spread) if spread > 0 else 0.0
    low, high = value + scale * (np.quantile(drawn, ends) - drawn.mean())
    # A ratio to zero in more resamples than lie beyond the end: the end is not finite either.
    endless = np.isposinf(people).mean() > ends[0]
    return Estimate(value, float(low), np.inf if endless else float(high))


def clipped(estimate: Estimate, lowest: float, highest: float) -> Estimate:
    """The interval within what the metric can be."""
    low, high = (float(np.clip(end, lowest, highest)) for end in (estimate.low, estimate.high))
    return Estimate(estimate.value, low, high)


def drawn_weights(count: int, rng: np.random.Generator) -> Floats:
    """Weights [count] of people, or pairs, of whom as many are drawn with replacement."""
    times = np.bincount(rng.integers(count, size=count), minlength=count)
    return np.asarray(1 + STEP * (times - 1.0), np.float64)


def people_weights(sides: Ints, same: Bools, rng: np.random.Generator, count: int) -> Floats:
    """Weights [count, P] when people are drawn: w for genuine pairs, w_a w_b for impostors."""
    people = int(sides.max()) + 1
    weights = np.stack([drawn_weights(people, rng) for _ in range(count)])
    return np.where(
        same, weights[:, sides[:, 0]], weights[:, sides[:, 0]] * weights[:, sides[:, 1]]
    )


def pair_weights(same: Bools, rng: np.random.Generator, count: int) -> Floats:
    """Weights [count, P] when impostor pairs alone are drawn; genuine pairs stay."""
    other = np.flatnonzero(~same)
    weights = np.ones((count, len(same)))
    for row in weights:
        row[other] = drawn_weights(len(other), rng)
    return weights


def _weightings(
    groups: Mapping[str, Comparisons], resamples: int, seed: int
) -> Iterator[tuple[dict[str, Floats], dict[str, Floats]]]:
    names = enumerate(groups)
    streams = {name: np.random.default_rng((seed, number)) for number, name in names}
    for start in range(0, resamples, CHUNK):
        count = min(CHUNK, resamples - start)
        yield (
            {n: people_weights(g.sides, g.same, streams[n], count) for n, g in groups.items()},
            {n: pair_weights(g.same, streams[n], count) for n, g in groups.items()},
        )


def _joined(parts: list[Values]) -> Values:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
