# SPDX-License-Identifier: MIT
"""Learns, from frozen features alone, the partition of identities the features vary most across.

C identities, K subsets, N images, D feature size. M [C, K] are raw scores, A = softmax(M) soft
assignments; M is drawn from N(0, 1) and climbs the objective (see objective.py) row by row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.errors import UserError
from arcface_fair.plugin.partition import NOT_ASSIGNED, Partition, check_subsets
from invreg_plugin import projection as projection_head
from invreg_plugin.batches import Batch, ClassBalancedBatches
from invreg_plugin.config import InvRegSettings
from invreg_plugin.objective import Similarities, similarities, value_and_gradient

log = logging.getLogger("arcface_fair.invreg.partition")  # below the run's own log

_DECAY = 0.99  # of RowAdam's squared gradient, per visit

Progress = Callable[[int, int, float], None]


@dataclass(frozen=True)
class LearnedPartition(Partition):
    """A partition and how it was found.

    objective: what was maximised, at the end; history: one dict per pass with "step", "objective",
    "changed" (share of identities that changed subset), "learning_rate"; report: counts by name.
    """

    objective: float = float("nan")
    history: list[dict[str, float]] = field(default_factory=list)
    report: dict[str, int] = field(default_factory=dict)


class Features(Protocol):
    """Where rows of features come from: FeatureStore, or an array behind the same two names."""

    @property
    def shape(self) -> tuple[int, int]:
        """(images, feature size)."""

    def read(self, positions: np.ndarray) -> np.ndarray:
        """Rows in the order asked for, float32 [n, D]."""


class _Array:
    """An array in memory as a source of features."""

    def __init__(self, array: np.ndarray):
        self._array = array
        self.shape = array.shape

    def read(self, positions: np.ndarray) -> np.ndarray:
        return self._array[positions].astype(np.float32)


def learn_partition(
    features: Features | np.ndarray,
    identities: np.ndarray,
    num_classes: int,
    settings: InvRegSettings,
    *,
    num_subsets: int = 2,
    seed: int = 0,
    progress: Progress | None = None,
    device: torch.device | str = "cpu",
) -> LearnedPartition:
    """The partition of ``num_classes`` identities that maximises ``settings.objective``.

    features: [N, D] array or feature store, normalised here; identities int64 [N] in any order.
    ``seed`` decides M's start and every batch. progress(step, total_steps, objective) is called
    after every step. With several ranks all must call it with the same arguments: they share the
    rows of each batch and return one matrix, bit for bit; another number of ranks changes it by
    rounding only. Raises UserError for features that do not match the identities, too few
    identities, or none with two images.
    """
    source = _Array(features) if isinstance(features, np.ndarray) else features
    batches = ClassBalancedBatches(
        identities,
        num_classes,
        settings.identities_per_batch,
        settings.images_per_identity,
        seed,
    )
    _check(source, identities, batches, num_subsets)
    shape = (num_classes, num_subsets)
    learner = _Learner(source, batches, shape, settings, seed, torch.device(device))
    with torch.enable_grad():
        learner.run(progress)
    return learner.partition()


def _check(
    source: Features,
    identities: np.ndarray,
    batches: ClassBalancedBatches,
    num_subsets: int,
) -> None:
    if len(source.shape) != 2 or source.shape[0] != len(identities):
        raise UserError(
            f"features have shape {tuple(source.shape)} for {len(identities)} identities, expected "
            "one row per image; extract the features of this record again"
        )
    check_subsets(num_subsets, len(batches.present))
    if batches.images.max() < 2:
        raise UserError(
            f"none of {len(batches.present)} identities has two images, expected some with at "
            "least two; partition learning compares images of one identity"
        )
    single = int((batches.images == 1).sum())
    if single and dist.rank() == 0:
        log.warning(
            "%d of %d identities have one image: they have no positive pair and are placed by "
            "their likeness to the others alone",
            single,
            len(batches.present),
        )


def _finite_rows(source: Features, batch: Batch) -> np.ndarray:
    """The batch's rows [N, D]; one that is not finite would spoil every identity's scores."""
    rows = source.read(batch.positions)
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise UserError(
            f"the feature of image {batch.positions[(~finite).argmax()]} is not finite, expected "
            "finite features; the network has diverged, go back to an earlier checkpoint"
        )
    return rows


class _Learner:
    """M, its optimiser's memory and the history of one run."""

    def __init__(
        self,
        source: Features,
        batches: ClassBalancedBatches,
        shape: tuple[int, int],
        settings: InvRegSettings,
        seed: int,
        device: torch.device,
    ):
        self.source, self.batches, self.settings, self.device = source, batches, settings, device
        self.seed = seed
        generator = torch.Generator().manual_seed(seed)
        # Drawn on the CPU so that every device starts alike; double, so that the number of ranks
        # shows in the last digits only.
        self.scores = torch.randn(shape, generator=generator, dtype=torch.float64).to(device)
        self.optimiser = RowAdam(self.scores)
        per_pass = batches.batches_per_pass
        self.passes = max(settings.visits, -(-settings.min_steps // per_pass))
        self.total_steps = self.passes * per_pass
        self.project: Callable[[Tensor], Tensor] = torch.nn.functional.normalize
        self.history: list[dict[str, float]] = []
        self.step = 0

    def run(self, progress: Progress | None) -> None:
        if self.settings.projection:
            self.project = projection_head.train(
                self.source, self.batches, self.settings.temperature, self.seed, self.device
            )
        quiet, hard = 0, self.scores.argmax(1)
        window = -(-10 // self.batches.batches_per_pass)  # passes that make at least ten steps
        for index in range(self.passes):
            values = [self._step(batch, progress) for batch in self.batches.one_pass(index)]
            if (index + 1) % window and index + 1 < self.passes:
                continue
            before, hard = hard, self.scores.argmax(1)
            changed = float((before != hard).sum()) / len(self.batches.present)
            self._remember(float(np.mean(values)), changed)
            quiet = quiet + 1 if changed <= self.settings.tolerance else 0
            if self._agreed_to_stop(quiet):
                break
        dist.broadcast_(self.scores)

    def _agreed_to_stop(self, quiet: int) -> bool:
        """Rank 0's decision on every rank: a difference in rounding must not part them."""
        patient = 0 < self.settings.patience <= quiet
        decision = torch.tensor([float(patient)], device=self.device)
        return bool(dist.broadcast_(decision).item())

    def _remember(self, value: float, changed: float) -> None:
        rate = self._learning_rate(max(self.step - 1, 0))
        self.history.append(
            {"step": self.step, "objective": value, "changed": changed, "learning_rate": rate}
        )

    def _learning_rate(self, step: int) -> float:
        return self.settings.learning_rate * 0.2 ** (5 * step // self.total_steps)

    def _step(self, batch: Batch, progress: Progress | None) -> float:
        ids = torch.from_numpy(batch.identities).to(self.device)
        assignment = self.scores[ids].softmax(1)
        result = value_and_gradient(
            self.settings.objective,
            self._similarities(batch),
            assignment,
            self.settings.balance,
        )
        gradient = assignment * (
            result.gradient - (assignment * result.gradient).sum(1, keepdim=True)
        )
        self.optimiser.step(ids, gradient, self._learning_rate(self.step))
        self.step += 1
        if progress is not None:
            progress(self.step, self.total_steps, result.value)
        return result.value

    def _similarities(self, batch: Batch) -> Similarities:
        features = torch.from_numpy(_finite_rows(self.source, batch)).to(self.device)
        slots = torch.from_numpy(batch.slots).to(self.device)
        size, ranks, rank = len(slots), dist.world_size(), dist.rank()
        rows = slice(size * rank // ranks, size * (rank + 1) // ranks)
        slopes = self.settings.objective == "irmv1"
        return similarities(self.project(features), slots, rows, self.settings.temperature, slopes)

    def partition(self) -> LearnedPartition:
        assignment = self.scores.softmax(1)
        confidence, subset = (t.cpu().numpy() for t in assignment.max(1))
        absent = self.batches.images == 0
        subset, confidence = subset.astype(np.uint8), confidence.astype(np.float32)
        subset[absent], confidence[absent] = NOT_ASSIGNED, 0.0
        report = {
            "steps": self.step,
            "planned_steps": self.total_steps,
            "identities": len(self.batches.present),
            "identities_without_images": int(absent.sum()),
            "identities_with_one_image": int((self.batches.images == 1).sum()),
        }
        value = self.history[-1]["objective"]
        names = Partition.of_subset(subset, assignment.shape[1]).names
        return LearnedPartition(subset, names, confidence, value, self.history, report)


class RowAdam:
    """Adam (arXiv 1412.6980) with beta1 = 0 in which a row lives when its identity is in the batch.

    Each row has its own step count: every identity sees the same optimiser over its own visits,
    however many identities there are, and a step touches [P, K] numbers. An identity is visited
    a few dozen times, which is too few for a momentum of 0.9 and a second moment of 0.999: with
    them the partition of 20,000 identities took three times the visits.

    values [C, K] float64 is changed in place.
    """

    def __init__(self, values: Tensor):
        self.values = values
        self.square = torch.zeros_like(values)
        self.visits = torch.zeros(len(values), 1, dtype=values.dtype, device=values.device)

    def step(self, rows: Tensor, gradient: Tensor, rate: float) -> None:
        """Descends along ``gradient`` [P, K] of the rows [P] int64 (each once)."""
        visits = self.visits[rows] + 1
        square = torch.lerp(gradient.square(), self.square[rows], _DECAY)
        size = (square / (1 - _DECAY**visits)).sqrt() + 1e-8
        self.values[rows] -= rate * gradient / size
        self.visits[rows], self.square[rows] = visits, square
