# SPDX-License-Identifier: MIT
"""The penalties equal autograd's double backward, the authors' numbers and hand-made means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from arcface_fair.errors import UserError
from arcface_fair.head import softmax_statistics
from invreg_plugin.penalty import irmv1, rex

REFERENCE = Path(__file__).parents[2] / "../shared/reference"


def random_batch(rows: int = 24, classes: int = 10, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (rows,), generator=generator)
    return logits.requires_grad_(), labels


def squared_slope_by_autograd(logits: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
    scale = torch.ones((), dtype=logits.dtype, requires_grad=True)
    risk = torch.nn.functional.cross_entropy(scale * logits[rows], labels[rows])
    (slope,) = torch.autograd.grad(risk, scale, create_graph=True)
    return slope.square()


def test_irmv1_equals_the_double_backward_in_value_and_gradient() -> None:
    logits, labels = random_batch()
    generator = torch.Generator().manual_seed(1)
    subsets = torch.randint(-1, 3, (3, len(labels)), generator=generator)
    ce, entropy, _ = softmax_statistics(logits, labels)
    ours = irmv1(ce, entropy, subsets, 3)
    by_partition = [
        torch.stack([squared_slope_by_autograd(logits, labels, part == k) for k in range(3)]).mean()
        for part in subsets
    ]
    theirs = torch.stack(by_partition).mean()
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=0)
    (ours_grad,) = torch.autograd.grad(ours, logits)
    (theirs_grad,) = torch.autograd.grad(theirs, logits)
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-9, atol=1e-14)


@pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="../shared/reference, the released code's numbers, is absent"
)
def test_irmv1_equals_the_release_when_all_subsets_are_present() -> None:
    given = np.load(REFERENCE / "invreg_penalty.in.npz")
    wanted = np.load(REFERENCE / "invreg_penalty.out.npz")
    logits = torch.from_numpy(given["logits"]).requires_grad_()
    labels = torch.from_numpy(given["labels"]).long()
    subsets = torch.from_numpy(given["part0"]).argmax(1)[labels][None]
    ce, entropy, _ = softmax_statistics(logits, labels)
    penalty = 0.2 * irmv1(ce, entropy, subsets, 2)
    penalty.backward()
    assert set(subsets.unique().tolist()) == {0, 1}
    assert penalty.item() == pytest.approx(float(wanted["penalty"]), rel=1e-5)
    scale = np.abs(wanted["grad_logits"]).max()
    assert logits.grad is not None
    np.testing.assert_allclose(
        logits.grad.numpy(), wanted["grad_logits"], rtol=1e-5, atol=1e-5 * scale
    )


def test_an_absent_subset_is_left_out_of_the_mean() -> None:
    ce, entropy = torch.tensor([3.0, 5.0]), torch.tensor([1.0, 1.0])
    assert irmv1(ce, entropy, torch.tensor([[0, 0]]), 4).item() == 9.0
    assert irmv1(ce, entropy, torch.tensor([[0, 3]]), 4).item() == (4 + 16) / 2


def test_a_partition_without_rows_is_left_out_of_the_mean() -> None:
    ce, entropy = torch.tensor([3.0, 5.0]), torch.tensor([1.0, 1.0])
    subsets = torch.tensor([[0, 0], [-1, -1]])
    assert irmv1(ce, entropy, subsets, 2).item() == 9.0
    spread = torch.tensor([[0, 1], [-1, -1]])
    assert rex(ce, spread, 2).item() == 2.0


def test_a_row_without_a_subset_counts_nowhere() -> None:
    ce, entropy = torch.tensor([3.0, 5.0, 100.0]), torch.tensor([1.0, 1.0, 1.0])
    assert irmv1(ce, entropy, torch.tensor([[0, 0, -1]]), 2).item() == 9.0
    assert rex(ce, torch.tensor([[0, 1, -1]]), 2).item() == 2.0


@pytest.mark.parametrize("subsets", [torch.full((2, 2), -1), torch.empty(0, 2, dtype=torch.int64)])
def test_no_row_assigned_is_an_exact_zero_with_a_graph(subsets: Tensor) -> None:
    ce = torch.tensor([3.0, 5.0], requires_grad=True)
    for value in (irmv1(ce, ce * 0.5, subsets, 2), rex(ce, subsets, 2)):
        (grad,) = torch.autograd.grad(value, ce)
        assert value.item() == 0.0
        assert grad.tolist() == [0.0, 0.0]


def test_rex_is_the_unbiased_variance_of_the_present_subsets_risks() -> None:
    ce = torch.tensor([1.0, 3.0, 6.0, 10.0], dtype=torch.float64)
    subsets = torch.tensor([[0, 0, 1, 3], [0, 1, 1, 0]])
    first = torch.tensor([2.0, 6.0, 10.0]).var()
    second = torch.tensor([5.5, 4.5]).var()
    assert rex(ce, subsets, 4).item() == pytest.approx(float((first + second) / 2))


def test_rex_with_one_present_subset_counts_zero() -> None:
    assert rex(torch.tensor([1.0, 9.0]), torch.tensor([[1, 1]]), 2).item() == 0.0
    two = torch.tensor([[1, 1], [0, 1]])
    assert rex(torch.tensor([1.0, 9.0]), two, 2).item() == 32.0 / 2


def test_a_smaller_partition_needs_no_special_case() -> None:
    ce, entropy = torch.tensor([3.0, 5.0, 4.0]), torch.tensor([1.0, 2.0, 0.5])
    subsets = torch.tensor([[0, 1, 1]])
    assert irmv1(ce, entropy, subsets, 2) == irmv1(ce, entropy, subsets, 7)
    assert rex(ce, subsets, 2) == rex(ce, subsets, 7)


@pytest.mark.parametrize(
    ("subsets", "num_subsets", "sentence"),
    [
        (torch.tensor([[0, 1]]), 1, "num_subsets is 1, expected at least 2"),
        (torch.tensor([0, 1]), 2, r"subsets have shape \[2\], expected \[partitions, 2\]"),
        (torch.tensor([[0, 1, 1]]), 2, r"subsets have shape \[1, 3\], expected \[partitions, 2\]"),
        (torch.tensor([[0, 2]]), 2, r"subsets hold ids 0..2, expected -1..1; raise num_subsets"),
        (torch.tensor([[0, -2]]), 2, r"subsets hold ids -2..0, expected -1..1"),
    ],
)
def test_what_does_not_fit_is_said(subsets: Tensor, num_subsets: int, sentence: str) -> None:
    ce = torch.tensor([1.0, 2.0])
    with pytest.raises(UserError, match=sentence):
        irmv1(ce, ce, subsets, num_subsets)
    with pytest.raises(UserError, match=sentence):
        rex(ce, subsets, num_subsets)
