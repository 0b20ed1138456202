# SPDX-License-Identifier: MIT
"""Job: one run leaves its figures, its embeddings and what a diagnosis needs, and nothing else."""

import json

import numpy as np
import pytest

from arcface_fair.run.centres import load_head
from drawn_faces import World
from studies import diagnosis, job, protocol
from studies.folder import Folder, read_json, write_json
from studies.job import diagnose, last_loss, main, specification
from tests.benchmark_stubs import run_of

WORLD = {"identities": 12, "images": 4, "seed": 3}


def told(key="0123456789abcdef", **config):
    """A run of seconds: few people, one epoch."""
    from dataclasses import asdict, replace

    spec = specification(run_of("invreg_random", 10))
    small = {"batch_size": 8, "num_epoch": 1, "warmup_epoch": 0, "embedding_size": 16}
    blocks = {"invreg": {"partition": "random", "stages": [0]}}
    world = replace(World(**WORLD), split="train")
    return {
        **spec, "key": key, "config": {**spec["config"], **small, **blocks, **config},
        "world": asdict(world), "held_out": asdict(world.held_out("test", 6, 4)),
    }  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with one run, made by the job's own main."""
    folder = Folder(tmp_path_factory.mktemp("job") / "benchmark")
    spec = told()
    write_json(folder.job_file(spec["key"]), spec)
    patched = pytest.MonkeyPatch()
    patched.setattr(job, "diagnose", lambda folder, key: False)  # its own tests are below
    assert main([str(folder.path), spec["key"]]) == 0
    patched.undo()
    return folder, spec["key"]


def test_figures_seconds_loss_and_makers_are_there(done):
    folder, key = done
    record = folder.record(key)
    assert record["key"] == key
    assert 0.4 < record["measured"]["mean"] <= 1.0
    assert set(record["measured"]["groups"]) == set(World().group_names)
    assert record["cost"]["train_cpu_s"] > 0
    assert record["training"]["loss"] > 0
    assert record["traces"]["partitions"]["1"]["sizes"] == [6, 6]
    assert {"commit", "dirty", "versions", "machine", "date"} <= set(record["made"])
    assert {"settings", "decisive", "seed", "split", "protocol", "drawn"} <= set(record)
    json.dumps(record, allow_nan=False)


def test_figures_are_those_of_the_stored_embeddings(done):
    folder, key = done
    world = World(**read_json(folder.kept(key) / "told.json")["held_out"])
    with np.load(folder.embeddings(key)) as file:
        assert file["embeddings"].dtype == np.float16
        groups = protocol.compare(world, file["embeddings"], file["identities"])
    assert protocol.judged(groups) == folder.record(key)["measured"]


def test_network_and_class_centres_stay_and_the_rest_goes(done):
    folder, key = done
    kept = {path.name for path in folder.kept(key).iterdir()}
    assert {"model.pt", "checkpoint_gpu_0.pt", "config.json", "partitions", "told.json"} <= kept
    assert "tensorboard" not in kept
    assert not folder.work(key).exists()
    assert not folder.job_file(key).exists()
    head = load_head(folder.kept(key), read_json(folder.kept(key) / "config.json"))
    assert tuple(head.weight.shape) == (12, 16)


def test_finished_run_is_left_alone_but_for_the_diagnosis_that_it_lacks(done):
    folder, key = done
    before = folder.record(key)
    assert main([str(folder.path), key]) == 0
    after = folder.record(key)
    assert after.pop("diagnosis")["logits"]
    assert after == {k: v for k, v in before.items() if k != "diagnosis"}


def test_diagnosis_is_added_once_and_again_on_request(done, monkeypatch):
    folder, key = done
    seen = []
    monkeypatch.setattr(
        diagnosis, "diagnose", lambda finished: seen.append(finished) or {"times": len(seen)}
    )
    record = folder.record(key)
    write_json(folder.run_file(key), {**record, "diagnosis": {}})
    assert diagnose(folder, key)
    assert folder.record(key)["diagnosis"] == {"times": 1}
    assert not diagnose(folder, key)
    assert diagnose(folder, key, again=True)
    assert folder.record(key)["diagnosis"] == {"times": 2}
    assert (seen[0].output / "model.pt").is_file()
    assert (seen[0].faces / "train.rec").is_file()
    assert seen[0].world == World(**WORLD)


def test_settings_that_a_run_refuses_end_in_one_sentence(tmp_path, capsys):
    folder = Folder(tmp_path / "b")
    spec = told(network="r9000")
    write_json(folder.job_file(spec["key"]), spec)
    assert main([str(folder.path), spec["key"]]) == 2
    assert "r9000" in capsys.readouterr().err.splitlines()[-1]
    assert not folder.finished(spec["key"])


def test_last_loss_is_the_mean_over_the_last_epoch(tmp_path):
    log = tmp_path / "training.log"
    lines = ["epoch 0 loss 9.0000 lr", "epoch 1 loss 2.0000 lr", "epoch 1 loss 1.0000 lr"]
    log.write_text("\n".join(lines))
    assert last_loss(log) == 1.5
    log.write_text("epoch 0 loss nan lr")
    assert last_loss(log) is None
    log.write_text("")
    assert last_loss(log) is None
