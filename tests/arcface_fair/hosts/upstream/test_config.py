# SPDX-License-Identifier: MIT
import sys
import types

import pytest

from arcface_fair import bridge
from arcface_fair.errors import UserError
from arcface_fair.hosts.upstream import config as module
from arcface_fair.hosts.upstream.config import configure, current


def test_numbers_that_the_config_leaves_to_the_data_are_filled_in(cfg):
    configure(cfg)
    assert (cfg.num_classes, cfg.num_image) == (8, 48)
    assert (cfg.warmup_epoch, cfg.val_targets) == (0, [])
    assert current().run is None
    assert current().modules == []


def test_given_numbers_and_upstreams_keys_stay(cfg):
    cfg.update(num_classes=9, num_image=40, rec="synthetic", warmup_epoch=1, momentum=0.8)
    configure(cfg)
    assert (cfg.num_classes, cfg.num_image, cfg.warmup_epoch) == (9, 40, 1)


def test_a_run_with_plugins_is_checked_and_names_what_this_host_ignores(cfg):
    cfg.update(plugins=["tests.recorder"], shift=3, momentum=0.5, colour="red", flip=False)
    configure(cfg)
    found = current()
    assert [m.NAME for m in found.modules] == ["recorder"]
    assert found.run.batch_size == 8
    assert sorted(found.ignored) == ["colour", "momentum", "shift"]
    assert found.flip is False


def test_keys_that_only_our_head_knows_are_read_without_plugins_too(cfg):
    cfg.margin_gradient = "exact"
    configure(cfg)
    assert current().run.margin_gradient == "exact"


def test_a_job_with_plugins_gets_a_folder_of_its_own_and_keeps_checkpoints(cfg, monkeypatch):
    job = types.ModuleType("configs.some_run")
    job.config = {"plugins": ["tests.recorder"]}
    monkeypatch.setitem(sys.modules, "configs.some_run", job)
    cfg.update(plugins=["tests.recorder"], output="ms1mv3_arcface_r50", save_all_states=False)
    configure(cfg)
    assert cfg.output == "work_dirs/some_run"
    assert cfg.save_all_states is True
    job.config = {"plugins": ["tests.recorder"], "output": "mine", "save_all_states": False}
    cfg.update(output="mine", save_all_states=False)
    configure(cfg)
    assert (cfg.output, cfg.save_all_states) == ("mine", False)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lr_schedule": "cosine"}, "config.lr_schedule is 'cosine', expected one of poly, step"),
        ({"gradient_compression": "int8"}, "config.gradient_compression is 'int8'"),
        ({"plugins": ["nowhere"]}, "config.plugins names 'nowhere'"),
        ({"plugins": ["tests.recorder"], "num_classes": 5}, "outside 0..4"),
        ({"plugins": ["tests.recorder"], "recorder": {"pathh": ""}}, "no setting 'pathh'"),
        ({"plugins": ["tests.recorder"], "dali": True}, "torch finds no GPU, which DALI needs"),
        ({"rec": "/nowhere"}, "the data folder /nowhere does not exist"),
        ({"val_targets": ["absent"]}, "absent.bin, which does not exist"),
        ({"plugins": ["tests.recorder"], "rec": "synthetic", "num_classes": 2, "num_image": 2},
         "config.rec is 'synthetic', which holds no people"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(cfg, changes, sentence):
    cfg.update(changes)
    with pytest.raises(UserError, match=sentence.split("'")[0].replace(".", r"\.")) as caught:
        configure(cfg)
    assert sentence in str(caught.value)


def test_dali_reads_records_only(cfg, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "on_gpu", lambda: True)
    cfg.update(plugins=["tests.recorder"], dali=True)
    configure(cfg)  # a record and a GPU: plugins take what DALI gives
    cfg.rec = str(tmp_path)
    cfg.num_classes = cfg.num_image = 3
    with pytest.raises(UserError, match=r"DALI reads records only; set config\.dali = False"):
        configure(cfg)


def test_a_missing_set_is_refused_and_a_present_one_passes(record):
    bridge.require_bin(str(record / "unseen.bin"))
    with pytest.raises(UserError, match=r"val_targets names .*lfw.bin, which does not exist"):
        bridge.require_bin(str(record / "lfw.bin"))


def test_a_users_error_ends_in_one_sentence_and_others_in_a_trace(cfg, capsys):
    configure(cfg)
    with pytest.raises(SystemExit) as end:
        sys.excepthook(UserError, UserError("found this, do that"), None)
    assert end.value.code == 2
    assert capsys.readouterr().err == "arcface-fair: found this, do that\n"
    sys.excepthook(KeyError, KeyError("ours"), None)
    assert "KeyError: 'ours'" in capsys.readouterr().err
