# SPDX-License-Identifier: MIT
"""Half precision stays inside the convolutional part."""

import pytest
import torch

from arcface_fair.backbones import get_model


@pytest.mark.parametrize("name", ["small", "mbf", "r18"])
def test_fp16_computes_maps_in_half_and_embeddings_in_float32(name):
    torch.manual_seed(0)
    net = get_model(name, fp16=True, num_features=16).train()
    seen = {}
    last = {"small": "block2.conv2", "mbf": "layers.7.layers.1.layers.2.layers.0"}
    layer = net.get_submodule(last.get(name, "layer4.1.conv2"))
    layer.register_forward_hook(lambda module, args, out: seen.update(dtype=out.dtype))
    embeddings = net(torch.randn(2, 3, 112, 112))
    assert seen["dtype"] == torch.bfloat16
    assert embeddings.dtype == torch.float32


def test_without_fp16_an_autocast_around_the_network_leaves_its_maps_in_float32():
    net = get_model("small", num_features=16)
    seen = {}
    net.block2.conv2.register_forward_hook(lambda module, args, out: seen.update(dtype=out.dtype))
    with torch.autocast("cpu"):
        net(torch.randn(2, 3, 112, 112))
    assert seen["dtype"] == torch.float32
