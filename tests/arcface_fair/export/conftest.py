# SPDX-License-Identifier: MIT
"""Backbones whose tensors all differ, as after training, and one exported file."""

import pytest
import torch

from arcface_fair.backbones import get_model
from arcface_fair.export import export_onnx


def trained_like(name, num_features=512):
    """A network after two steps of training, with settled statistics and no two equal tensors.

    Fresh BatchNorm layers hold equal tensors, which the exporter merges; that hides mistakes.
    """
    torch.manual_seed(0)
    net = get_model(name, num_features=num_features).train()
    norms = [m for m in net.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # a plain mean over the batches that follow
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(2):
        labels = torch.arange(8) % num_features
        torch.nn.functional.cross_entropy(net(torch.randn(8, 3, 112, 112)), labels).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5)
        optimizer.step()
        optimizer.zero_grad()
    for norm in norms:
        norm.momentum = 0.1
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return net


@pytest.fixture(scope="session")
def net():
    return trained_like("small").eval()


@pytest.fixture(scope="session")
def exported(net, tmp_path_factory):
    return export_onnx(net, tmp_path_factory.mktemp("export") / "small.onnx")
