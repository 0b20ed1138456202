# SPDX-License-Identifier: MIT
"""Everything that a user can get wrong ends in one sentence, exit code 2, nothing half-written."""

import json
import os
import shutil
import sys

import pytest

from arcface_fair.cli import main
from arcface_fair.data.record.writer import write_insightface_record
from tests.small_data import picture, small_run, write_small_record


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return write_small_record(tmp_path_factory.mktemp("record"), identities=4, shots=4)


@pytest.fixture
def copy(record, tmp_path):
    return shutil.copytree(record, tmp_path / "record")


def start(capsys, tmp_path, record, *options, **changes):
    """Runs the command in this process; (exit code, what it said, the output folder)."""
    output = tmp_path / "run"
    values = small_run(record, output, **{"batch_size": 4, "num_epoch": 1, **changes})
    lines = [f"config[{key!r}] = {value!r}" for key, value in values.items()]
    head = "from easydict import EasyDict\nconfig = EasyDict()\n"
    (tmp_path / "run.py").write_text(head + "\n".join(lines))
    code = main(["train", str(tmp_path / "run.py"), *options])
    return code, capsys.readouterr().err, output


def assert_refused(result, sentence, *, output_exists=False):
    code, said, output = result
    lines = [line for line in said.splitlines() if line.startswith("arcface-fair: ")]
    assert code == 2
    assert len(lines) == 1
    assert sentence in lines[0]
    assert "Traceback" not in said
    assert output.exists() == output_exists


def test_a_good_run_says_what_was_written(capsys, tmp_path, record):
    assert start(capsys, tmp_path, record)[0] == 0
    assert (tmp_path / "run" / "model.pt").is_file()


def test_no_record(capsys, tmp_path, record):
    assert_refused(start(capsys, tmp_path, tmp_path / "gone"), "gone does not exist")


def test_a_config_without_data(capsys, tmp_path, record):
    assert_refused(start(capsys, tmp_path, record, rec=None), "config.rec is not set, expected the")


def test_a_missing_rec(capsys, tmp_path, copy):
    (copy / "train.rec").unlink()
    assert_refused(start(capsys, tmp_path, copy), "train.rec")


def test_a_truncated_rec(capsys, tmp_path, copy):
    size = (copy / "train.rec").stat().st_size
    os.truncate(copy / "train.rec", size // 2)
    assert_refused(start(capsys, tmp_path, copy), "train.rec")


def test_an_index_that_disagrees_with_the_record(capsys, tmp_path, copy):
    index = copy / "train.idx"
    lines = index.read_text().splitlines()
    key, offset = lines[3].split("\t")
    index.write_text("\n".join([*lines[:3], f"{key}\t{int(offset) + 8}", *lines[4:]]) + "\n")
    # Every image is looked at in the first epoch; the folder of the run is there by then.
    code, said, _ = start(capsys, tmp_path, copy)
    assert code == 2
    assert "train.idx" in said
    assert "Traceback" not in said


def bad_image_record(folder):
    images = [(picture(i, s), i) for i in range(4) for s in range(4)]
    images[5] = (b"\xff\xd8 this is no image", images[5][1])
    write_insightface_record(folder, iter(images), 4, 112)
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_an_undecodable_image_is_named_by_its_record(capsys, tmp_path, workers):
    record = bad_image_record(tmp_path / "bad")
    code, said, output = start(capsys, tmp_path, record, num_workers=workers)
    lines = [line for line in said.splitlines() if line.startswith("arcface-fair: ")]
    assert (code, len(lines)) == (2, 1)
    assert "record 6 of" in lines[0]
    assert "skip_bad_images" in lines[0]
    assert "Traceback" not in said
    assert not (output / "model.pt").exists()


def test_undecodable_images_can_be_skipped_and_are_counted(capsys, tmp_path):
    record = bad_image_record(tmp_path / "bad")
    code, _, output = start(capsys, tmp_path, record, skip_bad_images=True, num_epoch=2)
    assert code == 0
    log = (output / "training.log").read_text()
    assert "1 undecodable images were replaced so far" in log
    assert "2 undecodable images were replaced so far" in log


def test_num_classes_too_small(capsys, tmp_path, record):
    assert_refused(start(capsys, tmp_path, record, num_classes=3), "set num_classes to at least 4")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("identity\trace\n0\ta\n1\ta\n2\tb\n", "identity 3"),
        ("identity\trace\n0\ta\n1\ta\n2\tb\n2\tb\n3\tb\n", "identity 2 has a line already"),
        ("identity\trace\n0\ta\n1\ta\n2\tb\n3\tb\n9\tb\n", "9"),
    ],
    ids=["missing", "double", "unknown"],
)
def test_a_bad_group_table(capsys, tmp_path, copy, table, sentence):
    (copy / "groups.tsv").write_text(table)
    assert_refused(start(capsys, tmp_path, copy), sentence)


def test_a_misspelt_key_in_a_plugins_block(capsys, tmp_path, record):
    result = start(
        capsys, tmp_path, record, plugins=["invreg_plugin"], invreg={"wieght": 1, "stages": (0,)}
    )
    assert_refused(result, "config.invreg has no setting 'wieght'; known: attribute,")


def test_a_plugin_that_does_not_exist(capsys, tmp_path, record):
    result = start(capsys, tmp_path, record, plugins=["invrge_plugin"])
    assert_refused(result, "config.plugins names 'invrge_plugin', which is no importable module")


def test_an_output_folder_that_cannot_be_written(capsys, tmp_path, record):
    (tmp_path / "run").write_text("a file, not a folder")
    result = start(capsys, tmp_path, record)
    assert_refused(result, "cannot write to the output folder", output_exists=True)


def test_resuming_without_a_checkpoint(capsys, tmp_path, record):
    result = start(capsys, tmp_path, record, "--resume")
    assert_refused(result, "checkpoint_gpu_0.pt does not exist; start without resume")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network": "small_aa"}, "was written with network 'small', this run has 'small_aa'"),
        ({"embedding_size": 8}, "was written with embedding_size 16, this run has 8"),
        ({"num_classes": 5}, "was written with num_classes 4, this run has 5"),
    ],
)
def test_resuming_with_another_network(capsys, tmp_path, record, changes, sentence):
    assert start(capsys, tmp_path, record)[0] == 0
    result = start(capsys, tmp_path, record, "--resume", **changes)
    assert_refused(result, sentence, output_exists=True)


def test_a_damaged_checkpoint(capsys, tmp_path, record):
    output = start(capsys, tmp_path, record)[2]
    (output / "checkpoint_gpu_0.pt").write_bytes(b"nonsense")
    (output / "checkpoint_gpu_0.previous.pt").unlink(missing_ok=True)
    result = start(capsys, tmp_path, record, "--resume")
    assert_refused(result, "cannot be read as a checkpoint", output_exists=True)


def test_a_missing_verification_set(capsys, tmp_path, record):
    result = start(capsys, tmp_path, record, val_targets=["lfw"])
    assert_refused(result, "lfw.bin, which does not exist; put the .bin beside the record")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network": "r17"}, "no network is named 'r17'"),
        ({"batch_size": 0}, "config.batch_size is 0, expected at least 1"),
        ({"batch_size": 17}, "16 images do not fill a batch of 17"),
        ({"margin_list": (1.0, 0.5)}, "expected three numbers (m1, m2, m3)"),
        ({"warmup_epoch": 1}, "config.warmup_epoch is 1, expected less than config.num_epoch (1)"),
        ({"optimizer": "adam"}, "config.optimizer is 'adam', expected one of sgd, adamw"),
        ({"device": "cuda"}, "config.device is 'cuda' but torch finds no CUDA device"),
        ({"group_attribute": "age"}, "config.group_attribute is 'age' but there is no group"),
        ({"sample_rate": 0.0}, "config.sample_rate is 0, expected above 0 and at most 1"),
        (
            {"plugins": ["invreg_plugin"], "invreg": {"stages": (1,)}},
            "invreg.stages lists epoch 1, but the run ends after epoch 0",
        ),
    ],
)
def test_settings_out_of_range(capsys, tmp_path, record, changes, sentence):
    import torch

    if changes.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA, so asking for it is no mistake")
    assert_refused(start(capsys, tmp_path, record, **changes), sentence)


def test_an_interrupt_says_so_and_exits_with_130(capsys, tmp_path, record, monkeypatch):
    import arcface_fair.hosts.embedded

    def interrupted(config):
        raise KeyboardInterrupt

    monkeypatch.setattr(arcface_fair.hosts.embedded, "train", interrupted)
    code, said, _ = start(capsys, tmp_path, record)
    assert code == 130
    assert said.endswith("arcface-fair: interrupted\n")


def test_set_changes_keys_and_blocks_and_config_json_keeps_them(capsys, tmp_path, record):
    lines = ("plugins=invreg_plugin", "invreg.stages=0", "invreg.subsets=3", "batch_size=8")
    code, said, output = start(capsys, tmp_path, record, *(f"--set={line}" for line in lines))
    assert code == 0, said
    kept = json.loads((output / "config.json").read_text())
    assert kept["set"] == list(lines)
    assert kept["plugins"] == ["invreg_plugin"]
    assert kept["invreg"] == {"stages": [0], "subsets": 3}
    assert (kept["batch_size"], kept["lr"]) == (8, 0.05)
    assert "config.set" not in (output / "training.log").read_text()


def test_a_run_without_set_keeps_no_lines(capsys, tmp_path, record):
    output = start(capsys, tmp_path, record)[2]
    assert "set" not in json.loads((output / "config.json").read_text())


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "bacth_size=8",
            "--set bacth_size=8 names no setting of this run; did you mean 'batch_size'?",
        ),
        ("batch_size=0", "config.batch_size is 0, expected at least 1; correct the value"),
        ("batch_size=x", "--set batch_size is 'x', expected int; correct the value"),
        ("optimizer=adam", "config.optimizer is 'adam', expected one of sgd, adamw; choose one"),
    ],
)
def test_a_wrong_set_line(capsys, tmp_path, record, line, sentence):
    assert_refused(start(capsys, tmp_path, record, "--set", line), sentence)


PLUGIN = """
from dataclasses import dataclass

from arcface_fair.plugin.loading import Plugin

NAME = {name!r}


@dataclass(frozen=True)
class Settings:
    size: int = 1


def build(settings, session):
    import {name}_late

    return Plugin(NAME)
"""


def write_plugin(folder, name):
    (folder / f"{name}.py").write_text(PLUGIN.format(name=name))
    (folder / f"{name}_late.py").write_text("")


@pytest.mark.parametrize("form", ["relative", "in configs", "absolute"])
def test_a_plugin_beside_the_config_is_found(capsys, tmp_path, record, monkeypatch, form):
    name = f"beside_{form.replace(' ', '_')}"
    folder = tmp_path / "configs" if form == "in configs" else tmp_path
    folder.mkdir(exist_ok=True)
    write_plugin(folder, name)
    monkeypatch.chdir(tmp_path)
    values = small_run(record, tmp_path / "run", batch_size=4, num_epoch=1, plugins=[name])
    head = "from easydict import EasyDict\nconfig = EasyDict()\n"
    (folder / "own.py").write_text(
        head + "\n".join(f"config[{key!r}] = {value!r}" for key, value in values.items())
    )
    given = {"relative": "own.py", "in configs": "own", "absolute": str(tmp_path / "own.py")}
    before = list(sys.path)
    code = main(["train", given[form], "--set", f"{name}.size=3"])
    assert code == 0, capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "config.json").read_text())[name] == {"size": 3}
    assert sys.path == before


def test_a_module_beside_the_config_hides_no_installed_one(capsys, tmp_path, record, monkeypatch):
    (tmp_path / "site").mkdir()
    write_plugin(tmp_path / "site", "clashing")
    monkeypatch.syspath_prepend(tmp_path / "site")
    (tmp_path / "clashing.py").write_text("raise AssertionError('the installed one is hidden')")
    (tmp_path / "clashing_late.py").write_text("raise AssertionError('hidden')")
    code, said, output = start(capsys, tmp_path, record, plugins=["clashing"])
    assert code == 0, said
    assert (output / "model.pt").is_file()


def test_a_folder_that_python_knows_already_stays_on_the_path(
    capsys, tmp_path, record, monkeypatch
):
    write_plugin(tmp_path, "known_already")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.path)
    assert start(capsys, tmp_path, record, plugins=["known_already"])[0] == 0
    assert sys.path == before
