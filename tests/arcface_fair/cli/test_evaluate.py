# SPDX-License-Identifier: MIT
"""`arcface-fair evaluate` turns models and .bin files into one table, or one sentence."""

import json

import cv2
import numpy as np
import pytest
import torch

from arcface_fair.backbones import get_model
from arcface_fair.cli import main
from arcface_fair.cli.evaluate import group_name, names_of
from arcface_fair.data.bins import write_bin
from arcface_fair.export import export_onnx


def draw_bin(path, seed, pairs=40):
    """Pairs of blotches: of one person a little noise apart, or of two people."""
    rng = np.random.default_rng(seed)
    images, same = [], np.arange(pairs) % 2 == 0
    for is_same in same:
        people = rng.integers(0, 256, (2, 7, 7, 3), np.uint8)
        for person in (people[0], people[0 if is_same else 1]):
            face = cv2.resize(person, (112, 112)) * 0.8 + rng.integers(0, 50, (112, 112, 3))
            images.append(cv2.imencode(".png", face.astype(np.uint8))[1].tobytes())
    write_bin(path, images, same)


@pytest.fixture
def run(tmp_path):
    """A run's folder with an untrained small network and two verification sets."""
    torch.manual_seed(0)
    folder = tmp_path / "first"
    folder.mkdir()
    torch.save(get_model("small", num_features=16).state_dict(), folder / "model.pt")
    for seed, name in enumerate(("rfw_african", "rfw_asian")):
        draw_bin(tmp_path / f"{name}.bin", seed)
    config = {
        "network": "small",
        "embedding_size": 16,
        "rec": str(tmp_path),
        "val_targets": ["rfw_african", "rfw_asian"],
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_runs_folder_gives_a_table_of_its_own_sets(run, capsys):
    assert main(["evaluate", str(run), "--device", "cpu"]) == 0
    head, row = capsys.readouterr().out.splitlines()[:2]
    assert head.split()[2:] == [
        "african",
        "asian",
        "mean",
        "worst",
        "STD",
        "n",
        "STD",
        "n-1",
        "SER",
    ]
    assert row.startswith("first")


def test_backbone_and_its_onnx_get_the_same_figures(run, tmp_path, capsys):
    from arcface_fair.export import load_backbone

    onnx = export_onnx(load_backbone(run), tmp_path / "exported.onnx")
    sets = [str(tmp_path / f"rfw_{name}.bin") for name in ("african", "asian")]
    out = tmp_path / "figures.json"
    call = ["evaluate", str(run), str(onnx), "--bins", *sets, "--json", str(out), "--device", "cpu"]
    assert main(call) == 0
    found = json.loads(out.read_text())
    assert found["models"]["first"]["groups"] == found["models"]["exported"]["groups"]
    assert set(found["sets"]) == {"african", "asian"}
    text = capsys.readouterr().out
    assert "mean accuracy is unchanged" in text
    assert "Over all pairs together: +0.00 [+0.00, +0.00] points" in text


def test_a_bare_file_needs_no_network_named(run, tmp_path, capsys):
    bare = (run / "model.pt").rename(tmp_path / "bare.pt")
    assert main(["evaluate", str(bare), "--bins", str(tmp_path / "rfw_asian.bin")]) == 0
    assert "asian" in capsys.readouterr().out


def test_group_is_the_file_name_without_prefix_and_suffix(tmp_path):
    assert group_name(tmp_path / "rfw_african.bin") == "african"
    assert group_name(tmp_path / "African_test.bin") == "African"
    assert group_name(tmp_path / "orl.bin") == "orl"


def test_models_of_one_name_are_told_apart_by_their_paths():
    assert names_of(["runs/a", "runs/b"]) == ["a", "b"]
    assert names_of(["x/model", "y/model"]) == ["x/model", "y/model"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{data}/bare.pt"], "no --bins were given, and"),
        (["{data}/bare.onnx"], "no --bins were given, and"),
        (["{run}", "--bins", "{data}/none.bin"], "none.bin cannot be read"),
        (["{run}", "--bins", "{data}/rfw_asian.bin", "{data}/rfw_asian.bin"], "are named 'asian'"),
        (["{run}", "{run}"], "is given twice"),
        (["{run}", "--batch-size", "0"], "--batch-size is 0"),
        (["{run}", "--device", "tpu"], "--device is 'tpu', which torch does not find"),
        (["{run}", "--network", "r18"], "do not fit network 'r18'"),
        (["{data}/other"], "no weights at"),
    ],
)
def test_what_a_user_can_put_right_is_one_sentence_and_exit_code_2(
    arguments, message, run, tmp_path, capsys
):
    (tmp_path / "other").mkdir()
    (tmp_path / "bare.pt").write_bytes((run / "model.pt").read_bytes())
    filled = [argument.format(run=run, data=tmp_path) for argument in arguments]
    assert main(["evaluate", *filled]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "arcface-fair:" in line]
    assert len(lines) == 1
    assert message in lines[0]


def test_a_network_that_has_diverged_is_named_with_its_group(run, capsys):
    net = get_model("small", num_features=16)
    net.fc.bias.data[:] = float("nan")
    torch.save(net.state_dict(), run / "model.pt")
    assert main(["evaluate", str(run)]) == 2
    assert (
        "first, group 'african': embeddings of 40 of 40 pairs hold NaN" in capsys.readouterr().err
    )
