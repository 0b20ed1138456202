# SPDX-License-Identifier: MIT
"""``arcface-fair partitions``: every figure and its numbers, or one sentence."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from arcface_fair.cli import main
from arcface_fair.cli.partitions import spread_positions, stage_in_words
from arcface_fair.data.groups import Attribute, GroupTable
from arcface_fair.errors import UserError
from arcface_fair.figures import open_run, pictures
from arcface_fair.hosts.embedded import train
from tests.small_data import small_run, write_small_record


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with a learned partition at its second epoch, and the record's folder."""
    folder = tmp_path_factory.mktemp("cli-partitions")
    record = write_small_record(folder / "record")
    GroupTable.of_words({"race": ["x"] * 4 + ["y"] * 4}).write(record / "groups.tsv")
    config = small_run(
        record,
        folder / "run",
        keep_epochs=1,
        plugins=["invreg_plugin"],
        invreg={"stages": (1,), "partition": "random"},
    )
    return train(config)


@pytest.fixture
def run(made, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "_umap", lambda: None)  # its import alone takes ten seconds
    return shutil.copytree(made, tmp_path / "run")


def test_every_figure_and_its_numbers_are_written(run, capsys):
    assert main(["partitions", str(run), "--device", "cpu", "--images", "12"]) == 0
    out = capsys.readouterr().out
    assert "stage 1: a 4, b 4" in out
    assert 'laid out by PCA; for UMAP: pip install "arcface-fair[umap]"' in out
    written = [line.removeprefix("wrote ") for line in out.splitlines() if "wrote" in line]
    names = {path.rsplit("/", 1)[1] for path in written}
    assert names == {
        "composition.json", "composition.png", "follows.png", "shares.png", "faces_stage_1.png",
        "plane.npz", "plane.png", "gradcam.npz", "gradcam.png",
    }  # fmt: skip
    assert names < {path.name for path in (run / "partitions").iterdir()}
    summary = json.loads((run / "partitions" / "composition.json").read_text())
    assert summary["stages"]["1"]["sizes"] == {"a": 4, "b": 4}
    with np.load(run / "partitions" / "plane.npz") as arrays:
        assert arrays["places"].shape == (24, 2)
        assert arrays["identities"].tolist() == (arrays["positions"] // 6).tolist()
    with np.load(run / "partitions" / "gradcam.npz") as arrays:
        assert arrays["maps"].shape == (2, 2, 112, 112)
        assert arrays["epochs"].tolist() == [0, 1]
        assert arrays["targets"].tolist() == ["own centre"] * 2


def test_parts_can_be_left_out(run, capsys):
    options = ["--no-faces", "--no-plane", "--no-cam"]
    (run / "model.pt").unlink()
    assert main(["partitions", str(run), *options]) == 0
    assert "png" in capsys.readouterr().out
    assert not list((run / "partitions").glob("faces*"))
    assert not list((run / "partitions").glob("*.npz"))


def test_without_a_group_table_pictures_are_grouped_by_subset(run, tmp_path, capsys):
    record = write_small_record(tmp_path / "bare")
    options = ["--rec", str(record), "--no-faces", "--no-plane", "--images", "6"]
    assert main(["partitions", str(run), *options]) == 0
    out = capsys.readouterr().out
    assert "No groups are known: pictures are grouped by the newest partition itself." in out
    with np.load(run / "partitions" / "gradcam.npz") as arrays:
        assert arrays["names"].tolist() == ["stage 1 subset a", "stage 1 subset b"]


def test_one_kept_network_is_said(run, capsys):
    for path in run.glob("model_epoch_*"):
        path.unlink()
    assert main(["partitions", str(run), "--no-faces", "--no-plane", "--images", "6"]) == 0
    assert "for maps over epochs train with config.keep_epochs = 1" in capsys.readouterr().out


def test_mistakes_end_in_one_sentence(run, tmp_path, capsys):
    assert main(["partitions", str(tmp_path / "nowhere")]) == 2
    assert "has no partitions/stage_1.tsv, expected the folder of a run" in capsys.readouterr().err
    assert main(["partitions", str(run), "--images", "0"]) == 2
    assert "--images is 0; it must be at least 1, 300 is usual" in capsys.readouterr().err


def test_groups_without_images_are_refused(run):
    nobody = Attribute(("x",), np.full(8, -1))
    found = dataclasses.replace(open_run(run), group=nobody)
    with pytest.raises(UserError, match="no image belongs to a group of 'race'; give a table that"):
        spread_positions(found, 5, seed=0)


def test_words_name_what_a_stage_follows_above_chance_only():
    values = {"nmi": 0.5, "chance": 0.1, "best_match_accuracy": 0.9}
    low = {"nmi": 0.05, "chance": 0.1, "best_match_accuracy": 0.5}
    stage = {
        "sizes": {"a": 3, "b": 5},
        "earlier_stages": {"1": {"nmi": 0.25, "best_match_accuracy": 0.75}},
        "attributes": {"hair": values, "iris": low},
    }
    assert stage_in_words("2", stage).splitlines() == [
        "stage 2: a 3, b 5",
        "  against stage 1: NMI 0.250, match 0.750",
        "  follows hair: NMI 0.500 (chance 0.100), match 0.900",
    ]
    nothing = stage_in_words("2", {**stage, "earlier_stages": {}, "attributes": {"iris": low}})
    assert nothing.endswith("follows none of the known attributes more than chance would")
