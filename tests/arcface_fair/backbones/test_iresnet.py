# SPDX-License-Identifier: MIT
"""iresnet carries arcface_torch's state dict and trains the same with checkpointing."""

import pytest
import torch

from arcface_fair.backbones import get_model

UNIT = ("bn1", "conv1", "bn2", "prelu", "conv2", "bn3")
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def expected_names(depths):
    """The keys of arcface_torch's iresnet in its order (observed at commit 7fadd420)."""

    def entries(prefix, layer):
        kinds = NORM if "bn" in layer or layer in ("features", "downsample.1") else ("weight",)
        return [f"{prefix}{layer}.{kind}" for kind in kinds]

    names = [*entries("", "conv1"), *entries("", "bn1"), *entries("", "prelu")]
    for stage, depth in enumerate(depths, start=1):
        for unit in range(depth):
            layers = UNIT if unit else (*UNIT, "downsample.0", "downsample.1")
            for layer in layers:
                names += entries(f"layer{stage}.{unit}.", layer)
    return [*names, *entries("", "bn2"), "fc.weight", "fc.bias", *entries("", "features")]


# Numbers of parameters of arcface_torch's networks at 512 features, counted there.
@pytest.mark.parametrize(
    ("name", "depths", "parameters"),
    [
        ("r18", (2, 2, 2, 2), 24_025_600),
        ("r50", (3, 4, 14, 3), 43_590_848),
        pytest.param("r34", (3, 4, 6, 3), 34_139_328, marks=pytest.mark.slow),
        pytest.param("r100", (3, 13, 30, 3), 65_156_160, marks=pytest.mark.slow),
        pytest.param("r200", (6, 26, 60, 6), 118_833_920, marks=pytest.mark.slow),
    ],
)
def test_names_order_and_sizes_are_those_of_arcface_torch(name, depths, parameters):
    with torch.device("meta"):
        net = get_model(name)
    assert list(net.state_dict()) == expected_names(depths)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert [n for n, p in net.named_parameters() if not p.requires_grad] == ["features.weight"]


def test_stages_halve_the_map_and_stride_sits_in_the_second_convolution():
    with torch.device("meta"):
        net = get_model("r18")
    assert [getattr(net, f"layer{i}")[0].conv2.stride for i in (1, 2, 3, 4)] == [(2, 2)] * 4
    assert net.layer1[0].conv1.stride == (1, 1)
    assert net.layer4[0].downsample[0].weight.shape == (512, 256, 1, 1)
    assert net.fc.weight.shape == (512, 25_088)


def run_one_step(checkpointing):
    torch.manual_seed(0)
    net = get_model("r18", num_features=8, gradient_checkpointing=checkpointing).train()
    images = torch.randn(2, 3, 112, 112, requires_grad=True)
    net(images).square()[:, :4].sum().backward()
    return net, images.grad


def test_checkpointing_changes_neither_gradients_nor_running_statistics():
    (plain, plain_grad), (saved, saved_grad) = run_one_step(False), run_one_step(True)
    assert torch.equal(plain_grad, saved_grad)
    for mine, other in zip(plain.buffers(), saved.buffers(), strict=True):
        assert torch.equal(mine, other)
    for layer in saved.modules():
        assert getattr(layer, "track_running_stats", True)


def test_gradient_of_the_input_can_be_asked_for_through_checkpointing():
    torch.manual_seed(0)
    net = get_model("r18", num_features=4, gradient_checkpointing=True).train()
    images = torch.randn(2, 3, 112, 112, requires_grad=True)
    (grad,) = torch.autograd.grad(net(images)[:, 0].square().sum(), images)
    assert grad.abs().sum() > 0


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    net = get_model("r18", num_features=4, dropout=0.5).eval()
    images = torch.randn(2, 3, 112, 112)
    with torch.no_grad():
        assert torch.equal(net(images), net(images))
        net.train()
        net.features.momentum = 0.0
        assert not torch.equal(net(images), net(images))
