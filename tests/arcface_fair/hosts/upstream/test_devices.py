# SPDX-License-Identifier: MIT
import pytest
import torch
import torch.distributed as torch_dist

from arcface_fair.hosts import ranks
from arcface_fair.hosts.upstream import devices


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_everything_is_on_the_cpu_and_streams_do_nothing():
    assert devices.device() == torch.device("cpu")
    assert devices.device_ids() is None
    assert not devices.on_gpu()
    devices.set_device(3)
    stream = devices.copy_stream()
    assert stream is None
    with devices.using_stream(stream):
        devices.wait_for_stream(stream)


def test_with_gpus_the_local_rank_decides(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("LOCAL_RANK", "2")
    devices.set_device(0)  # versions of 2022 pass 0 under today's torchrun
    assert chosen == [torch.device("cuda", 2)]
    assert devices.device_ids() == [2]


def test_without_torchrun_one_process_makes_a_group_without_a_port(monkeypatch):
    started = {}
    for name in ("WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch_dist, "init_process_group", lambda *a, **k: started.update(k, b=a))
    devices.init_process_group()
    assert started["b"] == (("nccl",) if torch.cuda.is_available() else ("gloo",))
    assert (started["rank"], started["world_size"]) == (0, 1)
    assert isinstance(started["store"], torch_dist.HashStore)
    assert started["timeout"].total_seconds() == 12 * 3600


def test_under_torchrun_the_environment_decides(monkeypatch):
    started = {}
    store = torch_dist.HashStore()
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setattr(ranks, "_store", None)
    monkeypatch.setattr(torch_dist, "rendezvous", lambda url, timeout: iter([(store, 2, 4)]))
    monkeypatch.setattr(torch_dist, "init_process_group", lambda *a, **k: started.update(k))
    devices.init_process_group()
    assert (started["store"], started["rank"], started["world_size"]) == (store, 2, 4)
    assert started["timeout"].total_seconds() == 12 * 3600
