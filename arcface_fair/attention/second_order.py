# SPDX-License-Identifier: MIT
"""Batch normalisation and PReLU whose gradients are cheap to differentiate once more.

Training through an input gradient differentiates every layer's backward. PyTorch does that for
these two layers by some twenty elementwise passes over whole activations; the formulas below
need two, one for the sums and one for the result, a sample at a time so that both stay in cache.
Values and gradients are PyTorch's own up to rounding. Use it around a forward pass:

    with cheap_second_order():
        embeddings = backbone(images)

For batch normalisation with M values per channel, r = 1 / sigma, u the gradient that arrives at
the backward's output gx = g r (gy - mean gy - xhat mean(gy xhat)), and

    a = mean(u xhat)   b = mean(gy xhat)   c = mean(u gy)

    d/d gy = g r (u - mean u - a xhat)
    d/d x  = -g r^2 [b u + a gy - (b mean u + a mean gy) + xhat (c - mean u mean gy - 3 a b)]
    d/d g  = M r (c - mean u mean gy - a b)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import batch_norm, prelu
from torch.overrides import TorchFunctionMode


@contextmanager
def cheap_second_order() -> Iterator[None]:
    """Inside, batch_norm in train mode and prelu are differentiated twice by the formulas above."""
    with _Replace():
        yield


class _Replace(TorchFunctionMode):
    """Catches the two functions wherever a module calls them; everything else passes."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in (batch_norm, prelu) or _runs_again():
            return func(*args, **kwargs)
        if func is batch_norm:
            call = {"eps": 1e-5, "momentum": 0.1} | dict(zip(_NAMES, args, strict=False)) | kwargs
            if _of_the_batch(call):
                return _BatchNorm.apply(call["input"], call["weight"], call["bias"], call["eps"])
        if func is prelu and _handled(args[0]) and args[1].numel() == args[0].shape[1]:
            return _PReLU.apply(*args)
        return func(*args, **kwargs)


_NAMES = (
    "input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps",
)  # fmt: skip


def _runs_again() -> bool:
    """Whether what is computed now is made anew in the backward pass, out of this mode's sight.

    A checkpointed unit must then find the layers that it ran first. It shows in the hooks on
    saved tensors, for which torch has no public question; without an answer, better not.
    """
    top = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    return top is None or top(False) is not None


def _handled(x: Tensor) -> bool:
    # On a GPU the many small passes would wait for their launches; half precision is autocast's.
    return x.dim() == 4 and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def _of_the_batch(call: dict[str, Any]) -> bool:
    """Whether the layer normalises by its batch, keeps nothing of it, and has both parameters."""
    keeps = call.get("running_mean") is not None and call["momentum"] != 0
    affine = call.get("weight") is not None and call.get("bias") is not None
    return bool(call.get("training")) and not keeps and affine and _handled(call["input"])


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        y, mean, inverse = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        x, weight, mean, inverse = ctx.saved_tensors
        gradients = _BatchNormGradient.apply(x, weight, grad, mean, inverse, ctx.eps)
        return (*gradients, None)


class _BatchNormGradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, grad: Tensor, mean: Tensor, inverse: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(x, weight, grad, mean, inverse)
        ctx.set_materialize_grads(False)
        return torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, None, None, mean, inverse, True, eps, [True, True, True]
        )

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *upper: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        u, of_weight, of_bias = upper
        assert of_weight is None, "only the input's gradient is differentiated"
        assert of_bias is None, "only the input's gradient is differentiated"
        if u is None:
            return (None,) * 6
        return (*_second(u, *ctx.saved_tensors), None, None, None)


def _second(
    u: Tensor, x: Tensor, weight: Tensor, grad: Tensor, mean: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients with respect to x, weight and grad, by the formulas of this file's head."""
    shape = (-1, 1, 1)
    centre, scale = mean.view(shape), inverse.view(shape)
    size = x.numel() // x.shape[1]
    sums = torch.zeros(5, x.shape[1], dtype=torch.float64)
    for u_i, g_i, x_i in zip(u, grad, x, strict=True):
        unit = (x_i - centre).mul_(scale)
        for row, value in enumerate((u_i, g_i, u_i * unit, g_i * unit, u_i * g_i)):
            sums[row] += value.sum((1, 2))
    mean_u, mean_g, a, b, c = (sums / size).to(x.dtype).view(5, *shape)
    g, r = weight.view(shape), scale
    rest = c - mean_u * mean_g
    slope = g * r * r
    d_x, d_grad = torch.empty_like(x), torch.empty_like(grad)
    by_unit, constant = -slope * (rest - 3 * a * b), slope * (b * mean_u + a * mean_g)
    for i in range(len(x)):
        unit = (x[i] - centre).mul_(r)
        torch.mul(u[i], g * r, out=d_grad[i]).addcmul_(unit, -g * r * a).sub_(g * r * mean_u)
        unit.mul_(by_unit).addcmul_(u[i], -slope * b).addcmul_(grad[i], -slope * a)
        torch.add(unit, constant, out=d_x[i])
    return d_x, (size * r * (rest - a * b)).flatten(), d_grad


class _PReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return torch.prelu(x, slope)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:  # type: ignore[override]
        # An input gradient alone is asked for with weights that could have one, too.
        return _PReLUGradient.apply(*ctx.saved_tensors, grad, ctx.needs_input_grad[1])


class _PReLUGradient(torch.autograd.Function):
    """gx = grad where x > 0, slope * grad elsewhere; the slope gets the sum of grad * x there."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, slope: Tensor, grad: Tensor, of_slope: bool
    ) -> tuple[Tensor, Tensor | None]:
        ctx.save_for_backward(x, slope, grad)
        ctx.set_materialize_grads(False)
        return _through(x, slope, grad, x if of_slope else None)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, u: Tensor | None, of_slope: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        assert of_slope is None, "only the input's gradient is differentiated"
        if u is None:
            return (None,) * 4
        x, slope, grad = ctx.saved_tensors
        d_grad, d_slope = _through(x, slope, u, grad)
        return None, d_slope, d_grad, None


def _through(
    x: Tensor, slope: Tensor, value: Tensor, other: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """``value`` as the layer's derivative passes it; per channel sum of value * other, x <= 0."""
    passed, total = torch.empty_like(value), torch.zeros(x.shape[1], dtype=torch.float64)
    steepness = slope.view(-1, 1, 1)
    for i in range(len(x)):
        positive = x[i].sign().clamp_min_(0)
        if other is not None:
            product = value[i] * other[i]
            total += product.addcmul_(product, positive, value=-1).sum((1, 2))
        positive.mul_(1 - steepness).add_(steepness)
        torch.mul(positive, value[i], out=passed[i])
    return passed, None if other is None else total.to(slope.dtype).view_as(slope)
