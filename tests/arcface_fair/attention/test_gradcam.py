# SPDX-License-Identifier: MIT
"""Grad-CAM is its equation, points where the network looks, and leaves the network alone."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate, normalize

from arcface_fair.attention.gradcam import last_map, second_image_directions
from arcface_fair.backbones import get_model
from arcface_fair.data.training.dataset import to_input
from arcface_fair.errors import UserError
from arcface_fair.figures.attention import grad_cam_of_images


def faces(count=3, side=112):
    return np.random.default_rng(0).integers(0, 255, (count, side, side, 3), np.uint8)


@pytest.mark.parametrize("network", ["small", "small_aa", "r18"])
def test_maps_equal_the_published_equation(network):
    torch.manual_seed(0)
    net = get_model(network, num_features=16).eval()
    images, directions = faces(2), torch.randn(2, 16)
    trunk = {"r18": lambda x: net.bn2(run_stages(net, x))}.get(
        network, lambda x: net.block2(net.block1(net.stem(x)))
    )
    inputs = to_input(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    features = trunk(inputs).detach().requires_grad_()
    embedding = net.features(net.fc(features.flatten(1)))
    cosine = (normalize(embedding) * normalize(directions)).sum()
    (gradient,) = torch.autograd.grad(cosine, features)
    cam = (gradient.mean((2, 3), keepdim=True) * features).sum(1, keepdim=True).relu()
    cam = interpolate(cam, (112, 112), mode="bilinear", align_corners=False)[:, 0].detach()
    expected = cam / cam.amax((1, 2), keepdim=True).clamp_min(1e-30)
    found = grad_cam_of_images(net, images, directions)
    assert found.shape == (2, 112, 112)
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-4)


def run_stages(net, x):
    x = net.prelu(net.bn1(net.conv1(x)))
    return net.layer4(net.layer3(net.layer2(net.layer1(x))))


class LooksAtTheTopLeft(nn.Module):
    """Its embedding depends on the mean brightness of the top left quarter alone."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 8, stride=8, bias=False)
        nn.init.constant_(self.conv.weight, 0.1)
        mask = torch.zeros(1, 1, 14, 14)
        mask[:, :, :7, :7] = 1
        self.register_buffer("mask", mask)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Identity()

    def forward(self, images):
        seen = self.last(self.conv(images + 1.01) * self.mask)
        one = self.pool(seen).flatten(1)
        return torch.cat([one, torch.ones_like(one)], 1)


def test_a_map_is_bright_where_the_network_looks_and_pooled_maps_do_not_count():
    maps = grad_cam_of_images(LooksAtTheTopLeft(), faces(2), torch.tensor([[1.0, 0.0]] * 2))
    assert maps[:, :40, :40].min() > 0.3
    assert maps[:, 64:, :].max() == 0
    assert maps[:, :, 64:].max() == 0
    assert maps.max(axis=(1, 2)).tolist() == [1, 1]


def test_what_speaks_against_the_direction_leaves_an_empty_map():
    maps = grad_cam_of_images(LooksAtTheTopLeft(), faces(1), torch.tensor([[-1.0, 0.0]]))
    assert not maps.any()


def test_batches_do_not_matter_and_every_image_is_told():
    net, directions, told = get_model("small", num_features=16), torch.randn(5, 16), []
    whole = grad_cam_of_images(net, faces(5), directions)
    parts = grad_cam_of_images(net, faces(5), directions, batch_size=2, on_images=told.append)
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    assert told == [2, 2, 1]


def test_the_network_is_left_as_it_was():
    net = get_model("small", num_features=16).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    grad_cam_of_images(net, faces(2), torch.randn(2, 16))
    assert net.training
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(part._forward_hooks for part in net.modules())
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in before.items())


def test_frozen_networks_have_maps_too():
    net = get_model("small", num_features=16)
    expected = grad_cam_of_images(net, faces(2), torch.ones(2, 16))
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    np.testing.assert_array_equal(grad_cam_of_images(net, faces(2), torch.ones(2, 16)), expected)


def test_a_network_without_places_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 112 * 112, 4))
    with pytest.raises(UserError, match="Sequential has no feature map with places, expected a"):
        grad_cam_of_images(net, faces(1), torch.ones(1, 4))


def test_hooks_are_released_after_an_error():
    net = get_model("small", num_features=16)
    with pytest.raises(RuntimeError), last_map(net):
        raise RuntimeError
    assert not any(part._forward_hooks for part in net.modules())


def test_the_second_image_is_the_next_one_of_the_same_person():
    embeddings = np.arange(5, dtype=np.float32)[:, None]
    found = second_image_directions(embeddings, np.array([7, 3, 7, 7, 9]))
    assert found[:, 0].tolist() == [2, 0, 3, 0, 0]
