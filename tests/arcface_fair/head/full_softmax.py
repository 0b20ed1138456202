# SPDX-License-Identifier: MIT
"""A plain float64 softmax over all classes, written from the formulas, to hold the head against.

Also the margins and penalties of the test matrix, and the step that a rank runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from arcface_fair import dist
from arcface_fair.head import (
    CIFP,
    Active,
    ArcFace,
    CombinedMargin,
    CosFace,
    MarginContext,
    PartialFC,
    Statistics,
)
from invreg_plugin.penalty import irmv1, rex

S, M, SUBSETS = 24.0, 0.35, 3


class InPlaceArcFace(nn.Module):
    """A two-argument margin of upstream's kind: writes into the cosines, labels are [N, 1]."""

    def forward(self, cosines: Tensor, labels: Tensor) -> Tensor:
        rows = torch.where(labels != -1)[0]
        columns = labels[rows].view(-1)
        with torch.no_grad():
            cosines[rows, columns] = torch.cos(torch.arccos(cosines[rows, columns]) + M)
        return cosines * S


class Curricular(nn.Module):
    """CurricularFace's shape: harder negatives grow, on every shard, by the target's cosine."""

    needs_context = True

    def prepare(self, context: MarginContext) -> MarginContext:
        return MarginContext(
            context.target_cosine, context.norms, state=context.target_cosine.detach().mean()
        )

    def forward(self, cosines: Tensor, labels: Tensor, context: MarginContext) -> Tensor:
        own = labels == torch.arange(cosines.shape[1])
        after = context.target_cosine - M
        hard = cosines > after[:, None]
        grown = cosines * (context.state + cosines + 0.1 * context.target_cosine[:, None])
        return S * torch.where(own, after[:, None], torch.where(hard, grown, cosines))


MARGINS: dict[str, Any] = {
    "arcface": ArcFace(S, M),
    "arcface-exact": ArcFace(S, M, gradient="exact"),
    "cosface": CosFace(S, M),
    "combined-filter": CombinedMargin(S, 1.0, M, 0.0, 0.3, gradient="exact"),
    "combined-cosface": CombinedMargin(S, 1.0, 0.0, M, 0.2),
    "cifp-arcface": CIFP(ArcFace(S, M, gradient="exact")),
    "cifp-cosface": CIFP(CosFace(S, M)),
    "upstream-in-place": InPlaceArcFace(),
    "curricular": Curricular(),
}


@dataclass(frozen=True)
class Batch:
    """One global problem; every tensor the same on all ranks."""

    embeddings: Tensor  # [N, D]
    labels: Tensor  # [N]
    weight: Tensor  # [C, D]
    subsets: Tensor  # [P, N]
    active: Tensor | None  # [A] sorted global class ids, None for all

    def to(self, dtype: torch.dtype) -> Batch:
        return Batch(
            self.embeddings.to(dtype), self.labels, self.weight.to(dtype), self.subsets, self.active
        )


def make_batch(
    seed: int,
    rows: int = 12,
    classes: int = 23,
    width: int = 9,
    labelled: int | None = None,
    sampled: bool = False,
) -> Batch:
    """Random rows near their centres; labels among the first ``labelled`` classes only."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, width, generator=generator, dtype=torch.float64) * 0.01
    labels = torch.randint(labelled or classes, (rows,), generator=generator)
    noise = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    embeddings = 3 * (normalize(weight)[labels] + 0.7 * noise)
    subsets = torch.randint(-1, SUBSETS, (3, rows), generator=generator)
    active = None
    if sampled:
        chosen = torch.randperm(classes, generator=generator)[: classes // 3]
        active = torch.cat([labels, chosen]).unique()
    return Batch(embeddings, labels, weight, subsets, active)


def angular(cosine: Tensor, exact: bool) -> Tensor:
    value = cosine * math.cos(M) - (1 - cosine**2).sqrt() * math.sin(M)
    if exact:
        return torch.where(cosine > -math.cos(M), value, cosine - M * math.sin(math.pi - M))
    return cosine + (value - cosine).detach()


def margin_logits(
    name: str, rows: Tensor, centres: Tensor, labels: Tensor, norms: Tensor
) -> Tensor:
    """Logits [N, C] of one process, from the formulas."""
    own = torch.nn.functional.one_hot(labels, len(centres)).bool()
    cosines = rows @ centres.T
    target = cosines[own]
    others = cosines
    if name.startswith("combined"):
        others = cosines * (cosines <= (0.3 if name.endswith("filter") else 0.2))
    if name == "curricular":
        hard = cosines > (target - M)[:, None]
        grown = cosines * (target.detach().mean() + cosines + 0.1 * target[:, None])
        others = torch.where(hard, grown, cosines)
    straight = {"cosface", "combined-cosface", "cifp-cosface", "curricular"}
    exact = {"arcface-exact", "combined-filter", "cifp-arcface"}
    after = target - M if name in straight else angular(target, name in exact)
    if name.startswith("cifp"):
        after = after - lowered(rows, centres, own, after)
    return S * torch.where(own, after[:, None], others)


def lowered(rows: Tensor, centres: Tensor, own: Tensor, after: Tensor) -> Tensor:
    """(1 + cos_iy) F_i over a full matrix, with the release's gradients."""
    size, classes = own.shape
    both, to_rows = rows @ centres.T, rows @ centres.detach().T
    plain = both.detach()
    target = plain[own][:, None]
    rest = ~own & (plain <= target)
    left_out = int((~own & (plain > target)).sum())
    wanted = -(-(size * (classes - 1) - left_out) // (classes - 1))
    threshold = plain[rest].sort(descending=True).values[wanted - 1] if wanted else torch.inf
    chosen = rest & (plain > threshold)
    value = torch.where(plain < after.detach()[:, None], both, to_rows)
    count = (chosen & (plain != 0)).sum(1).clamp_min(1)
    mean = (value.square() * chosen).sum(1) / count
    return (1 + to_rows[own]) * mean


def penalty_by_autograd(name: str, logits: Tensor, labels: Tensor, subsets: Tensor) -> Tensor:
    """The textbook forms: a double backward per subset, a variance of risks."""
    if name == "none":
        return logits.new_zeros(())
    values = []
    for part in subsets:
        present = [part == k for k in range(SUBSETS) if bool((part == k).any())]
        if not present:
            continue
        scale = torch.ones((), dtype=logits.dtype, requires_grad=True)
        risks = [cross_entropy(scale * logits[rows], labels[rows]) for rows in present]
        if name == "rex":
            zero = logits.new_zeros(())
            values.append(torch.stack(risks).var() if len(risks) > 1 else zero)
        else:
            slopes = [torch.autograd.grad(risk, scale, create_graph=True)[0] for risk in risks]
            values.append(torch.stack(slopes).square().mean())
    return torch.stack(values).mean() if values else logits.new_zeros(())


def full_step(batch: Batch, margin: str, penalty: str) -> dict[str, Tensor]:
    """Loss, statistics and gradients of one process that holds every class."""
    embeddings = batch.embeddings.clone().requires_grad_()
    weight = batch.weight.clone().requires_grad_()
    active = torch.arange(len(weight)) if batch.active is None else batch.active
    labels = torch.searchsorted(active, batch.labels)
    norms = embeddings.norm(dim=1)
    logits = margin_logits(margin, normalize(embeddings), normalize(weight[active]), labels, norms)
    p = logits.softmax(1)
    ce = cross_entropy(logits, labels, reduction="none")
    loss = ce.mean() + 0.05 * penalty_by_autograd(penalty, logits, labels, batch.subsets)
    grads = torch.autograd.grad(loss, [embeddings, weight])
    entropy = -torch.special.xlogy(p, p).sum(1)
    values = {"loss": loss, "ce": ce, "entropy": entropy, "pmax": p.amax(1)}
    found = {name: value.detach() for name, value in values.items()}
    return found | {"embeddings": grads[0], "weight": grads[1]}


def make_head(batch: Batch, margin: str, kernel: str, columns: int = 5) -> PartialFC:
    """A head with this batch's centres and sample, and blocks of ``columns`` classes."""
    classes, width = batch.weight.shape
    rate = 1.0 if batch.active is None else 0.5
    head = PartialFC(MARGINS[margin], width, classes, rate, kernel=kernel)  # type: ignore[arg-type]
    head.to(batch.weight.dtype)
    head.block_columns = columns
    with torch.no_grad():
        head.weight.copy_(batch.weight[head.classes.start : head.classes.stop])
    if batch.active is not None:
        here = (batch.active >= head.class_start) & (batch.active < head.classes.stop)
        active = Active(batch.active[here] - head.class_start)
        head.sample = lambda labels: active  # type: ignore[method-assign, assignment]
    return head


def own_rows(tensor: Tensor) -> Tensor:
    return tensor.chunk(dist.world_size())[dist.rank()].clone()


def head_step(batch: Batch, margin: str, penalty: str, kernel: str) -> dict[str, Tensor]:
    """The same as ``full_step`` on this rank's rows and classes; gradients are this rank's."""
    head = make_head(batch, margin, kernel)
    seen: list[Statistics] = []

    def term(statistics: Statistics) -> Tensor:
        seen.append(statistics)
        if penalty == "none":
            return statistics.ce.new_zeros(())
        if penalty == "rex":
            return 0.05 * rex(statistics.ce, batch.subsets, SUBSETS)
        return 0.05 * irmv1(statistics.ce, statistics.entropy, batch.subsets, SUBSETS)

    head.terms.append(term)
    embeddings = own_rows(batch.embeddings).requires_grad_()
    loss = head(embeddings, own_rows(batch.labels))
    loss.backward()
    assert embeddings.grad is not None
    assert head.weight.grad is not None
    values = {"ce": seen[0].ce, "entropy": seen[0].entropy, "pmax": seen[0].pmax, "loss": loss}
    found = {name: value.detach() for name, value in values.items()}
    # PartialFC.forward multiplies by the world size because DDP divides by it.
    return found | {
        "embeddings": embeddings.grad / dist.world_size(),
        "weight": head.weight.grad,
    }


def joined(answers: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Several ranks' answers as one; raises where what must be equal on all ranks is not."""
    whole = dict(answers[0])
    for answer in answers[1:]:
        for name in ("loss", "ce", "entropy", "pmax"):
            assert torch.equal(answer[name], whole[name]), name
    for name in ("embeddings", "weight"):
        whole[name] = torch.cat([answer[name] for answer in answers])
    return whole


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor], dtype: torch.dtype) -> None:
    """Values to 1e-10 and gradients to 1e-9 relative in float64; float32 to its rounding."""
    double = dtype == torch.float64
    for name, wanted in theirs.items():
        gradient = name in ("embeddings", "weight")
        tolerance = (1e-9 if gradient else 1e-10) if double else (3e-5 if gradient else 1e-5)
        size = float(wanted.abs().max())
        worst = float((ours[name].double() - wanted).abs().max())
        assert worst <= tolerance * max(size, 1e-3), f"{name}: {worst:.2e} of {size:.2e}"
