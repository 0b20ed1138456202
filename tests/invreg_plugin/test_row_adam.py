# SPDX-License-Identifier: MIT
"""The optimiser of the rows that a batch touches."""

import torch

from invreg_plugin.row_adam import RowAdam


def test_a_row_visited_at_every_step_sees_torchs_adam():
    start = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = start.clone(), start.clone().requires_grad_()
    row_adam, adam = RowAdam(ours), torch.optim.Adam([theirs], lr=0.5, betas=(0.0, 0.99))
    for step in range(20):
        gradient = torch.sin(torch.arange(6.0, dtype=torch.float64) + step).view(3, 2)
        theirs.grad = gradient.clone()
        adam.step()
        row_adam.step(torch.arange(3), gradient, 0.5)
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-12)


def test_a_row_does_not_notice_the_steps_it_was_not_in():
    values = torch.zeros(2, 2, dtype=torch.float64)
    optimiser = RowAdam(values)
    gradient = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    for _ in range(3):
        optimiser.step(torch.tensor([0]), gradient, 0.1)
    assert (values[1] == 0).all()
    first = values[0].clone()
    for _ in range(3):
        optimiser.step(torch.tensor([1]), gradient, 0.1)
    assert torch.equal(values[0], first)
    assert torch.equal(values[1], first)
