# SPDX-License-Identifier: MIT
"""float32 gives float64's gradients however confident a row is, in every kernel and world.

GABN looks through d pmax / d image and trains through its derivative; INV-REG's slope is
ce - entropy. At s = 64 a trained network's 1 - pmax lies below what float32 resolves beside 1.
"""

from __future__ import annotations

import pytest
import torch

from arcface_fair import dist
from arcface_fair.head import ArcFace, CosFace, PartialFC

CLASSES, DIM, ROWS, SCALE = 120, 24, 12, 64.0


def plain(cosines, labels):
    """A margin that the head knows nothing of, so that the chunked kernel uses autograd."""
    return SCALE * cosines


MARGINS = {
    "no margin": lambda: ArcFace(SCALE, 0.0),
    "arcface": lambda: ArcFace(SCALE, 0.5),
    "cosface": lambda: CosFace(SCALE, 0.4),
    "any": lambda: plain,
}


def derivatives(dtype, kernel, margin, noise):
    """This rank's d pmax, its derivative, d ce, slope and d slope; last 1 - pmax of all rows."""
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(CLASSES, DIM, generator=generator, dtype=torch.float64)
    labels = torch.arange(ROWS)
    unit = centres[labels] / centres[labels].norm(dim=1, keepdim=True)
    rows = unit + noise * torch.randn(ROWS, DIM, generator=generator, dtype=torch.float64)
    direction = torch.randn(DIM, generator=generator, dtype=torch.float64).to(dtype)
    own = torch.arange(ROWS).chunk(dist.world_size())[dist.rank()]
    head = PartialFC(MARGINS[margin](), DIM, CLASSES, kernel=kernel).to(dtype)
    head.block_columns = 17
    head.weight.data.copy_(centres[head.class_start : head.class_start + head.num_local])
    rows = rows[own].to(dtype).requires_grad_()
    statistics = head.statistics(rows, labels[own])
    (first,) = torch.autograd.grad(statistics.pmax.sum(), rows, create_graph=True)
    relative = first / first.norm(dim=1, keepdim=True)
    second, of_centres = torch.autograd.grad(
        (relative @ direction).square().sum(), [rows, head.weight]
    )
    statistics = head.statistics(rows, labels[own])
    slope = statistics.ce - statistics.entropy
    (of_ce,) = torch.autograd.grad(statistics.ce.sum(), rows, retain_graph=True)
    (of_slope,) = torch.autograd.grad(slope.sum(), rows)
    vectors = [first.detach(), second, of_ce, of_slope, of_centres.reshape(1, -1)]
    return [v.double() for v in vectors], slope.detach().double(), statistics.pmax.detach()


def cosine(a, b):
    """Row by row; torch's own takes vectors below 1e-8 for zero."""
    return ((a / a.norm(dim=1, keepdim=True)) * (b / b.norm(dim=1, keepdim=True))).sum(1)


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("noise", [0.2, 0.12, 0.05, 0.01])
def test_float32_agrees_with_float64(kernel, margin, noise):
    single, slope, _ = derivatives(torch.float32, kernel, margin, noise)
    double, expected, _ = derivatives(torch.float64, kernel, margin, noise)
    for name, a, b in zip(("d pmax", "second", "d ce", "d slope", "centres"), single, double,
                          strict=True):  # fmt: skip
        assert cosine(a, b).min() > 0.9999, name
        torch.testing.assert_close(a.norm(dim=1), b.norm(dim=1), rtol=2e-3, atol=0)
    torch.testing.assert_close(slope, expected, rtol=1e-3, atol=0)


def test_the_rows_are_as_confident_as_those_of_a_trained_network():
    for noise, most in ((0.12, 1e-6), (0.05, 1e-9), (0.01, 1e-10)):
        _, _, pmax = derivatives(torch.float64, "dense", "no margin", noise)
        assert (1 - pmax).max() < most
    _, _, pmax = derivatives(torch.float64, "dense", "arcface", 0.2)
    assert (1 - pmax).max() > 0.1


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("margin", ["no margin", "any"])
def test_sharded_float32_agrees_with_float64_of_one_process(run_ranks, ranks, kernel, margin):
    answers = run_ranks(ranks, derivatives, torch.float32, kernel, margin, 0.05)
    double, expected, _ = derivatives(torch.float64, "dense", margin, 0.05)
    for place in range(4):
        gathered = torch.cat([vectors[place] for vectors, _, _ in answers])
        assert cosine(gathered, double[place]).min() > 0.9999
    centres = torch.cat([vectors[4] for vectors, _, _ in answers], dim=1)
    assert cosine(centres, double[4]).min() > 0.9999
    torch.testing.assert_close(answers[0][1], expected, rtol=1e-3, atol=0)
