# SPDX-License-Identifier: MIT
"""The product by torch finds what NumPy's does, and leaves torch's settings alone."""

import numpy as np
import torch

from arcface_fair.evaluation.gpu_tiles import TorchProduct
from arcface_fair.evaluation.tiles import NumpyProduct
from arcface_fair.evaluation.unit_rows import unit_rows


def test_torch_and_numpy_find_the_same_pairs():
    unit, _ = unit_rows(np.random.default_rng(0).normal(size=(50, 8)))
    tile = slice(0, 20), slice(20, 50)
    before = torch.get_float32_matmul_precision()
    found = TorchProduct(unit, "cpu").above(tile, 0.3)
    expected = NumpyProduct(unit).above(tile, 0.3)
    assert torch.get_float32_matmul_precision() == before
    for mine, theirs in zip(found[:2], expected[:2], strict=True):
        assert mine.tolist() == theirs.tolist()
    np.testing.assert_allclose(found[2], expected[2], atol=1e-6)
