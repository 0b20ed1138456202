# SPDX-License-Identifier: MIT
"""Partition-contrast erasing in whole runs: gate, source, one and two processes, resumed."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from arcface_fair import dist
from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError
from arcface_fair.plugins import load_plugin_modules
from arcface_fair.trainer import train
from arcface_fair.trainer.device import choose_device
from arcface_fair.trainer.loop import Trainer
from arcface_fair.trainer.settings import parse_run
from tests.recorder import read_losses
from tests.small_data import small_run, write_small_record

WORDS = ["b", "a", "b", "", "a", "b", "b", "a"]
OPEN: dict[str, Any] = {"partition": "table", "start": 0.5, "gate": 0.0, "maps": 8}
STAGE = {"weight": 0.0, "stages": (1,), "objective": "rex"}


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Path:
    folder = write_small_record(tmp_path_factory.mktemp("record"))
    words = {"race": WORDS, "all": ["x"] * 8, "none": [""] * 8, "rare": ["a"] * 7 + ["b"]}
    GroupTable.of_words(words).write(folder / "groups.tsv")
    return folder


def run_config(record: Path, output: Path, contrast: dict[str, Any], **changes: Any) -> dict:
    gabn = {"erasing": "contrast", "confidence": False, "adversarial": False, "contrast": contrast}
    plugins = [*changes.pop("plugins", []), "gabn_plugin"]
    return small_run(record, output, plugins=plugins, gabn=gabn, **changes)


def learned(record: Path, output: Path, contrast: dict[str, Any], **changes: Any) -> dict:
    stage = {**STAGE, **changes.pop("invreg", {})}
    contrast = {"start": 0.5, "gate": 0.0, "maps": 4, **contrast}
    return run_config(record, output, contrast, plugins=["invreg_plugin"], invreg=stage, **changes)


def trainer_of(config: dict[str, Any]) -> Trainer:
    modules = load_plugin_modules(config["plugins"])
    run, _ = parse_run(config, {module.NAME for module in modules})
    return Trainer(run, config, modules, choose_device("cpu"))


def losses_of(config: dict[str, Any]) -> list[float]:
    path = Path(config["output"]).with_suffix(".losses")
    if dist.rank() == 0:
        path.unlink(missing_ok=True)
    plugins = ["tests.recorder", *config.get("plugins", [])]
    train({**config, "plugins": plugins, "recorder": {"path": str(path)}})
    dist.barrier()
    return [loss for _, loss in read_losses(path)]


def saved(output: Path) -> dict[str, Any]:
    state = torch.load(output / "checkpoint_gpu_0.pt", weights_only=True)
    return state["plugins"]["gabn"]["contrast"]


# What happens to the images.


def batches_before_and_after(config: dict[str, Any]) -> tuple[Trainer, list[tuple]]:
    """Images and labels as loaded and as the backbone saw them, step by step."""
    trainer = trainer_of(config)
    real, seen = trainer.session.before_forward, []

    def note(images: torch.Tensor, labels: torch.Tensor, *rest: Any) -> torch.Tensor:
        after = real(images, labels, *rest)
        seen.append((trainer.session.epoch, images.clone(), labels.clone(), after.clone()))
        return after

    trainer.session.before_forward = note  # type: ignore[method-assign]
    trainer.fit()
    return trainer, seen


@pytest.mark.parametrize("fill", ["batch", "reference", "grey"])
def test_only_easy_images_change_only_where_the_map_is_positive_into_the_fill(
    record, tmp_path, fill
):
    trainer, seen = batches_before_and_after(
        run_config(record, tmp_path / "run", {**OPEN, "fill": fill})
    )
    found = trainer.session.plugins[0].state.contrast.found
    assert found.acts
    assert 0 < found.mask.float().mean() < 1
    assert found.names == ("a", "b")
    of_class = {word: number for number, word in enumerate(found.names)}
    subset = torch.tensor([of_class.get(word, 255) for word in WORDS])
    assert torch.equal(found.subset.long(), subset)
    for epoch, before, labels, after in seen:
        if epoch == 0:
            assert torch.equal(before, after)
            continue
        easy = subset[labels] == found.easy
        assert easy.any()
        assert torch.equal(after[~easy], before[~easy])
        assert torch.equal(after[easy][:, :, ~found.mask], before[easy][:, :, ~found.mask])
        reference = (subset[labels] != found.easy) & (subset[labels] != 255)
        sources = before[reference if fill == "reference" else slice(None)][:, :, found.mask]
        for row in torch.where(easy)[0]:
            new = after[row][:, found.mask]
            if fill == "grey":
                assert (new == 0).all()
            else:
                assert any(torch.equal(new, source) for source in sources)
                assert not torch.equal(new, before[row][:, found.mask])


def test_the_rolled_control_replaces_as_many_pixels_elsewhere(record, tmp_path):
    settings = {**OPEN, "fill": "grey", "control": "rolled"}
    trainer, seen = batches_before_and_after(run_config(record, tmp_path / "run", settings))
    found = trainer.session.plugins[0].state.contrast.found
    easy = found.subset == found.easy
    places = set()
    for epoch, before, labels, after in seen:
        for row in torch.where(easy[labels])[0] if epoch else []:
            grey = (after[row] == 0).all(0)
            moved = (before[row] != 0).any(0) & grey
            assert int(grey.sum()) >= int(found.mask.sum())
            assert int(moved.sum()) <= int(found.mask.sum())
            places.add(grey.numpy().tobytes())
    assert len(places) > 5  # a place of its own for every image


def test_a_closed_gate_leaves_arcface_to_the_bit(record, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "arcface_fair"):
        closed = losses_of(run_config(record, tmp_path / "closed", {**OPEN, "gate": 2.0}))
    assert closed == losses_of(small_run(record, tmp_path / "plain"))
    assert "nothing is erased, the gap difference is below the gate of 2.00" in caplog.text
    state = saved(tmp_path / "closed")
    assert state["found"]["acts"] is False
    assert not np.isnan(state["found"]["difference"])
    opened = losses_of(run_config(record, tmp_path / "open", OPEN))
    assert opened[:6] == closed[:6]
    assert all(a != b for a, b in zip(opened[6:], closed[6:], strict=True))


def test_the_statistic_is_a_curve_and_the_map_a_picture_whether_it_acts_or_not(record, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for name, gate in (("open", 0.0), ("closed", 2.0)):
        output = train(run_config(record, tmp_path / name, {**OPEN, "gate": gate}))
        curves = EventAccumulator(str(output / "tensorboard"))
        curves.Reload()
        points = curves.Scalars("gabn/contrast_gap_difference")
        assert [point.step for point in points] == [7, 8, 9, 10, 11, 12]
        for point in points:
            assert point.value == pytest.approx(saved(output)["found"]["difference"])
        pictures = EventAccumulator(str(output / "tensorboard" / "gabn"))
        pictures.Reload()
        assert pictures.Tags()["images"] == ["contrast"]
        assert (output / "gabn" / "contrast.png").read_bytes()[:4] == b"\x89PNG"
        arrays = np.load(output / "gabn" / "contrast.npz")
        assert arrays["acts"] == (gate == 0)
        np.testing.assert_array_equal(arrays["map"], saved(output)["found"]["map"])
        np.testing.assert_array_equal(arrays["mask"], arrays["map"] > 0)
        assert ("gabn/contrast_erased_share" in curves.Tags()["scalars"]) == (gate == 0)


# Where the partition comes from.


def test_the_newest_published_partition_is_taken_and_kept(record, tmp_path):
    config = learned(record, tmp_path / "run", {}, invreg={"stages": (0, 1, 2)}, num_epoch=4)
    output = train(config)
    stages = torch.load(output / "checkpoint_gpu_0.pt", weights_only=True)["plugins"]["invreg"]
    found = saved(output)["found"]
    second, third = stages["partitions"][1], stages["partitions"][2]
    assert torch.equal(found["subset"], third)  # the map is drawn before epoch 2 of 4
    assert not torch.equal(second, third)


def test_a_partition_may_be_a_file_of_another_run(record, tmp_path):
    output = train(learned(record, tmp_path / "first", {}, num_epoch=2))
    file = output / "partitions" / "stage_1.tsv"
    other = train(
        run_config(record, tmp_path / "second", {**OPEN, "partition": str(file), "maps": 4})
    )
    assert torch.equal(saved(other)["found"]["subset"], saved(output)["found"]["subset"])


def test_a_shuffled_partition_has_the_learned_sizes_and_other_members(record, tmp_path):
    subsets = []
    for kind in ("learned", "shuffled"):
        output = train(learned(record, tmp_path / kind, {}, invreg={"partition": kind}))
        subsets.append(saved(output)["found"]["subset"])
    assert sorted(subsets[0].tolist()) == sorted(subsets[1].tolist())
    assert not torch.equal(*subsets)


@pytest.mark.parametrize(
    ("contrast", "changes", "message"),
    [
        ({**OPEN, "attribute": "all"}, {}, "column 'all' has only the subset 'x' among the ident"),
        ({**OPEN, "attribute": "none"}, {}, "column 'none' has no subset among the identities"),
        ({**OPEN, "attribute": "rare"}, {}, r"subset 'b' has 6 images, expected at least "
                                            r"gabn.contrast.maps = 8; lower gabn.contrast.maps"),
        ({**OPEN, "attribute": "hat"}, {}, "the group table has no attribute 'hat'"),
        ({"partition": "stage_9.tsv"}, {}, "gabn.contrast.partition is 'stage_9.tsv', expected "
                                           "'session', 'table' or an existing file"),
        ({"start": 1.0}, {}, "gabn.contrast.start is 1, so that the map would be drawn after the "
                             "last of 2 epochs"),
        ({}, {"batch_size": 1}, "gabn.contrast.fill is 'batch' with batch_size = 1, expected at "
                                "least two images per process"),
        ({}, {}, "'session' but no plugin of this run makes partitions; put invreg_plugin before"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_the_first_step(
    record, tmp_path, contrast, changes, message
):
    with pytest.raises(UserError, match=message):
        train(run_config(record, tmp_path / "run", contrast, **changes))


def test_a_table_that_is_not_there_is_refused(tmp_path):
    bare = write_small_record(tmp_path)
    with pytest.raises(UserError, match="is 'table' but the run has no group table; set config"):
        train(run_config(bare, tmp_path / "run", OPEN))


def test_a_column_with_too_many_words_is_refused(tmp_path):
    folder = write_small_record(tmp_path, identities=256, shots=1)
    words = {"name_": [f"p{i}" for i in range(256)]}
    GroupTable.of_words(words).write(folder / "groups.tsv")
    with pytest.raises(UserError, match="has 256 different words, expected at most 255 subsets"):
        train(run_config(folder, tmp_path / "run", {**OPEN, "maps": 1}))


def test_a_partition_that_comes_too_late_is_refused(record, tmp_path):
    config = learned(record, tmp_path / "run", {"start": 0.0})
    with pytest.raises(UserError, match="invreg makes its first partition before epoch 1, but "):
        train(config)
    config = learned(record, tmp_path / "run", {}, invreg={"stages": ()})
    with pytest.raises(UserError, match="invreg makes its first partition before epoch None"):
        train(config)


def test_plugins_in_the_wrong_order_are_refused(record, tmp_path):
    config = learned(record, tmp_path / "run", {})
    config["plugins"].reverse()
    with pytest.raises(
        UserError, match=r"config.plugins lists gabn before invreg, whose partition"
    ):
        train(config)


# What a run learned and cannot use closes the gate, and is said.


def test_a_learned_subset_smaller_than_the_maps_closes_the_gate(record, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "arcface_fair"):
        output = train(learned(record, tmp_path / "run", {"maps": 40}))
    assert "fewer than gabn.contrast.maps = 40" in caplog.text
    assert saved(output)["found"]["acts"] is False


def test_a_published_partition_with_one_subset_closes_the_gate(record, tmp_path, caplog):
    config = learned(record, tmp_path / "run", {})
    trainer = trainer_of(config)
    real = trainer.session.plugins[0].hooks[0].before_epoch

    def collapse(session: Any) -> None:
        real(session)
        if session.epoch == 1:
            session.shared["identity_partition"] = np.zeros(8, np.uint8)

    trainer.session.plugins[0].hooks[0].before_epoch = collapse  # type: ignore[method-assign]
    with caplog.at_level(logging.INFO, "arcface_fair"):
        trainer.fit()
    assert "nothing is erased, the partition has fewer than two subsets" in caplog.text


def test_a_statistic_at_the_gates_edge_is_said(record, tmp_path, caplog):
    output = train(run_config(record, tmp_path / "first", OPEN))
    found = saved(output)["found"]
    caplog.clear()
    gate = max(found["difference"] - found["doubt"], 1e-4)
    train(run_config(record, tmp_path / "edge", {**OPEN, "gate": gate}))
    assert "is within two standard errors" in caplog.text
    caplog.clear()
    train(run_config(record, tmp_path / "far", {**OPEN, "gate": 2.0}))
    assert "standard errors" not in caplog.text


def test_batches_without_a_reference_image_are_counted_and_said(record, tmp_path, caplog):
    config = run_config(record, tmp_path / "run", {**OPEN, "fill": "reference"}, batch_size=2)
    _, seen = batches_before_and_after(config)
    found = saved(tmp_path / "run")["found"]
    subset = found["subset"]
    lacking = sum(
        not bool(((subset[labels] != 255) & (subset[labels] != found["easy"])).any())
        for epoch, _, labels, _ in seen
        if epoch == 1
    )
    assert lacking > 0
    easy = found["names"][found["easy"]]
    assert f"{lacking} of 24 batches held no image outside subset {easy}" in caplog.text


# Several processes, sampled classes, resumed.


def state_on_rank(config: dict[str, Any]) -> tuple[dict[str, Any], list[torch.Tensor]]:
    trainer = trainer_of(config)
    trainer.fit()
    state = copy.deepcopy(trainer.session.state_dict()["gabn"]["contrast"]["found"])
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


def half_run(record: Path, output: Path, contrast: dict[str, Any], **changes: Any) -> None:
    """Ends a run of three epochs after its second."""
    trainer = trainer_of(run_config(record, output, contrast, num_epoch=3, **changes))
    real, stopped = trainer.session.before_epoch, RuntimeError("stop")

    def stop(epoch: int) -> None:
        if epoch == 2:
            raise stopped
        real(epoch)

    trainer.session.before_epoch = stop  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="stop"):
        trainer.fit()


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
    with pytest.raises(UserError, match=r"the partition of gabn.contrast \('session'\) is another"):
        train(config)


def test_a_checkpoint_of_other_identities_is_refused(record, tmp_path):
    trainer = trainer_of(run_config(record, tmp_path / "run", OPEN))
    trainer.fit()
    contrast = trainer.session.plugins[0].state.contrast
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
        real = trainer.session.dataset.read

        def broken(position: int) -> Any:
            if trainer.session.epoch == 1 and trainer.session.global_step == 6:
                raise UserError("record 13 is of no use")
            return real(position)

        trainer.session.dataset.read = broken  # type: ignore[method-assign]
    trainer.fit()


def test_what_one_rank_meets_all_ranks_raise(run_ranks, record, tmp_path):
    from tests.ranks import RankError

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
    (tmp_path / "run" / "gabn").write_text("a file in the way")
    trainer.session.before_train()
    with pytest.raises(UserError, match="cannot be written"):
        trainer.session.before_epoch(1)
    trainer.log.close()


def test_contrast_goes_with_the_other_parts_of_gabn(record, tmp_path):
    config = run_config(record, tmp_path / "run", OPEN)
    small = {"classifier_width": 4, "map_side": 28, "classifier_lr": 0.01, "start": 0.0}
    config["gabn"] |= {"confidence": True, "adversarial": True, **small}
    trainer, seen = batches_before_and_after(config)
    found = trainer.session.plugins[0].state.contrast.found
    easy = found.subset == found.easy
    assert found.acts
    for epoch, before, labels, after in seen:
        changed = (before != after).flatten(1).any(1)
        assert torch.equal(changed, easy[labels] & (epoch == 1))
    assert trainer.session.penalties["gabn_confusion"].weight == 0.1
    assert float(trainer.head.margin_softmax.angle) > 0
