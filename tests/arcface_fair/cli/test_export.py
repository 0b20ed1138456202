# SPDX-License-Identifier: MIT
"""`arcface-fair export` writes one file with its provenance, or one sentence."""

import hashlib
import json

import onnx
import torch

from arcface_fair.backbones import get_model
from arcface_fair.cli import main


def save_run(folder):
    torch.manual_seed(0)
    torch.save(get_model("small", num_features=16).state_dict(), folder / "model.pt")
    config = {"network": "small", "embedding_size": 16, "name": "trial"}
    (folder / "config.json").write_text(json.dumps(config))


def test_a_runs_folder_gives_model_onnx_with_its_provenance(tmp_path, capsys):
    save_run(tmp_path)
    assert main(["export", str(tmp_path)]) == 0
    path = tmp_path / "model.onnx"
    facts = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    weights = hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest()
    assert facts["weights_sha256"] == weights
    assert facts["run"] == "trial"
    assert facts["network"] == "small"
    out = capsys.readouterr().out
    assert f"wrote {path}" in out
    assert hashlib.sha256(path.read_bytes()).hexdigest() in out


def test_mfr_and_out_are_honoured(tmp_path):
    save_run(tmp_path)
    out = tmp_path / "sub" / "mfr.onnx"
    assert main(["export", str(tmp_path / "model.pt"), "--mfr", "--out", str(out)]) == 0
    assert [entry.version for entry in onnx.load(str(out)).opset_import] == [11]
    assert not (tmp_path / "model.onnx").exists()


def test_a_folder_without_weights_is_one_sentence_and_exit_code_2(tmp_path, capsys):
    assert main(["export", str(tmp_path)]) == 2
    assert "no weights at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
