# SPDX-License-Identifier: MIT
"""How ranks that fail settle on one sentence; with torchrun itself in embedded/test_torchrun.py."""

import os
import signal

import pytest
import torch
import torch.distributed as torch_dist

from arcface_fair import dist
from arcface_fair.errors import UserError
from arcface_fair.hosts import ranks
from arcface_fair.hosts.ranks import check_device, choose_device, one_sentence, until_error


@pytest.fixture
def two_ranks(monkeypatch):
    """A function that puts this process into the place of either rank; they share a store."""
    monkeypatch.setattr(ranks, "_store", torch_dist.HashStore())
    monkeypatch.setattr(dist, "world_size", lambda: 2)
    return lambda rank: monkeypatch.setattr(dist, "rank", lambda: rank)


def fail(error, folder):
    with pytest.raises(UserError) as caught, one_sentence(folder), one_sentence(folder):
        raise error
    return caught.value


def test_the_first_rank_prints_and_the_others_repeat_its_sentence_in_silence(two_ranks, tmp_path):
    (tmp_path / "training.log").write_text("step 1\n")
    two_ranks(1)
    first = fail(UserError("no space, expected some; free it"), tmp_path)
    assert (str(first), first.printed_elsewhere) == ("no space, expected some; free it", False)
    two_ranks(0)
    second = fail(RuntimeError("[gloo] Connection closed by peer [127.0.0.1]"), tmp_path)
    assert (str(second), second.printed_elsewhere) == (str(first), True)
    lines = (tmp_path / "training.log").read_text().splitlines()
    assert lines[0] == "step 1"
    assert [line.endswith(str(first)) for line in lines] == [False, True]


def test_a_rank_that_alone_lost_another_says_so(two_ranks, tmp_path):
    two_ranks(0)
    error = fail(RuntimeError("Connection reset by peer"), tmp_path)
    assert "rank 0 lost contact with another process, which ended first" in str(error)
    assert error.printed_elsewhere is False
    assert list(tmp_path.iterdir()) == []  # no run had begun: nothing is written


def test_without_a_store_or_with_one_that_has_ended_every_rank_prints(
    two_ranks, tmp_path, monkeypatch
):
    class Gone:
        def compare_set(self, *args):
            raise torch_dist.DistNetworkError("connection refused")

    two_ranks(1)
    for store in (None, Gone()):
        monkeypatch.setattr(ranks, "_store", store)
        assert fail(UserError("bad"), tmp_path).printed_elsewhere is False


def test_our_own_mistakes_pass_through(tmp_path):
    with pytest.raises(RuntimeError, match="a shape is wrong"), one_sentence(tmp_path):
        raise RuntimeError("a shape is wrong")


@pytest.fixture
def killed(monkeypatch):
    """The signals that this process would have sent itself."""
    sent = []
    monkeypatch.setattr(ranks.signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(ranks.signal, "raise_signal", sent.append)
    return sent


def test_sigterm_ends_a_rank_unless_another_has_failed(two_ranks, tmp_path, killed):
    two_ranks(0)
    ranks._end_unless_one_failed(os.getpid(), signal.SIGTERM, None)
    assert killed == [signal.SIGTERM]
    two_ranks(1)
    fail(UserError("bad"), tmp_path)
    two_ranks(0)
    ranks._end_unless_one_failed(os.getpid(), signal.SIGTERM, None)
    assert killed == [signal.SIGTERM]  # rank 0 will meet rank 1's sentence in a collective
    ranks._end_unless_one_failed(os.getpid() + 1, signal.SIGTERM, None)
    assert killed == [signal.SIGTERM] * 2  # a worker process of ours ends as ever


class Head:
    pending_error = None


def broken():
    yield 1
    raise UserError("record 2 is bad")


def test_a_rank_without_a_batch_brings_its_error_to_the_head(two_ranks):
    head = Head()
    assert list(until_error(broken(), head, lambda: "blank")) == [1, "blank"]
    assert str(head.pending_error) == "record 2 is bad"


def test_one_process_raises_at_once():
    with pytest.raises(UserError, match="record 2 is bad"):
        list(until_error(broken(), Head(), lambda: "blank"))


def test_the_device_is_what_is_there(monkeypatch):
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cpu")
    check_device("auto")
    with pytest.raises(UserError, match=r"config.device is 'cuda' but torch finds no CUDA device"):
        check_device("cuda")
