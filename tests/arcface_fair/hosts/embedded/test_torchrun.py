# SPDX-License-Identifier: MIT
"""The documented command on two real processes, started by torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.small_data import picture, small_run, write_insightface_record, write_small_record

ROOT = Path(__file__).parents[4]

pytestmark = pytest.mark.slow


def torchrun(tmp_path, record, *options, **changes):
    values = small_run(record, tmp_path / "run", batch_size=4, **changes)
    lines = [f"config[{key!r}] = {value!r}" for key, value in values.items()]
    config = tmp_path / "run.py"
    config.write_text("from easydict import EasyDict\nconfig = EasyDict()\n" + "\n".join(lines))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return subprocess.run(
        [*command, "-m", "arcface_fair.train", str(config), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_two_processes_train_and_rank_0_says_what_was_written(tmp_path):
    record = write_small_record(tmp_path / "record")
    result = torchrun(
        tmp_path, record, "--set", "invreg.stages=1", "--set", "embedding_size=24",
        plugins=["invreg_plugin"], invreg={"stages": (0, 1)}, val_targets=["unseen"],
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("model:") == 1
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"checkpoint_gpu_0.pt", "checkpoint_gpu_1.pt", "model.pt"} <= files
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    assert kept["set"] == ["invreg.stages=1", "embedding_size=24"]
    assert (kept["invreg"], kept["embedding_size"]) == ({"stages": [1]}, 24)
    shards = [torch.load(tmp_path / "run" / f"checkpoint_gpu_{rank}.pt") for rank in (0, 1)]
    assert [shard["state_dict_softmax_fc"]["weight"].shape[1] for shard in shards] == [24, 24]
    assert (tmp_path / "run" / "training.log").read_text().count("step 12 ") == 1


@pytest.mark.parametrize("bad", range(0, 48, 17))
def test_a_bad_image_on_one_rank_ends_both_with_the_same_sentence(tmp_path, bad):
    images = [(picture(i, s), i) for i in range(8) for s in range(6)]
    images[bad] = (b"\xff\xd8 this is no image", images[bad][1])
    write_insightface_record(tmp_path / "record", iter(images), 8, 112)
    result = torchrun(tmp_path, tmp_path / "record", num_workers=1)
    sentences = [line for line in result.stderr.splitlines() if "arcface-fair: " in line]
    assert result.returncode != 0
    assert sentences
    assert all(f"record {bad + 1} of" in sentence for sentence in sentences)
    assert "[rank0]: Traceback" not in result.stderr
    assert "[rank1]: Traceback" not in result.stderr
    box = result.stderr[result.stderr.index("Root Cause") :]
    assert f"record {bad + 1} of" in box
    assert not (tmp_path / "run" / "model.pt").exists()
