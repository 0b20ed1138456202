# SPDX-License-Identifier: MIT
"""Embedding a set adds the mirror images and leaves no trace on the network."""

import numpy as np
import pytest
import torch
from torch import nn

from arcface_fair.backbones import get_model
from arcface_fair.errors import UserError
from arcface_fair.run.embed import embed_bin

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3), np.uint8)


def test_embeddings_are_the_sum_over_image_and_mirror_in_eval_mode():
    torch.manual_seed(0)
    net = get_model("small", num_features=8).eval()
    faces = (torch.from_numpy(IMAGES).permute(0, 3, 1, 2).float() - 127.5) / 127.5
    with torch.no_grad():
        plain, expected = net(faces), net(faces) + net(faces.flip(3))
    net.train()
    found = embed_bin(net, IMAGES, "cpu", 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(embed_bin(net, IMAGES, flip=False), plain, rtol=0, atol=1e-5)


def test_modes_and_running_statistics_are_left_as_they_were():
    net = get_model("small", num_features=8).train()
    net.block1.eval()
    modes = [part.training for part in net.modules()]
    buffers = [b.clone() for b in net.buffers()]
    embed_bin(net, IMAGES)
    assert [part.training for part in net.modules()] == modes
    assert all(torch.equal(a, b) for a, b in zip(net.buffers(), buffers, strict=True))


def test_modes_are_restored_when_embedding_fails():
    class Broken(nn.Module):
        def forward(self, faces):
            raise RuntimeError("broken")

    net = Broken()
    with pytest.raises(RuntimeError, match="broken"):
        embed_bin(net, IMAGES)
    assert net.training


def test_progress_is_told_in_images():
    net, heard = get_model("small", num_features=8), []
    embed_bin(net, IMAGES, batch_size=2, on_images=heard.append)
    assert heard == [2, 2, 1]


@pytest.mark.parametrize("images", [IMAGES[:0], IMAGES.astype(np.float32), IMAGES[0]])
def test_anything_but_a_stack_of_colour_images_is_refused(images):
    with pytest.raises(UserError, match=r"expected uint8 \[images, 112, 112, 3\]"):
        embed_bin(get_model("small", num_features=8), images)
