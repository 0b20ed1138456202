# SPDX-License-Identifier: MIT
import contextlib

import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm

from arcface_fair.attention.second_order import cheap_second_order
from arcface_fair.backbones import get_model


def layers(norm_momentum=0.0):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.BatchNorm2d(3, momentum=norm_momentum),
        nn.Conv2d(3, 5, 3),
        nn.PReLU(5),
        nn.BatchNorm2d(5, momentum=norm_momentum),
        nn.PReLU(5),
        nn.Flatten(),
        nn.Linear(180, 4),
    ).double()
    for parameter in net.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return net


def through_the_input_gradient(net, images, cheap):
    """Outputs, input gradient, and the gradients of a loss over both."""
    net.zero_grad()
    images = images.clone().requires_grad_()
    with cheap_second_order() if cheap else contextlib.nullcontext():
        outputs = net(images)
    certainty = outputs.softmax(1).amax(1).sum()
    (gradient,) = torch.autograd.grad(certainty, images, create_graph=True)
    weights = torch.linspace(-1, 1, gradient.numel(), dtype=gradient.dtype).view_as(gradient)
    ((gradient * weights).sum() + outputs.square().mean()).backward()
    trained = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    return [outputs.detach(), gradient.detach(), images.grad, *trained]


def test_both_layers_equal_pytorchs_own_second_derivative():
    net, images = layers(), torch.randn(6, 3, 8, 8, dtype=torch.float64)
    expected = through_the_input_gradient(net, images, cheap=False)
    for found, wanted in zip(
        through_the_input_gradient(net, images, cheap=True), expected, strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-11)


def test_a_whole_iresnet_equals_pytorchs_own_second_derivative():
    torch.manual_seed(0)
    net = get_model("r18", num_features=8).double().train()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.0
    images = torch.randn(2, 3, 112, 112, dtype=torch.float64)
    expected = through_the_input_gradient(net, images, cheap=False)
    for found, wanted in zip(
        through_the_input_gradient(net, images, cheap=True), expected, strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("mode", ["eval", "keeps statistics"])
def test_other_batch_normalisations_stay_pytorchs(mode):
    net = layers(norm_momentum=0.1)
    net.train(mode != "eval")
    images = torch.randn(6, 3, 8, 8, dtype=torch.float64)
    before = net[0].running_mean.clone()
    with cheap_second_order():
        inside = net(images)
    assert torch.equal(net[0].running_mean, before) == (mode == "eval")
    torch.testing.assert_close(inside, net(images), rtol=0, atol=0)


def test_arguments_may_come_by_name_and_positions():
    x = torch.randn(4, 3, 5, 5, requires_grad=True)
    weight, bias = torch.ones(3), torch.zeros(3)
    plain = batch_norm(x, None, None, weight=weight, bias=bias, training=True)
    with cheap_second_order():
        found = batch_norm(x, None, None, weight=weight, bias=bias, training=True)
        positional = batch_norm(x, None, None, weight, bias, True, 0.0, 1e-5)
    assert type(found.grad_fn).__name__ == "_BatchNormBackward"
    torch.testing.assert_close(found, plain)
    torch.testing.assert_close(positional, plain)


def test_checkpointed_units_keep_pytorchs_layers_because_they_run_again_outside():
    torch.manual_seed(0)
    plain = get_model("r18", num_features=8).double().train()
    held = get_model("r18", num_features=8, gradient_checkpointing=True).double().train()
    held.load_state_dict(plain.state_dict())
    for layer in (*plain.modules(), *held.modules()):
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.0
    images = torch.randn(2, 3, 112, 112, dtype=torch.float64)
    expected = through_the_input_gradient(plain, images, cheap=True)
    for found, wanted in zip(
        through_the_input_gradient(held, images, cheap=True), expected, strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-10)
