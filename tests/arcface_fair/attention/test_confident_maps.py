# SPDX-License-Identifier: MIT
"""Maps of a network that is sure of its rows: float32 gives float64's maps and their gradients."""

from __future__ import annotations

import pytest
import torch

from arcface_fair.attention.gradient_maps import attend, plain_margin, relative_maps
from arcface_fair.backbones import get_model
from arcface_fair.head import ArcFace, PartialFC
from gabn_plugin.erasing import most_sensitive

CLASSES, DIM, IMAGES, PIXELS = 60, 24, 6, 20


def seen_by(dtype, nearness):
    """Maps, 1 - pmax, and a gradient through the relative maps to the backbone's weights."""
    torch.manual_seed(0)
    backbone = get_model("small_aa", num_features=DIM).double().eval()
    images = torch.rand(IMAGES, 3, 112, 112, dtype=torch.float64) * 2 - 1
    centres = torch.randn(CLASSES, DIM, dtype=torch.float64)
    pattern = torch.randn(112, 112, dtype=torch.float64)
    with torch.no_grad():
        own = torch.nn.functional.normalize(backbone(images).mean(0), dim=0)
    # All images are of class 0; the nearer the others lie to it, the less sure a row is.
    centres = centres / centres.norm(dim=1, keepdim=True) + nearness * own
    centres[0] = own
    head = PartialFC(ArcFace(64.0), DIM, CLASSES).to(dtype)
    head.weight.data.copy_(centres)
    backbone.to(dtype)
    seen = attend(
        backbone, head, images.to(dtype), torch.zeros(IMAGES, dtype=torch.int64),
        margin=plain_margin(head.margin_softmax), create_graph=True,
    )  # fmt: skip
    value = (relative_maps(seen.maps) * pattern.to(dtype)).mean((1, 2)).square().sum()
    parameters = list(backbone.parameters())
    gradients = torch.autograd.grad(value, parameters, allow_unused=True)
    flat = torch.cat([g.reshape(-1) for g in gradients if g is not None])
    return seen.maps.detach().double(), (1 - seen.pmax).double(), flat.double()


@pytest.mark.parametrize(
    ("nearness", "most"), [(1.5, 1.0), (1.0, 1e-2), (0.5, 1e-6), (0.3, 1e-9), (0.2, 1e-11)]
)
def test_maps_pixels_and_gradients_are_those_of_float64(nearness, most):
    single, _, gradient = seen_by(torch.float32, nearness)
    double, rest, expected = seen_by(torch.float64, nearness)
    assert most / 1e6 < rest.max() < most
    for ours, true in zip(single, double, strict=True):
        assert torch.corrcoef(torch.stack([ours.flatten(), true.flatten()]))[0, 1] > 0.9999
    erased = [set(row.tolist()) for row in most_sensitive(single, PIXELS)]
    wanted = [set(row.tolist()) for row in most_sensitive(double, PIXELS)]
    shared = sum(len(a & b) for a, b in zip(erased, wanted, strict=True))
    assert shared >= 0.99 * PIXELS * IMAGES
    cosine = (gradient / gradient.norm()) @ (expected / expected.norm())
    assert cosine > 0.9999
