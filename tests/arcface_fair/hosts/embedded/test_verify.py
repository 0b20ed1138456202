# SPDX-License-Identifier: MIT
"""Verification during training: the same table on any number of ranks, and the best model kept."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from arcface_fair.backbones import get_model
from arcface_fair.data.sets.bins import decode_bin, load_bin, write_bin
from arcface_fair.errors import UserError
from arcface_fair.evaluation import ten_fold
from arcface_fair.evaluation.groups import FairnessTable
from arcface_fair.hosts.embedded import train
from arcface_fair.hosts.embedded.verify import BestModel, Verification, log_table
from arcface_fair.run.embed import embed_bin
from tests.arcface_fair.evaluation import drawn
from tests.small_data import picture, small_run, write_small_record

CPU = torch.device("cpu")


def write_groups(folder: Path) -> tuple[str, ...]:
    for group, name in enumerate(("north", "south")):
        pairs, same = [], []
        for pair in range(21):
            genuine = pair % 2 == 0
            who = 1000 * group + pair
            pairs += [picture(who, 0), picture(who + (0 if genuine else 1), 1)]
            same.append(genuine)
        write_bin(folder / f"{name}.bin", pairs, same)
    return "north", "south"


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return get_model("small", num_features=16)


class Notes:
    """A log that remembers."""

    def __init__(self):
        self.lines, self.curves = [], {}

    def show(self, text):
        self.lines.append(text)

    def scalar(self, tag, value, step):
        self.curves[tag] = value


def table_of(*accuracies: float) -> FairnessTable:
    return drawn.table_of(**{f"g{number}": value for number, value in enumerate(accuracies)})


def judge(folder: str) -> dict[str, object]:
    net = network()
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer.add_(torch.distributed.get_rank() if torch.distributed.is_initialized() else 0)
    return Verification(Path(folder), ("north", "south"), CPU)(net).as_dict()


def test_the_table_is_that_of_the_whole_sets(tmp_path):
    names = write_groups(tmp_path)
    net = network()
    table = Verification(tmp_path, names, CPU)(net)
    assert table.groups == list(names)
    for name in names:
        images, same = load_bin(tmp_path / f"{name}.bin")
        found = embed_bin(net, decode_bin(images))
        expected = ten_fold(found[0::2], found[1::2], same)
        assert table[f"accuracy/{name}"] == expected.accuracy
        assert (table.pairs[name], table.fold_std[name]) == (21, expected.std)


def test_three_ranks_share_the_pairs_and_agree_with_one_by_rank_0s_statistics(run_ranks, tmp_path):
    write_groups(tmp_path)
    alone = judge(str(tmp_path))
    assert run_ranks(3, judge, str(tmp_path)) == [alone] * 3


def diverged(folder: str) -> str:
    net = network()
    if torch.distributed.get_rank() == 1:
        for parameter in net.parameters():
            parameter.data.fill_(float("nan"))
    try:
        Verification(Path(folder), ("north", "south"), CPU)(net)
    except UserError as error:
        return str(error)
    return ""


def test_a_rank_whose_network_has_diverged_ends_all_ranks_with_one_sentence(run_ranks, tmp_path):
    write_groups(tmp_path)
    first, second = run_ranks(2, diverged, str(tmp_path))
    assert first == second
    assert first.startswith("verification of north: embeddings of")


def test_a_missing_set_is_named(tmp_path):
    with pytest.raises(UserError, match=r"config.val_targets names .*none.bin, which does not exi"):
        Verification(tmp_path, ("none",), CPU)


def test_the_log_holds_the_table_and_the_curves_of_worst_and_spread():
    log = Notes()
    log_table(table_of(0.9, 0.7), log, 5)
    assert log.lines[:2] == ["[g0][5] accuracy 0.90000", "[g1][5] accuracy 0.70000"]
    assert any(line.startswith("step 5") and "80.00" in line for line in log.lines)
    found = {tag.removeprefix("verification_groups/"): v for tag, v in log.curves.items()}
    assert found["worst"] == pytest.approx(0.7)
    assert found["std_ddof0"] == pytest.approx(0.1)
    assert found["ser"] == pytest.approx(3)
    assert found["mean_tpr"] == pytest.approx(0.6)


def test_a_single_set_has_no_table_and_no_spread():
    log = Notes()
    log_table(table_of(0.9), log, 5)
    assert log.lines == ["[g0][5] accuracy 0.90000"]
    assert "verification_groups/std_ddof0" not in log.curves


@pytest.mark.parametrize(
    ("figure", "kept"), [("worst", [1, 3]), ("mean", [1, 2]), ("tpr", [1, 2]), ("none", [])]
)
def test_the_best_model_is_kept_by_the_chosen_figure(tmp_path, figure, kept):
    best = BestModel(tmp_path, figure, resume=False)
    log = Notes()
    tables = {1: table_of(0.8, 0.6), 2: table_of(0.99, 0.6), 3: table_of(0.8, 0.7)}
    for step, table in tables.items():
        best.offer(table, network(step), log, step)
    said = [int(line.split("step ")[1].split(":")[0]) for line in log.lines]
    assert said == kept
    if kept:
        state = torch.load(tmp_path / "best.pt", weights_only=True)
        assert torch.equal(state["fc.weight"], network(kept[-1]).state_dict()["fc.weight"])
        about = json.loads((tmp_path / "best.json").read_text())
        assert (about["figure"], about["step"]) == (figure, kept[-1])


def test_a_resumed_run_keeps_its_best_and_a_new_one_starts_anew(tmp_path):
    BestModel(tmp_path, "worst", resume=False).offer(table_of(0.8, 0.7), network(), Notes(), 1)
    assert BestModel(tmp_path, "worst", resume=True).value == pytest.approx(0.7)
    assert BestModel(tmp_path, "mean", resume=True).value == -np.inf
    assert BestModel(tmp_path, "worst", resume=False).value == -np.inf


def test_a_run_writes_its_best_model_which_evaluates(tmp_path):
    record = write_small_record(tmp_path / "record")
    names = write_groups(record)
    run = small_run(record, tmp_path / "run", val_targets=names, verbose=6, best_by="mean")
    output = train(run)
    about = json.loads((output / "best.json").read_text())
    assert about["step"] in (6, 12)
    assert set(about["table"]["groups"]) == {"north", "south"}
    assert (output / "best.pt").is_file()
    assert "best.pt is step 6: mean" in (output / "training.log").read_text()


def test_a_spread_is_no_figure_to_choose_by(tmp_path):
    with pytest.raises(UserError, match=r"config\.best_by is 'std'"):
        train(small_run(tmp_path, tmp_path / "run", best_by="std"))
