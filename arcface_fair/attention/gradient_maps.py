# SPDX-License-Identifier: MIT
"""Gradient attention maps: where an image would have to change to change the network's certainty.

    T_i = mean_j (pmax_i - p_ij) = pmax_i - 1 / C
    GAM_i = max over channels | d sum_n T_n / d x_i |

over the softmax of the gathered batch (GABN, eq. 1-2; the 1 / C drops out of the derivative). In
train mode the derivative of the sum holds cross-image terms through BatchNorm; in eval mode a map
depends on its own image alone. With sampled classes p is the softmax over the active ones.

B rows on this rank, N rows of the gathered batch, C classes, H W height and width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from arcface_fair import dist
from arcface_fair.attention.second_order import cheap_second_order
from arcface_fair.errors import UserError
from arcface_fair.head import Active, CosFace, PartialFC

_FIRST_SCALE, _LARGEST_SCALE = 2.0**12, 2.0**40
_STEPS_TO_GROW = 50
_SMALLEST_MEAN = 1e-30  # maps below it count as zeros; 1 / mean must stay finite in float32


@dataclass(frozen=True)
class Attention:
    """One pass over a batch. Gradient and maps have a graph where one was asked for."""

    gradient: Tensor  # [B, 3, H, W] float32, d sum_n pmax_n / d images; 0 where nothing depends
    maps: Tensor  # [B, H, W] the GAM of every image
    embeddings: Tensor  # [B, D] of this pass, detached
    pmax: Tensor  # [N] of this pass, detached, equal on all ranks


class ObjectiveScale:
    """Keeps the backward pass of a float16 network within that type's range.

    d pmax / dz underflows for confident rows, so the objective is multiplied by a power of two,
    the map divided by it in float32. It doubles while gradients stay finite and is divided by
    four when they do not, on all ranks alike. Outside float16 it is 1 and costs nothing.
    """

    def __init__(self) -> None:
        self.value = _FIRST_SCALE
        self._clean = 0

    def lower(self) -> bool:
        """After an overflow: whether another attempt makes sense."""
        self._clean = 0
        self.value /= 4
        return self.value >= 1

    def passed(self) -> None:
        """After a finite gradient."""
        self._clean += 1
        if self._clean >= _STEPS_TO_GROW and self.value < _LARGEST_SCALE:
            self.value, self._clean = self.value * 2, 0

    def state_dict(self) -> dict[str, float]:
        """Numbers only."""
        return {"value": self.value, "clean": self._clean}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Takes back what `state_dict` gave."""
        self.value, self._clean = float(state["value"]), int(state["clean"])


def attend(
    backbone: nn.Module,
    head: PartialFC,
    images: Tensor,
    labels: Tensor,
    *,
    margin: Any,
    active: Active | None = None,
    create_graph: bool = False,
    scale: ObjectiveScale | None = None,
) -> Attention:
    """One forward pass and its input gradient, on the bare ``backbone``; all ranks or none.

    ``images`` [B, 3, H, W]; ``labels`` [B] valid class ids (they matter only to a ``margin``
    other than `plain_margin`). Weights get no gradient here; with ``create_graph`` the gradient
    can be differentiated with respect to them, and class centres then receive their gradient
    divided by the world size, for a loss that is a rank's share times the world size. BatchNorm
    uses the batch in train mode and leaves its running statistics alone.
    """
    images = images.detach().requires_grad_()
    with (
        torch.enable_grad(),
        statistics_held(backbone),
        frozen(backbone, head, on=not create_graph),
    ):
        with cheap_second_order() if create_graph else nullcontext():
            embeddings = backbone(images)
        statistics = head.statistics(
            embeddings,
            labels,
            margin=margin,
            active=active,
            centre_gradient=1 / dist.world_size() if create_graph else 1.0,
        )
        objective = statistics.pmax.sum()
        half = computes_in_half(backbone, images.device)
        used = scale if half else None
        gradient = _input_gradient(objective, images, create_graph, used)
    maps = gradient.abs().amax(1)
    return Attention(gradient, maps, embeddings.detach(), statistics.pmax.detach())


def certainty(
    backbone: nn.Module, head: PartialFC, images: Tensor, labels: Tensor, active: Active | None,
    margin: Any,
) -> Tensor:  # fmt: skip
    """sum_n pmax_n of the gathered batch with a graph to the weights; conventions of `attend`."""
    with statistics_held(backbone):
        return head.statistics(
            backbone(images), labels, margin=margin, active=active,
            centre_gradient=1 / dist.world_size(),
        ).pmax.sum()  # fmt: skip


def _input_gradient(
    objective: Tensor, images: Tensor, create_graph: bool, scale: ObjectiveScale | None
) -> Tensor:
    if not objective.requires_grad:
        return torch.zeros_like(images)
    while True:
        factor = 1.0 if scale is None else scale.value
        (gradient,) = torch.autograd.grad(
            objective * factor,
            images,
            create_graph=create_graph,
            retain_graph=create_graph or scale is not None,
            allow_unused=True,
        )
        if gradient is None:
            return torch.zeros_like(images)
        if scale is None:
            return gradient
        bad = (~gradient.isfinite()).any().float()
        if not dist.all_reduce_(bad, "max").item():
            scale.passed()
            return gradient.float() / factor
        if not scale.lower():
            return torch.nan_to_num(gradient.detach().float() / factor, 0.0, 0.0, 0.0)


def computes_in_half(backbone: nn.Module, device: torch.device) -> bool:
    """Whether the network's convolutions run in float16 (bfloat16 has float32's range)."""
    return bool(getattr(backbone, "fp16", False)) and (
        torch.get_autocast_dtype(device.type) == torch.float16
    )


def plain_margin(margin: Any) -> CosFace:
    """z = s * cos for every class, with the scale of ``margin``.

    Raises UserError for a margin that does not tell its scale as ``s``.
    """
    inner = getattr(margin, "margin", margin)
    scale = getattr(inner, "s", None)
    if scale is None:
        raise UserError(
            f"the margin {type(inner).__name__} has no attribute 's', expected its scale; give it "
            "one, attention maps of plain cosines need it"
        )
    return CosFace(float(scale), 0.0)


@contextmanager
def statistics_held(module: nn.Module) -> Iterator[None]:
    """BatchNorm layers normalise as in their mode but leave their running statistics alone."""
    layers = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kept = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        # A momentum of 0 takes the same path through autograd as any other, which a checkpointed
        # unit compares when it runs again.
        layer.momentum, layer.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for layer, (momentum, tracked) in zip(layers, kept, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, tracked


@contextmanager
def frozen(*modules: nn.Module, on: bool = True) -> Iterator[None]:
    """Parameters take no gradient in graphs that are built inside; saves memory and time."""
    parameters = [p for m in modules for p in m.parameters() if p.requires_grad] if on else []
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def relative_maps(maps: Tensor) -> Tensor:
    """``maps`` [B, H, W] divided by their means, because a map's scale falls as pmax saturates.

    A map of zeros stays one, with a gradient of zero.
    """
    mean = maps.mean((1, 2), keepdim=True)
    there = mean > _SMALLEST_MEAN
    return torch.where(there, maps, 0) / torch.where(there, mean, 1)


def half_mass_area(maps: Tensor) -> Tensor:
    """Share of pixels, 0..1, that hold half of each map's mass; [B] from [B, H, W].

    The fewest such pixels, fractions of the last one included; NaN for a map of zeros.
    """
    values = maps.detach().flatten(1).double().sort(1, descending=True).values
    mass = values.cumsum(1)
    half = mass[:, -1:] / 2
    below = (mass < half).sum(1, keepdim=True).clamp(max=values.shape[1] - 1)
    before = mass.gather(1, below) - values.gather(1, below)
    pixels = below + (half - before) / values.gather(1, below)
    return (pixels / values.shape[1])[:, 0].float()


def group_sums(values: Tensor, groups: Tensor, num_groups: int) -> tuple[Tensor, Tensor]:
    """Sums [G, ...] of ``values`` [B, ...] by group, and counts [G]; unknown (-1) rows left out."""
    known = groups >= 0
    sums = values.new_zeros(num_groups, *values.shape[1:])
    sums.index_add_(0, groups[known], values[known])
    counts = torch.zeros(num_groups, device=values.device, dtype=values.dtype)
    counts.index_add_(0, groups[known], torch.ones_like(groups[known], dtype=values.dtype))
    return sums, counts


def share_of_rows(batch: int, share: float) -> int:
    """How many of ``batch`` rows a share above 0 is, at least 1."""
    return min(batch, max(1, math.ceil(share * batch)))


def rolled(mask: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Masks [B, H, W] of equal area: ``mask`` [H, W] or [B, H, W] moved on a torus.

    down, right: int64 [B], by how many pixels each.
    """
    tall, wide = mask.shape[-2:]
    rows = (torch.arange(tall, device=mask.device) - down[:, None]) % tall
    columns = (torch.arange(wide, device=mask.device) - right[:, None]) % wide
    masks = mask.expand(len(down), tall, wide)
    image = torch.arange(len(down), device=mask.device)[:, None, None]
    return masks[image, rows[:, :, None], columns[:, None, :]]
