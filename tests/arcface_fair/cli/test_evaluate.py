# SPDX-License-Identifier: MIT
"""`arcface-fair evaluate` turns models and data into tables and a report, or one sentence."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from arcface_fair.backbones import get_model
from arcface_fair.cli import main
from arcface_fair.data.sets.bins import write_bin
from arcface_fair.export import export_onnx
from arcface_fair.judge.inputs import read_sets
from arcface_fair.judge.protocols import judge_sets
from tests.small_data import raw_pixels, write_small_record

ORL = Path(__file__).parents[3] / "../shared/data/orl/orl.bin"
FEW = ["--device", "cpu", "--resamples", "20"]


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


def save_network(path, seed=0):
    torch.manual_seed(seed)
    torch.save(get_model("small", num_features=16).state_dict(), path)


@pytest.fixture
def run(tmp_path):
    """A run's folder with an untrained small network and two verification sets."""
    folder = tmp_path / "first"
    folder.mkdir()
    save_network(folder / "model.pt")
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


def sets_of(run):
    return [str(run.parent / f"rfw_{name}.bin") for name in ("african", "asian")]


def test_a_runs_folder_gives_a_table_of_its_own_sets(run, capsys):
    assert main(["evaluate", str(run), *FEW]) == 0
    text = capsys.readouterr().out
    head, row = text.splitlines()[:2]
    assert head.split()[2:6] == ["african", "asian", "mean", "worst"]
    assert head.endswith("SER")
    assert row.startswith("first")
    assert "95% intervals" in text
    assert "FMR / FNMR, % at FMR 0.01 of all" in text
    assert "too few impostors for this FPR: 20 pairs, 0.01 needs at least 100" in text


def test_backbone_and_its_onnx_get_the_same_figures_in_page_json_and_csv(run, tmp_path, capsys):
    from arcface_fair.export import load_backbone

    onnx = export_onnx(load_backbone(run), tmp_path / "exported.onnx")
    out = {kind: tmp_path / "out" / f"report.{kind}" for kind in ("html", "json", "csv")}
    write = [word for kind, path in out.items() for word in (f"--{kind}", str(path))]
    call = ["evaluate", str(run), str(onnx), "--bins", *sets_of(run), *write, *FEW]
    assert main([*call, "--fpr", "0.1", "--fmr", "0.1", "--title", "Two"]) == 0
    found = json.loads(out["json"].read_text())
    first, exported = (found["models"][name]["figures"] for name in ("first", "exported"))
    assert first["accuracy/african"] == exported["accuracy/african"]
    assert found["differences"]["mean accuracy"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert set(found["facts"]) >= {"command", "made", "versions", "set african", "set asian"}
    assert len(found["models"]["exported"]["facts"]["SHA-256"]) == 64
    page = out["html"].read_text()
    assert "<title>Two</title>" in page
    assert "exported against first" in page
    with out["csv"].open(newline="") as file:
        assert {line["model"] for line in csv.DictReader(file)} == {
            "first",
            "exported",
            "difference",
        }
    text = capsys.readouterr().out
    assert "mean accuracy is unchanged" in text
    assert f"wrote {out['html']}" in text


def test_pictures_beside_a_run_join_the_page(run, tmp_path):
    (run / "maps").mkdir()
    cv2.imwrite(str(run / "maps" / "maps.png"), np.zeros((4, 4, 3), np.uint8))
    page = tmp_path / "page.html"
    assert main(["evaluate", str(run), "--html", str(page), *FEW]) == 0
    assert "first, attention maps: maps" in page.read_text()


def test_a_bare_file_needs_no_network_named(run, tmp_path, capsys):
    bare = (run / "model.pt").rename(tmp_path / "bare.pt")
    assert main(["evaluate", str(bare), "--bins", sets_of(run)[1], *FEW]) == 0
    text = capsys.readouterr().out
    assert "asian" in text
    assert "There is one group" in text


def test_all_pairs_of_a_record_by_intersections_of_its_groups(run, tmp_path, capsys):
    record = write_small_record(tmp_path / "record")
    lines = ["identity\trace\tgender"]
    lines += [f"{i}\t{('east', 'west')[i % 2]}\t{('f', 'm')[i // 4]}" for i in range(8)]
    (record / "groups.tsv").write_text("\n".join(lines) + "\n")
    call = ["evaluate", str(run), "--record", str(record), "--pairs-fpr", "1e-6", "0.1", *FEW]
    assert main([*call, "--attribute", "race", "gender"]) == 0
    text = capsys.readouterr().out
    assert "first: all pairs" in text
    for scope in ("all", "east x f", "west x m"):
        assert any(line.startswith(scope) for line in text.splitlines())
    assert "too few impostors for this FPR" in text
    assert main([*call, "--bins", *sets_of(run), "--json", str(tmp_path / "all.json")]) == 0
    found = json.loads((tmp_path / "all.json").read_text())
    assert [s["name"] for s in found["models"]["first"]["all_pairs"]] == ["all", "east", "west"]


def test_a_record_without_a_group_table_is_judged_as_a_whole(run, tmp_path, capsys):
    record = write_small_record(tmp_path / "record")
    call = ["evaluate", str(run), "--record", str(record), "--pairs-fpr", "0.1", *FEW]
    assert main(call) == 0
    assert "all" in capsys.readouterr().out
    assert main([*call, "--attribute", "race"]) == 2
    assert "groups.tsv; name one with --groups" in capsys.readouterr().err


@pytest.mark.skipif(not ORL.is_file(), reason=f"{ORL} with the ORL photographs is not here")
def test_real_photographs_get_figures_with_intervals():
    sets = read_sets([ORL])
    table = judge_sets(lambda images, told: raw_pixels(images), sets, "pixels")
    assert table.groups == ["orl"]
    # AT&T / ORL: pixels alone tell some of ten people apart.
    assert 0.6 < table["mean accuracy"] < 0.95


@pytest.mark.skipif(not ORL.is_file(), reason=f"{ORL} with the ORL photographs is not here")
def test_real_photographs_make_a_report(run, tmp_path):
    page = tmp_path / "orl.html"
    assert main(["evaluate", str(run), "--bins", str(ORL), "--html", str(page), *FEW]) == 0
    text = page.read_text()
    assert "There is one group" in text
    assert "orl" in text


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
        (["{run}", "--fpr", "0"], "a false positive rate is 0"),
        (["{run}", "--resamples", "1"], "1 resamples give no interval"),
        (["{run}", "--attribute", "race"], "--groups and --attribute belong to --record"),
        (["{run}", "--ijb", "{data}/other"], "holds 0 files *_face_tid_mid.txt"),
        (["{run}", "--record", "{data}/rec", "--html", "x.html"], "need verification sets"),
    ],
)
def test_what_a_user_can_put_right_is_one_sentence_and_exit_code_2(
    arguments, message, run, tmp_path, capsys
):
    (tmp_path / "other").mkdir()
    if "{data}/rec" in arguments:
        write_small_record(tmp_path / "rec")
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
    error = capsys.readouterr().err
    assert "first, group 'african': embeddings of 40 of 40 pairs hold NaN" in error


def test_a_group_without_impostor_pairs_is_named(run, tmp_path, capsys):
    images = [
        cv2.imencode(".png", np.full((112, 112, 3), n, np.uint8))[1].tobytes() for n in range(40)
    ]
    write_bin(tmp_path / "only_genuine.bin", images, np.ones(20, bool))
    call = ["evaluate", str(run), "--bins", str(tmp_path / "only_genuine.bin"), *FEW]
    assert main(call) == 2
    assert "first, group 'only_genuine': none of the 20 pairs shows different people" in (
        capsys.readouterr().err
    )


def test_an_onnx_file_of_another_input_size_is_refused(run, tmp_path, capsys):
    import onnx

    make, float32 = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [make.make_node("GlobalAveragePool", ["x"], ["y"])],
        "mean",
        [make.make_tensor_value_info("x", float32, ["batch", 3, 160, 160])],
        [make.make_tensor_value_info("y", float32, ["batch", 3, 1, 1])],
    )
    opset = [make.make_opsetid("", 17)]
    model = make.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.save(model, str(tmp_path / "wide.onnx"))
    assert main(["evaluate", str(tmp_path / "wide.onnx"), "--bins", *sets_of(run), *FEW]) == 2
    assert "is no recognition model for 112 x 112 faces" in capsys.readouterr().err
