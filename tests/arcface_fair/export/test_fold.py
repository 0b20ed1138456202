# SPDX-License-Identifier: MIT
"""A training that divided by 128 is exported for runtimes that divide by 127.5."""

import numpy as np
import onnx
import pytest
import torch
from insightface.model_zoo import get_model as insightface_model

from arcface_fair.errors import UserError
from arcface_fair.export import export_onnx
from arcface_fair.export.fold import fold_input_scale
from tests.arcface_fair.export.conftest import trained_like

BGR = np.random.default_rng(1).integers(0, 256, (3, 112, 112, 3), np.uint8)


def features(net, std):
    rgb = torch.from_numpy(BGR[:, :, :, ::-1].copy()).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        return net((rgb - 127.5) / std).numpy()


def test_insightface_gets_the_features_of_a_training_with_128(net, tmp_path):
    path = export_onnx(net, tmp_path / "net.onnx", train_std=128.0)
    model = insightface_model(str(path), providers=["CPUExecutionProvider"])
    assert (model.input_mean, model.input_std) == (127.5, 127.5)
    found, expected = model.get_feat(list(BGR)), features(net, 128.0)
    norm = np.linalg.norm(expected, axis=1).mean()
    assert np.abs(found - expected).max() / norm < 1e-5
    # Without the fold the difference is seen: the test would notice if nothing were done.
    assert np.abs(features(net, 127.5) - expected).max() / norm > 1e-4
    facts = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    assert (facts["train_std"], facts["input_std"]) == ("128", "127.5")
    assert facts["folded"] == "first convolution times 127.5 / 128"


@pytest.mark.parametrize(
    "name",
    ["small_aa", *(pytest.param(name, marks=pytest.mark.slow) for name in ("r18", "vit_t", "mbf"))],
)
def test_other_first_layers_take_the_scale_too(name):
    net = trained_like(name, num_features=8).eval()
    expected = features(net, 128.0)
    fold_input_scale(net, 128.0)
    assert np.abs(features(net, 127.5) - expected).max() < 1e-5 * np.linalg.norm(expected)


class Shifted(torch.nn.Module):
    """Shifts its input before the first convolution, which a scale cannot follow."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return self.net(images + 1)


class Flat(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(3 * 112 * 112, 4)

    def forward(self, images):
        return self.fc(images.flatten(1))


def test_scales_that_cannot_be_folded_are_refused():
    with pytest.raises(UserError, match=r"128, and it cannot be folded: the network begins with L"):
        fold_input_scale(Flat().eval(), 128.0)
    shifted = Shifted(trained_like("small", num_features=8)).eval()
    with pytest.raises(UserError, match=r"cannot be folded into the first convolution: the networ"):
        fold_input_scale(shifted, 128.0)
    with pytest.raises(UserError, match=r"train_std is 0; it must be above 0"):
        fold_input_scale(shifted, 0.0)
