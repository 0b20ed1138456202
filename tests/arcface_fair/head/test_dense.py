# SPDX-License-Identifier: MIT
"""The dense kernel is cosine, margin and softmax, with nothing in between."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy, normalize

from arcface_fair.head.dense import dense_statistics


def test_it_is_the_cross_entropy_of_the_margins_logits() -> None:
    rows, weight = torch.randn(5, 4, dtype=torch.float64), torch.randn(7, 4, dtype=torch.float64)
    labels = torch.tensor([0, 6, 3, 3, 1])
    ce, _, _ = dense_statistics(rows, weight, None, labels, lambda cos, own: 9 * cos)
    logits = 9 * normalize(rows) @ normalize(weight).T
    torch.testing.assert_close(ce, cross_entropy(logits, labels, reduction="none"))


def test_a_margin_sees_labels_as_a_column_and_cosines_within_one() -> None:
    seen = []

    def margin(cosines: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(labels.shape), float(cosines.max())))
        return cosines

    rows = torch.full((3, 5), 0.1)
    dense_statistics(rows, rows.clone(), None, torch.tensor([0, -1, 2]), margin)
    ((shape, largest),) = seen
    assert shape == (3, 1)
    assert largest <= 1.0


def test_only_the_active_classes_count() -> None:
    rows, weight = torch.randn(2, 4), torch.randn(9, 4)
    index, labels = torch.tensor([1, 4, 8]), torch.tensor([2, 0])
    some = dense_statistics(rows, weight, index, labels, lambda cos, own: 9 * cos)
    alone = dense_statistics(rows, weight[index], None, labels, lambda cos, own: 9 * cos)
    torch.testing.assert_close(some, alone)
