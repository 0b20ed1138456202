# SPDX-License-Identifier: MIT
"""mbf and mbf_large carry arcface_torch's state dict."""

import hashlib

import pytest
import torch

from arcface_fair.backbones import get_model
from arcface_fair.errors import UserError


def fingerprint(net):
    """Hash of names, order and shapes of the state dict."""
    lines = [f"{name} {tuple(value.shape)}\n" for name, value in net.state_dict().items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


# Fingerprints and numbers of parameters taken from arcface_torch at commit 7fadd420.
@pytest.mark.parametrize(
    ("name", "parameters", "entries", "expected"),
    [
        ("mbf", 2_059_520, 333, "eee9be53b10c689b"),
        ("mbf_large", 6_314_880, 606, "0fc47e4fce3ac2d5"),
    ],
)
def test_names_order_and_shapes_are_those_of_arcface_torch(name, parameters, entries, expected):
    with torch.device("meta"):
        net = get_model(name)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert len(net.state_dict()) == entries
    assert fingerprint(net) == expected


def test_embeds_a_batch_and_has_gradients_everywhere():
    torch.manual_seed(0)
    net = get_model("mbf", num_features=16).train()
    embeddings = net(torch.randn(2, 3, 112, 112))
    assert embeddings.shape == (2, 16)
    (embeddings * torch.arange(16.0)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_dropout_is_refused_because_there_is_none_to_set():
    with pytest.raises(UserError, match=r"dropout is 0\.4 but network 'mbf' has no dropout layer"):
        get_model("mbf", dropout=0.4)
