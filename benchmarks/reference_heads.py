# SPDX-License-Identifier: MIT
"""Plain heads to measure against: upstream's algorithm, and the double-backward penalty.

Written for the benchmark from the algorithms' descriptions; one process, float32.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear, normalize

S, M = 64.0, 0.5


class _InPlaceSoftmax(torch.autograd.Function):
    """The mean cross entropy that turns the logits into probabilities in place."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        logits.sub_(logits.max(1, keepdim=True).values).exp_()
        logits.div_(logits.sum(1, keepdim=True))
        ctx.save_for_backward(logits, labels)
        return -logits.gather(1, labels[:, None]).clamp_min(1e-30).log().mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        p, labels = ctx.saved_tensors
        p -= torch.zeros_like(p).scatter_(1, labels[:, None], 1)
        p.div_(len(p))
        return p * grad.item(), None


def plain_loss(embeddings: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """ArcFace as arcface_torch computes it: every cosine through acos and cos, without a graph."""
    logits = linear(normalize(embeddings), normalize(weight)).clamp(-1, 1)
    rows = torch.arange(len(labels))
    with torch.no_grad():
        logits.arccos_()
        logits[rows, labels] += M
        logits.cos_()
    return _InPlaceSoftmax.apply(logits * S, labels)


def double_backward_loss(
    embeddings: Tensor, labels: Tensor, weight: Tensor, subsets: Tensor, num_subsets: int
) -> Tensor:
    """ArcFace with the textbook penalty: the squared gradient of each subset's risk by autograd."""
    cosines = linear(normalize(embeddings), normalize(weight)).clamp(-1, 1)
    own = cosines.gather(1, labels[:, None])
    moved = own * math.cos(M) - (1 - own * own).clamp_min(1e-12).sqrt() * math.sin(M)
    logits = S * cosines.scatter(1, labels[:, None], moved)
    penalty = logits.new_zeros(())
    for part in subsets:
        for k in range(num_subsets):
            rows = torch.where(part == k)[0]
            scale = torch.ones((), requires_grad=True)
            risk = cross_entropy(scale * logits[rows], labels[rows])
            (slope,) = torch.autograd.grad(risk, scale, create_graph=True)
            penalty = penalty + slope.square() / (num_subsets * len(subsets))
    return cross_entropy(logits, labels) + 0.05 * penalty


def three_products(embeddings: Tensor, weight: Tensor) -> Tensor:
    """The matrix products that nobody can avoid: logits and their two gradients."""
    with torch.no_grad():
        logits = embeddings @ weight.T
        return (logits @ weight).sum() + (logits.T @ embeddings)[0, 0]
