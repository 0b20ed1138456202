# SPDX-License-Identifier: MIT
"""`arcface-fair export` writes one file with its provenance, or one sentence."""

import contextlib
import hashlib
import json
import re
import resource
import signal

import onnx
import pytest
import torch

from arcface_fair.cli import main
from tests.arcface_fair.export.conftest import trained_like
from tests.scrfd import write_stand_in_detector
from tests.small_data import write_small_record


def save_run(folder, **changes):
    net = trained_like("small", num_features=16)
    torch.save(net.state_dict(), folder / "model.pt")
    config = {"network": "small", "embedding_size": 16, "name": "trial"} | changes
    (folder / "config.json").write_text(json.dumps(config))


def facts_of(path):
    return {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}


def test_a_runs_folder_gives_model_onnx_with_its_provenance(tmp_path, capsys):
    save_run(tmp_path)
    assert main(["export", str(tmp_path)]) == 0
    path = tmp_path / "model.onnx"
    facts = facts_of(path)
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


def refused(arguments, capsys):
    """The one sentence of a refusal."""
    assert main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err


def test_a_training_with_128_is_folded_and_an_unknown_scale_refused(tmp_path, capsys):
    save_run(tmp_path, train_std=128)
    assert main(["export", str(tmp_path)]) == 0
    assert facts_of(tmp_path / "model.onnx")["train_std"] == "128"
    assert "because the training divided by 128" in capsys.readouterr().out
    (tmp_path / "config.json").unlink()
    said = refused(["export", tmp_path], capsys)
    assert "it is not known by what the training of" in said
    assert "give --train-std 127.5 for arcface_torch and arcface-fair" in said
    assert main(["export", str(tmp_path), "--train-std", "127.5"]) == 0
    assert facts_of(tmp_path / "model.onnx")["train_std"] == "127.5"


def test_two_exports_have_the_same_hash(tmp_path, capsys):
    save_run(tmp_path)
    hashes = set()
    for name in ("a.onnx", "b.onnx"):
        assert main(["export", str(tmp_path), "--out", str(tmp_path / name)]) == 0
        hashes.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(hashes) == 1
    assert capsys.readouterr().out.count(hashes.pop()) == 2


def test_a_pack_and_a_servers_folder_are_written_and_explained(tmp_path, capsys):
    save_run(tmp_path, name="runs/first try")
    detector = write_stand_in_detector(tmp_path / "det.onnx")
    pack, server = tmp_path / "pack", tmp_path / "server"
    export = ["export", str(tmp_path), "--detector", str(detector)]
    assert main([*export, "--pack", str(pack)]) == 0
    manifest = json.loads((pack / "manifest.json").read_text())
    digest = hashlib.sha256((pack / "recognition.onnx").read_bytes()).hexdigest()
    assert manifest["model_id"] == "runs-first-try"
    assert manifest["tasks"]["recognition"]["sha256"] == digest
    assert manifest["tasks"]["recognition"]["embedding_dimension"] == 16
    assert f'FaceAnalysis(name="{pack}") loads it' in capsys.readouterr().out
    assert main([*export, "--server", str(server), "--model-id", "m", "--model-version", "2"]) == 0
    manifest = json.loads((server / "manifest.json").read_text())
    assert (manifest["model_id"], manifest["model_version"]) == ("m", "2")
    assert "starts a model only with a file MODEL.LICENSE" in capsys.readouterr().out


def test_a_pack_that_would_not_load_is_refused_before_anything_is_written(tmp_path, capsys):
    save_run(tmp_path)
    said = refused(["export", tmp_path, "--pack", tmp_path / "pack"], capsys)
    assert "FaceAnalysis needs one detector beside the recogniser" in said
    assert not (tmp_path / "pack").exists()
    said = refused(["export", tmp_path, "--detector", "det.onnx"], capsys)
    assert "--detector is given without a pack; add --pack DIR or --server DIR" in said


def test_variants_are_measured_and_keep_their_figures(tmp_path, capsys):
    record = write_small_record(tmp_path / "record")
    save_run(tmp_path, rec=str(record), val_targets=["unseen"])
    assert main(["export", str(tmp_path), "--variant", "fp16", "static1"]) == 0
    said = capsys.readouterr().out
    assert said.count("unseen: accuracy") == 2
    measured = facts_of(tmp_path / "model.fp16.onnx")["measured"]
    assert measured in said
    pattern = r"unseen: accuracy (\S+)% -> (\S+)% \((\S+) points\), cosine .* at least (\S+)"
    before, after, change, cosine = map(float, re.fullmatch(pattern, measured).groups())
    assert change == pytest.approx(after - before, abs=0.011)
    assert 0.999 < cosine <= 1
    assert facts_of(tmp_path / "model.static1.onnx")["variant"] == "static1"


def test_variants_without_a_verification_set_and_unknown_ones_are_refused(tmp_path, capsys):
    save_run(tmp_path)
    said = refused(["export", tmp_path, "--variant", "fp16"], capsys)
    assert "variants are measured on a verification set: no --bins were given" in said
    said = refused(["export", tmp_path, "--variant", "int4"], capsys)
    assert "there is no variant 'int4'; choose from static1, fp16, int8" in said
    assert not (tmp_path / "model.onnx").exists()


@contextlib.contextmanager
def disk_with_room_for(size):
    """Files cannot grow beyond `size` bytes: the nearest to a full disk that needs no root."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, capsys):
    save_run(tmp_path)
    with disk_with_room_for(100_000):
        said = refused(["export", tmp_path], capsys)
    assert "model.onnx cannot be written (File too large); choose a folder that can be wr" in said
    assert {path.name for path in tmp_path.iterdir()} == {"model.pt", "config.json"}


@pytest.mark.parametrize("both", [("--out", "--pack"), ("--pack", "--server")])
def test_one_place_is_written_at_a_time(both, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path), both[0], "x", both[1], "y"])
    assert "not allowed with argument" in capsys.readouterr().err
