# SPDX-License-Identifier: MIT
"""A real arcface_torch, installed: train, verify, save, resume, export on real photographs.

CPU, gloo, one and two processes; AT&T / Olivetti Research Laboratory faces.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from arcface_fair.data.image.images import decode
from arcface_fair.data.sets.bins import load_bin
from tests.patches import hosts
from tests.patches.checkout import checkout, fresh_copy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ORL = hosts.ROOT / "../shared/data/orl"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    checkout()
    if not ORL.is_dir():
        pytest.skip("the photographs in ../shared/data/orl are not there")
    return hosts.install(fresh_copy(tmp_path_factory.mktemp("installed") / "arcface_torch"))


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    path = tmp_path_factory.mktemp("groups") / "groups.tsv"
    lines = [f"{identity}\t{'even' if identity % 2 == 0 else 'odd'}" for identity in range(30)]
    path.write_text("\n".join(["identity\thalf", *lines, ""]))
    return path


def orl_run(output: Path, **changes):
    """Two epochs of ten steps, 30 images each, over all processes."""
    return {
        "rec": str(ORL), "output": str(output), "network": "small", "embedding_size": 32,
        "batch_size": 30, "lr": 0.02, "num_epoch": 2, "num_workers": 1, "frequent": 1,
        "margin_list": (1.0, 0.3, 0.0), "margin_scale": 32.0, "verbose": 1000, **changes,
    }  # fmt: skip


INVREG = {"plugins": ["invreg_plugin"], "invreg": {"stages": (0, 1), "weight": 0.05}}


@pytest.fixture(scope="module", params=[1, 2], ids=["1 process", "2 processes"])
def invreg(request, home, tmp_path_factory):
    """A whole run of INV-REG with two stages: processes, losses, output folder."""
    output = tmp_path_factory.mktemp("invreg") / "run"
    config = orl_run(output, batch_size=30 // request.param, val_targets=["orl"], verbose=20,
                     checkpoint_steps=7, sample_rate=0.5, **INVREG)  # fmt: skip
    return request.param, hosts.losses(home, config, output.with_suffix(".losses"),
                                       processes=request.param), output, config  # fmt: skip


def test_invreg_trains_partitions_verifies_and_saves(invreg):
    processes, seen, output, _ = invreg
    assert [step for step, _ in seen] == list(range(1, 21))
    values = [loss for _, loss in seen]
    assert np.mean(values[-5:]) < 0.8 * np.mean(values[:5])
    log = (output / "training.log").read_text()
    assert "stage 2: subsets of" in log
    assert "[orl][20]Accuracy-Flip: 0." in log
    for rank in range(processes):
        state = torch.load(output / f"checkpoint_gpu_{rank}.pt", weights_only=True)
        assert state["plugins"]["invreg"]["num_subsets"] == [2, 2]
        assert len(state["state_dict_softmax_fc"]["weight"]) == 30 // processes


def test_a_killed_run_resumes_with_the_same_losses(home, invreg, tmp_path):
    processes, seen, _, config = invreg
    again = {**config, "output": str(tmp_path / "run")}
    killed = hosts.losses(home, again, tmp_path / "a", processes=processes, kill_at=16)
    assert killed == seen[:16]
    resumed = hosts.losses(home, {**again, "resume": True}, tmp_path / "b", processes=processes)
    assert resumed == seen[14:]


def test_another_number_of_processes_goes_on(home, invreg):
    processes, _, output, config = invreg
    other = 3 - processes
    changed = {**config, "num_epoch": 3, "resume": True, "batch_size": 30 // other}
    seen = hosts.losses(home, changed, output.with_suffix(".other"), processes=other)
    assert [step for step, _ in seen] == list(range(21, 31))
    assert all(np.isfinite(loss) for _, loss in seen)
    rows = [
        torch.load(output / f"checkpoint_gpu_{rank}.pt", weights_only=True) for rank in range(other)
    ]
    assert sum(len(state["state_dict_softmax_fc"]["weight"]) for state in rows) == 30


@pytest.mark.parametrize("processes", [1, 2])
def test_gabn_trains_with_its_adversary(home, groups, tmp_path, processes):
    gabn = {"classifier_width": 4, "map_side": 28, "start": 0.0}
    config = orl_run(tmp_path / "run", batch_size=30 // processes, num_epoch=1, lr=0.005,
                     plugins=["gabn_plugin"], gabn=gabn, groups=str(groups))  # fmt: skip
    seen = hosts.losses(home, config, tmp_path / "losses", processes=processes)
    assert [step for step, _ in seen] == list(range(1, 11))
    assert all(np.isfinite(loss) for _, loss in seen)
    state = torch.load(tmp_path / "run" / "checkpoint_gpu_0.pt", weights_only=True)
    assert "gabn" in state["plugins"]


@pytest.fixture(scope="module")
def mbf(home, tmp_path_factory):
    """Upstream's own network after a few steps."""
    output = tmp_path_factory.mktemp("mbf") / "run"
    done = hosts.run(
        home, orl_run(output, network="mbf", embedding_size=512, num_epoch=1, batch_size=60)
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return output


def script(home: Path, *arguments: object) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(home), str(hosts.ROOT)])
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=home, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def test_torch2onnx_writes_a_model_of_any_batch_size(home, mbf, tmp_path):
    import onnxruntime

    script(home, "torch2onnx.py", mbf, "--network", "mbf", "--output", tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    (given,) = session.get_inputs()
    for batch in (1, 5):
        images = np.zeros((batch, 3, 112, 112), np.float32)
        (features,) = session.run(None, {given.name: images})
        assert features.shape == (batch, 512)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.fixture(scope="module")
def ijb(tmp_path_factory):
    """A folder in IJB-C's form: 10 templates of 2 photographs each."""
    folder = tmp_path_factory.mktemp("ijb")
    (folder / "meta").mkdir()
    (folder / "loose_crop").mkdir()
    encoded, _ = load_bin(ORL / "orl.bin")
    import cv2

    faces, points = [], "38.3 51.7 73.5 51.5 56.0 71.7 41.5 92.4 70.7 92.2"
    media = []
    for number in range(20):
        name = f"{number}.png"
        image = decode(encoded[2 * (number // 2) + number % 2], name)
        cv2.imwrite(str(folder / "loose_crop" / name), image[:, :, ::-1])
        faces.append(f"{name} {points} 0.9{number % 10}")
        media.append(f"{name} {number // 2} {number}")
    pairs = [f"{a} {b} {int(a == b)}" for a in range(10) for b in range(10)]
    for name, lines in (("face_tid_mid", media), ("template_pair_label", pairs),
                        ("name_5pts_score", faces)):  # fmt: skip
        (folder / "meta" / f"ijbc_{name}.txt").write_text("\n".join([*lines, ""]))
    return folder


def test_the_ijb_scripts_run_on_a_cpu_and_agree(home, mbf, ijb, tmp_path):
    for package in ("pandas", "prettytable", "skimage", "sklearn", "matplotlib", "insightface"):
        pytest.importorskip(package)
    script(home, "torch2onnx.py", mbf, "--network", "mbf", "--output", tmp_path / "model.onnx")
    said = script(home, "onnx_ijbc.py", "--model-root", tmp_path, "--image-path", ijb)
    assert "IJBC.npy-IJBC" in said
    by_onnx = np.load(tmp_path / "IJBC_result" / "IJBC.npy")
    said = script(home, "eval_ijbc.py", "--model-prefix", mbf / "model.pt", "--image-path", ijb,
                  "--result-dir", tmp_path, "--network", "mbf", "--batch-size", 8)  # fmt: skip
    assert "ijbc-IJBC" in said
    by_weights = np.load(tmp_path / "insightface" / "ijbc.npy")
    assert by_onnx.shape == by_weights.shape == (100,)
    np.testing.assert_allclose(by_onnx, by_weights, atol=2e-3)
