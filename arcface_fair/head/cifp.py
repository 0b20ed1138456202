# SPDX-License-Identifier: MIT
"""CIFP: the hardest false pairs of the batch lower their row's target, on shards, one matmul.

v_ij = cos_ij for j != y_i. Left out: pairs above their row's plain target (v_ij > cos_iy); B is
their number. far = 1 / (C - 1); t = n-th largest of the rest over all rows and shards, with
n = ceil((N (C - 1) - B) / (C - 1)). S_i = the rest with v_ij > t, F_i = mean of v_ij^2 over S_i.

    target_i = margin(cos_iy) - (1 + cos_iy) F_i

Source: arXiv 2106.05519 and INV-REG's release, whose gradients these are: 1 + cos_iy passes none
to the class centre, and v_ij passes one to its centre only where v_ij < margin(cos_iy).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from arcface_fair import dist
from arcface_fair.errors import UserError
from arcface_fair.head.margin import ArcFace, CombinedMargin, CosFace, TargetMargin


class CIFP(nn.Module):
    """Consistent false positives (arXiv 2106.05519) on top of ArcFace or CosFace.

    Only ``PartialFC`` can compute it: the threshold is a rank among all shards' pairs and the
    gradients treat embeddings and class centres differently. With sampling, the pairs are those
    of the sampled classes. Raises UserError for any other margin.
    """

    def __init__(self, margin: TargetMargin) -> None:
        super().__init__()
        if not isinstance(margin, ArcFace | CosFace | CombinedMargin):
            raise UserError(
                f"CIFP wraps {type(margin).__name__}, expected ArcFace, CosFace or CombinedMargin; "
                "use CIFP(ArcFace(64.0, 0.4))"
            )
        self.margin = margin

    def forward(self, cosines: Tensor, labels: Tensor) -> Tensor:
        """Raises UserError: cosines alone do not say what to pass to whom."""
        raise UserError(
            "CIFP was called like a margin, expected the head to compute it; pass it to "
            "arcface_fair.head.PartialFC"
        )


class Pairs(NamedTuple):
    """The selected pairs of this shard."""

    rows: Tensor  # [n] row of the gathered batch
    columns: Tensor  # [n] active class of this shard
    values: Tensor  # [n] their cosines


class PairSearch:
    """Finds the selected pairs while blocks of cosines stream by; no gradient."""

    def __init__(self, target_cosine: Tensor, columns: Tensor) -> None:
        """``target_cosine`` [N], plain and global; ``columns`` [N], -1 elsewhere."""
        self.target_cosine, self.columns = target_cosine, columns
        empty = torch.empty(0, dtype=torch.int64, device=columns.device)
        self.best = Pairs(empty, empty, target_cosine.new_empty(0))
        self.left_out = torch.zeros((), dtype=torch.int64, device=columns.device)
        self.num_classes = 0

    def see(self, scaled: Tensor, start: int, scale: float = 1.0) -> None:
        """Takes in scale * cosines [N, k] of the columns from ``start``."""
        width = scaled.shape[1]
        self.num_classes += width
        if width == 0:
            return
        (own,) = torch.where((self.columns >= start) & (self.columns < start + width))
        column = self.columns[own] - start
        above = scaled > (self.target_cosine * scale)[:, None]
        above[own, column] = False
        self.left_out += torch.count_nonzero(above)
        above[own, column] = True
        size = len(self.target_cosine)
        if len(self.best.values) >= size:
            floor = self.best.values[-1] * scale
            rows, columns = torch.where((scaled > floor).logical_and_(above.logical_not_()))
        else:
            # Before there are N candidates nearly every pair would be one; topk lists N at most.
            rest = scaled.masked_fill(above, -torch.inf).flatten()
            best = rest.topk(min(size, rest.numel())).indices
            best = best[rest[best] > -torch.inf]
            rows, columns = best // width, best % width
        candidates = Pairs(rows, columns + start, scaled[rows, columns] / scale)
        joined = [torch.cat(pair) for pair in zip(self.best, candidates, strict=True)]
        values, order = joined[2].topk(min(size, len(joined[2])))
        self.best = Pairs(joined[0][order], joined[1][order], values)

    def selected(self) -> Pairs:
        """This shard's pairs above the threshold of all shards; called by all ranks."""
        counts = torch.stack([self.left_out, torch.full_like(self.left_out, self.num_classes)])
        left_out, num_classes = dist.all_reduce_(counts).tolist()
        size = len(self.target_cosine)
        padded = self.target_cosine.new_full((size,), -torch.inf)
        padded[: len(self.best.values)] = self.best.values
        everywhere = dist.gather_values(padded).flatten()
        # n = ceil((N (C - 1) - B) / (C - 1)) = N - floor(B / (C - 1))
        wanted = size - left_out // (num_classes - 1) if num_classes > 1 else 0
        if wanted == 0:
            return Pairs(*(part[:0] for part in self.best))
        threshold = everywhere.topk(wanted).values[-1]
        return Pairs(*(part[self.best.values > threshold] for part in self.best))


def cifp_target(
    cifp: CIFP,
    rows: Tensor,
    own: Tensor,
    own_centres: Tensor,
    pairs: Pairs,
    pair_centres: Tensor,
    target_cosine: Tensor,
) -> Tensor:
    """Target logits [n] of this shard's ``own`` rows, with CIFP's gradients.

    ``rows`` [N, D] unit embeddings; ``own_centres`` [n, D] and ``pair_centres`` [p, D] class
    centres of any length; ``target_cosine`` [N] plain, global, without a graph. All ranks call.
    """
    with torch.no_grad():
        after_margin = cifp.margin.target(target_cosine)
        to_centre = (pairs.values < after_margin[pairs.rows])[:, None]
    unit = normalize(pair_centres)
    values = (rows[pairs.rows] * torch.where(to_centre, unit, unit.detach())).sum(1)
    size = len(rows)
    total = values.new_zeros(size).index_add(0, pairs.rows, values.square())
    count = values.new_zeros(size).index_add(0, pairs.rows, (values != 0).to(values.dtype))
    mean = dist.sum_over_ranks(total) / dist.all_reduce_(count.detach()).clamp_min(1)
    unit = normalize(own_centres)
    cosine = (rows[own] * unit).sum(1).clamp(-1, 1)
    from_rows = (rows[own] * unit.detach()).sum(1).clamp(-1, 1)
    return cifp.margin.s * (cifp.margin.target(cosine) - (1 + from_rows) * mean[own])
