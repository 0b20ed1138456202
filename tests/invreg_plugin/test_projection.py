# SPDX-License-Identifier: MIT
"""The optional projection head."""

import numpy as np
import torch
from torch.nn.functional import normalize

from invreg_plugin.batches import ClassBalancedBatches
from invreg_plugin.projection import contrastive_loss, train
from tests.ranks import run_ranks


def test_the_loss_equals_the_formula_and_the_ranks_shares_add_up():
    slots = torch.tensor([0, 0, 0, 1, 2, 2])
    z = normalize(torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).double())
    s = z @ z.T / 0.3
    rows = []
    for i in (0, 1, 2, 4, 5):
        others = [j for j in range(6) if j != i]
        positives = [j for j in others if slots[j] == slots[i]]
        total = torch.log(sum(s[i, j].exp() for j in others))
        rows.append(sum(total - s[i, j] for j in positives) / len(positives))
    expected = torch.stack(rows).mean()
    whole = contrastive_loss(z, slots, slice(None), 0.3)
    shares = [contrastive_loss(z, slots, slice(a, a + 2), 0.3) for a in (0, 2, 4)]
    torch.testing.assert_close(whole, expected)
    torch.testing.assert_close(sum(shares), expected)


class Features:
    def __init__(self) -> None:
        centres = np.random.default_rng(0).standard_normal((30, 16))
        noise = np.random.default_rng(1).standard_normal((240, 16))
        self.rows = (np.repeat(centres, 8, 0) + 0.8 * noise).astype(np.float32)
        self.shape = self.rows.shape

    def read(self, positions: np.ndarray) -> np.ndarray:
        return self.rows[positions]


def trained() -> torch.Tensor:
    source = Features()
    batches = ClassBalancedBatches(np.repeat(np.arange(30), 8), 30, 10, 4, seed=0)
    project = train(source, batches, 0.3, 0, torch.device("cpu"))
    return project(torch.from_numpy(source.rows))


def test_training_brings_images_of_one_identity_together():
    outputs = trained()
    assert outputs.shape == (240, 128)
    torch.testing.assert_close(outputs.norm(dim=1), torch.ones(240))
    slots, source = torch.arange(30).repeat_interleave(8), torch.from_numpy(Features().rows)
    before = contrastive_loss(normalize(source), slots, slice(None), 0.3)
    assert contrastive_loss(outputs, slots, slice(None), 0.3) < before


def test_ranks_train_one_head():
    alone, (first, second) = trained(), run_ranks(2, trained)
    assert torch.equal(first, second)
    torch.testing.assert_close(first, alone, rtol=1e-3, atol=1e-4)
