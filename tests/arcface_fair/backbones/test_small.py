# SPDX-License-Identifier: MIT
"""The CPU networks learn, stay small, and show or hide the lattice of their stem."""

import pytest
import torch

from arcface_fair.backbones import get_model
from arcface_fair.errors import UserError


@pytest.mark.parametrize("name", ["small", "small_aa"])
@pytest.mark.parametrize("num_features", [128, 512])
def test_embeds_into_any_size_with_under_two_million_parameters(name, num_features):
    net = get_model(name, num_features=num_features).eval()
    assert net(torch.zeros(3, 3, 112, 112)).shape == (3, num_features)
    assert sum(p.numel() for p in net.parameters()) < 2e6


@pytest.mark.parametrize("name", ["small", "small_aa"])
def test_fits_a_handful_of_labels(name):
    torch.manual_seed(0)
    net = get_model(name, num_features=8)
    images, labels = torch.randn(16, 3, 112, 112), torch.arange(16) % 8
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(15):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(images) * 4, labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_without_norm_an_embedding_does_not_depend_on_its_batch():
    torch.manual_seed(0)
    net = get_model("small", num_features=16, norm="none").train()
    assert not list(net.buffers())
    images = torch.randn(4, 3, 112, 112)
    alone, together = net(images[:1]), net(images)[:1]
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-6)


def lattice(name):
    """How unevenly a gradient map falls on the 8x8 places in a cell of the network's strides."""
    torch.manual_seed(0)
    net = get_model(name, num_features=32).train()
    images = torch.randn(64, 3, 112, 112, requires_grad=True)
    net(images).square()[:, :16].sum().backward()
    places = images.grad.abs().mean((0, 1)).view(14, 8, 14, 8)[1:-1, :, 1:-1].mean((0, 2))
    return (places.std() / places.mean()).item()


def test_antialiased_form_hides_the_lattice_that_patches_leave_in_gradient_maps():
    assert lattice("small_aa") < 0.5 * lattice("small")


def test_unknown_norm_is_refused():
    with pytest.raises(UserError, match="norm is 'layer'; choose one of: batch, none"):
        get_model("small", norm="layer")
