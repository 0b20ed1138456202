# SPDX-License-Identifier: MIT
"""The documented command on two real processes, started by torchrun."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.small_data import picture, small_run, write_insightface_record, write_small_record

ROOT = Path(__file__).parents[4]


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


@pytest.mark.slow
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


def assert_one_sentence(result, sentence):
    """Every rank ended by itself with exit code 2; stderr and torchrun's box say why, once."""
    ends = re.findall(r"  exitcode *: (-?\d+) \(pid: (\d+)\)", result.stderr)
    assert {code for code, _ in ends} == {"2"}
    assert len({process for _, process in ends}) == 2
    assert result.stderr.count("arcface-fair: ") == 1
    assert sentence in result.stderr.partition("arcface-fair: ")[2].splitlines()[0]
    assert "terminate called" not in result.stderr
    for rank in (0, 1):
        assert f"[rank{rank}]: Traceback" not in result.stderr
    box = result.stderr[result.stderr.index("Root Cause") :]
    assert sentence in box


@pytest.mark.parametrize(
    "bad", [17, *(pytest.param(bad, marks=pytest.mark.slow) for bad in (0, 34))]
)
def test_a_bad_image_on_one_rank_ends_both_with_one_sentence(tmp_path, bad):
    images = [(picture(i, s), i) for i in range(8) for s in range(6)]
    images[bad] = (b"\xff\xd8 this is no image", images[bad][1])
    write_insightface_record(tmp_path / "record", iter(images), 8, 112)
    result = torchrun(tmp_path, tmp_path / "record", num_workers=1)
    assert_one_sentence(result, f"record {bad + 1} of")
    log = (tmp_path / "run" / "training.log").read_text()
    assert log.count(f"record {bad + 1} of") == 1
    assert log.splitlines()[-1].endswith("to go on without it")
    assert not (tmp_path / "run" / "model.pt").exists()


PICKY = """
from dataclasses import dataclass
from arcface_fair import dist
from arcface_fair.errors import UserError
from arcface_fair.plugin.parts import Hook, Plugin
NAME = "picky"
@dataclass(frozen=True)
class Settings:
    pass
def refuse():
    if dist.rank() == 1:
        raise UserError("rank 1 has too little memory, expected 1 TiB; buy some")
class Refusing(Hook):
    def before_train(self, session):
        refuse()
def build(settings, session):
    {build}
    return Plugin(name=NAME, hooks=(Refusing(),))
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["refuse()", "pass"], ids=["build", "before_train"])
def test_a_check_that_fails_on_one_rank_ends_both_with_one_sentence(tmp_path, where):
    record = write_small_record(tmp_path / "record")
    (tmp_path / "picky.py").write_text(PICKY.replace("{build}", where))
    result = torchrun(tmp_path, record, plugins=["picky"])
    assert_one_sentence(result, "rank 1 has too little memory")
    log = tmp_path / "run" / "training.log"
    # Before the run had begun nothing was written.
    assert log.exists() == (where == "pass")
    if where == "pass":
        assert log.read_text().count("rank 1 has too little memory") == 1
