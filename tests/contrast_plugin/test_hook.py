# SPDX-License-Identifier: MIT
"""Several processes, sampled classes, resumed runs, and what goes wrong on the way."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from arcface_fair import dist
from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError
from arcface_fair.hosts.embedded import train
from tests.contrast_plugin.runs import (
    OPEN,
    STAGE,
    half_run,
    learned,
    losses_of,
    run_config,
    saved,
    trainer_of,
)
from tests.ranks import RankError


def state_on_rank(config: dict[str, Any]) -> tuple[dict[str, Any], list[torch.Tensor]]:
    trainer = trainer_of(config)
    trainer.fit()
    state = copy.deepcopy(trainer.session.state_dict()["contrast"]["found"])
    return state, [p.detach() for p in trainer.backbone.parameters()]


@pytest.mark.parametrize("sample_rate", [1.0, 0.7])
def test_ranks_hold_one_map_and_the_same_weights(run_ranks, record, tmp_path, sample_rate):
    config = learned(record, tmp_path / "run", {}, batch_size=4, sample_rate=sample_rate)
    (first, one), (second, two) = run_ranks(2, state_on_rank, config)
    assert torch.equal(first["map"], second["map"])
    assert first["map"].abs().max() > 0
    assert torch.equal(first["subset"], second["subset"])
    assert (first["gap"], first["easy"]) == (second["gap"], second["easy"])
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_two_processes_give_the_map_the_gate_and_the_losses_of_one(run_ranks, record, tmp_path):
    settings = {"norm": "none", "lr": 0.01}
    contrast = {**OPEN, "fill": "grey", "maps": 9}  # nine images do not divide among two ranks
    one_config = run_config(record, tmp_path / "one", contrast, batch_size=8, **settings)
    two_config = run_config(record, tmp_path / "two", contrast, batch_size=4, **settings)
    one = losses_of(one_config)
    two = run_ranks(2, losses_of, two_config)[0]
    assert len(one) == 12
    np.testing.assert_allclose(two, one, rtol=2e-5)
    first, second = saved(tmp_path / "one")["found"], saved(tmp_path / "two")["found"]
    assert second["easy"] == first["easy"]
    np.testing.assert_allclose(second["gap"], first["gap"], atol=1e-5)
    np.testing.assert_allclose(second["map"], first["map"], atol=2e-4)


@pytest.mark.parametrize("stop_at", [5, 9])
def test_a_run_resumed_before_or_after_the_map_goes_on_exactly(record, tmp_path, stop_at):
    changes: dict[str, Any] = {"checkpoint_steps": 4, "dropout": 0.3}
    whole = losses_of(learned(record, tmp_path / "whole", {}, **changes))
    trainer = trainer_of(learned(record, tmp_path / "parts", {}, **changes))
    real, stopped = trainer.session.after_step, RuntimeError("stop")

    def stop() -> None:
        real()
        if trainer.session.global_step == stop_at:
            raise stopped

    trainer.session.after_step = stop  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="stop"):
        trainer.fit()
    rest = losses_of(learned(record, tmp_path / "parts", {}, resume=True, **changes))
    assert rest == whole[-len(rest) :]
    assert len(rest) == (8 if stop_at == 5 else 4)


def test_a_resumed_run_whose_file_changed_is_refused(record, tmp_path):
    file = tmp_path / "partition.tsv"
    GroupTable.of_words({"subset": ["a", "b"] * 4}).write(file)
    contrast = {**OPEN, "partition": str(file), "start": 0.3}
    half_run(record, tmp_path / "run", contrast)
    GroupTable.of_words({"subset": ["b", "a", "a", "b"] * 2}).write(file)
    with pytest.raises(UserError, match="is another than the one of the checkpoint, expected it"):
        train(run_config(record, tmp_path / "run", contrast, num_epoch=3, resume=True))
    GroupTable.of_words({"subset": ["a", "b"] * 4}).write(file)
    train(run_config(record, tmp_path / "run", contrast, num_epoch=3, resume=True))


def test_a_resumed_run_whose_published_partition_changed_is_refused(record, tmp_path):
    contrast = {"start": 0.3, "gate": 0.0, "maps": 4}
    changes = {"plugins": ["invreg_plugin"], "invreg": STAGE}
    half_run(record, tmp_path / "run", contrast, **changes)
    path = tmp_path / "run" / "checkpoint_gpu_0.pt"
    state = torch.load(path, weights_only=True)
    partitions = state["plugins"]["invreg"]["partitions"]
    state["plugins"]["invreg"]["partitions"] = 1 - partitions
    torch.save(state, path)
    config = run_config(record, tmp_path / "run", contrast, num_epoch=3, resume=True, **changes)
    with pytest.raises(UserError, match=r"the partition of contrast \('session'\) is another"):
        train(config)


def test_a_checkpoint_of_other_identities_is_refused(record, tmp_path):
    trainer = trainer_of(run_config(record, tmp_path / "run", OPEN))
    trainer.fit()
    contrast = trainer.session.plugins[0].state
    state = contrast.state_dict()
    state["found"]["subset"] = torch.zeros(9, dtype=torch.uint8)
    with pytest.raises(UserError, match="contrast is of 9 identities, this run has 8; resume"):
        contrast.load_state_dict(state)


def test_images_of_another_size_are_refused(record, tmp_path):
    trainer = trainer_of(run_config(record, tmp_path / "run", OPEN))
    trainer.fit()
    with pytest.raises(UserError, match="images are 56 x 56 pixels, the contrast map is 112 x 112"):
        trainer.session.before_forward(torch.zeros(8, 3, 56, 56), torch.arange(8))


def fail_on_rank_1(config: dict[str, Any]) -> None:
    trainer = trainer_of(config)
    if dist.rank() == 1:
        real = trainer.session.run.dataset.read

        def broken(position: int) -> Any:
            if trainer.session.epoch == 1 and trainer.session.global_step == 6:
                raise UserError("record 13 is of no use")
            return real(position)

        trainer.session.run.dataset.read = broken  # type: ignore[method-assign]
    trainer.fit()


def test_what_one_rank_meets_all_ranks_raise(run_ranks, record, tmp_path):
    config = run_config(record, tmp_path / "run", OPEN, batch_size=4)
    with pytest.raises(RankError, match="record 13 is of no use") as raised:
        run_ranks(2, fail_on_rank_1, config)
    assert "failed on rank(s) [0, 1]" in str(raised.value)


def test_a_diverged_network_is_said(record, tmp_path):
    trainer = trainer_of(run_config(record, tmp_path / "run", OPEN))
    with torch.no_grad():
        next(iter(trainer.backbone.parameters())).fill_(torch.nan)
    trainer.session.before_train()
    with pytest.raises(UserError, match="embeddings of training images are not finite"):
        trainer.session.before_epoch(1)
    trainer.log.close()


def test_a_folder_that_cannot_be_written_is_said(record, tmp_path):
    trainer = trainer_of(run_config(record, tmp_path / "run", OPEN))
    (tmp_path / "run" / "contrast").write_text("a file in the way")
    trainer.session.before_train()
    with pytest.raises(UserError, match="cannot be written"):
        trainer.session.before_epoch(1)
    trainer.log.close()
