# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch

from arcface_fair import bridge
from arcface_fair.backbones import get_model

onnxruntime = pytest.importorskip("onnxruntime")


def test_export_loads_the_weights_strictly_and_takes_any_batch(tmp_path, caplog):
    caplog.set_level("INFO", "arcface_fair")
    trained = get_model("small", num_features=16)
    torch.save(trained.state_dict(), tmp_path / "model.pt")
    fresh = get_model("small", num_features=16)
    out = str(tmp_path / "out.onnx")
    bridge.convert_onnx(fresh, str(tmp_path / "model.pt"), out, 11, simplify=True)
    assert "--simplify is ignored" in caplog.text
    session = onnxruntime.InferenceSession(out)
    images = torch.randn(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    (features,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(features, trained.eval()(images).numpy(), atol=1e-4)
    other = get_model("small", num_features=8)
    with pytest.raises(RuntimeError, match="size mismatch"):
        bridge.convert_onnx(other, str(tmp_path / "model.pt"), out)


def test_colours_are_rows_of_rgba():
    pytest.importorskip("matplotlib")
    assert bridge.colours(3, "Set2").shape == (3, 4)
