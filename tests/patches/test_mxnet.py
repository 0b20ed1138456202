# SPDX-License-Identifier: MIT
"""Those who keep upstream's own MXNet loader can train the plugins too.

MXNET_PYTHON names the interpreter of an environment made after requirements-mxnet.txt.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.patches import hosts
from tests.patches.checkout import fresh_copy
from tests.recorder import read_losses
from tests.small_data import write_small_record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
RUNNER = [str(Path(__file__).with_name("record_run.py"))]


@pytest.mark.parametrize("plugins", [[], ["invreg_plugin"]], ids=["plain", "invreg"])
def test_upstreams_mxnet_loader_trains_with_the_losses_of_our_reader(
    tmp_path, monkeypatch, plugins
):
    python = os.environ.get("MXNET_PYTHON")
    if not python:
        pytest.skip("set MXNET_PYTHON to a Python with requirements-mxnet.txt installed")
    record = write_small_record(tmp_path / "record")
    config = {
        "rec": str(record), "network": "small", "embedding_size": 16, "batch_size": 8,
        "num_epoch": 2, "warmup_epoch": 0, "num_workers": 1, "lr": 0.01, "val_targets": [],
        "num_classes": 8, "num_image": 48, "plugins": plugins,
    }  # fmt: skip
    if plugins:
        config["invreg"] = {"stages": (0,), "weight": 0.5}
    monkeypatch.setenv("STUBS", "torchvision")
    losses = {}
    for loader, without in (("mxnet", ("records",)), ("ours", ())):
        home = hosts.install(fresh_copy(tmp_path / loader), without=without)
        assert ("import mxnet" in (home / "dataset.py").read_text()) == (loader == "mxnet")
        monkeypatch.setenv("LOSSES", str(tmp_path / f"{loader}.losses"))
        run = {**config, "output": str(tmp_path / f"{loader}-run")}
        done = hosts.run(home, run, runner=RUNNER, python=python)
        assert done.returncode == 0, done.stdout[-3000:]
        losses[loader] = [loss for _, loss in read_losses(tmp_path / f"{loader}.losses")]
    assert len(losses["mxnet"]) == 12
    np.testing.assert_allclose(losses["mxnet"], losses["ours"], rtol=1e-4)
