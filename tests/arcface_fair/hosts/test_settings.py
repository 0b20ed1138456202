# SPDX-License-Identifier: MIT
"""``--set KEY=VALUE``: typed by the dataclass that owns the key, refused in one sentence."""

import pytest

from arcface_fair.errors import UserError
from arcface_fair.hosts.settings import parse_run, with_set_lines

CONFIG = {
    "plugins": ["invreg_plugin"],
    "invreg": {"weight": 0.05, "stages": (1, 3)},
    "lr": 0.1,
}


def test_keys_and_blocks_are_typed_and_the_config_itself_stays():
    made = with_set_lines(CONFIG, ["invreg.subsets=3", "batch_size=64", "lr=1", "flip=false"])
    assert made["invreg"] == {"weight": 0.05, "stages": (1, 3), "subsets": 3}
    assert (made["batch_size"], made["lr"], made["flip"]) == (64, 1.0, False)
    assert isinstance(made["lr"], float)
    assert made["set"] == ["invreg.subsets=3", "batch_size=64", "lr=1", "flip=false"]
    assert CONFIG["invreg"] == {"weight": 0.05, "stages": (1, 3)}


def test_no_line_changes_nothing():
    assert with_set_lines(CONFIG, []) == CONFIG


def test_the_last_line_of_a_key_counts():
    assert with_set_lines(CONFIG, ["lr=1", "lr=2"])["lr"] == 2.0


def test_a_plugin_can_be_listed_by_a_later_line_and_taken_out():
    made = with_set_lines(CONFIG, ["gabn.weight=0.2", "plugins=invreg_plugin,gabn_plugin"])
    assert made["plugins"] == ("invreg_plugin", "gabn_plugin")
    assert made["gabn"] == {"weight": 0.2}
    assert with_set_lines(CONFIG, ["plugins="])["plugins"] == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "batch_size",
            "--set batch_size is no setting, expected KEY=VALUE; write for example "
            "--set batch_size=64",
        ),
        ("=3", "--set =3 is no setting, expected KEY=VALUE; write for example --set batch_size=64"),
        (
            "bacth_size=3",
            "--set bacth_size=3 names no setting of this run; did you mean 'batch_size'?",
        ),
        (
            "zzz=3",
            "--set zzz=3 names no setting of this run; `arcface-fair config` lists every key",
        ),
        (
            "subsets=3",
            "--set subsets=3 names no setting of this run; did you mean 'invreg.subsets'?",
        ),
        (
            "invreg.subset=3",
            "--set invreg.subset=3 names no setting of this run; did you mean 'invreg.subsets'?",
        ),
        (
            "invreg.zzz=3",
            "--set invreg.zzz=3 names no setting of this run; `arcface-fair config` lists every "
            "key",
        ),
        (
            "invrge.subsets=3",
            "--set invrge.subsets=3 names no setting of this run; did you mean 'invreg.subsets'?",
        ),
        (
            "lr.start=3",
            "--set lr.start=3 goes into 'lr', which is a key of the run and no plugin's block; "
            "write --set lr=VALUE",
        ),
        (
            "invreg=3",
            "--set invreg=3 names a plugin's block, expected one of its settings; "
            "write for example --set invreg.weight=...",
        ),
        (
            "gabn.weight=1",
            "--set gabn.weight=1 belongs to no plugin of this run, expected one of config.plugins "
            "(invreg_plugin) to be named 'gabn'; "
            "list it with --set plugins=invreg_plugin,gabn_plugin or correct the name",
        ),
        (
            "own.weight=1",
            "--set own.weight=1 belongs to no plugin of this run, expected one of config.plugins "
            "(invreg_plugin) to be named 'own'; "
            "list it with --set plugins=invreg_plugin,MODULE or correct the name",
        ),
        (
            "invreg.subsets=x",
            "--set invreg.subsets is 'x', expected int or tuple; correct the value",
        ),
        ("invreg.weight=big", "--set invreg.weight is 'big', expected float; correct the value"),
        ("lr=big", "--set lr is 'big', expected float; correct the value"),
    ],
)
def test_a_wrong_line_ends_in_one_sentence(line, message):
    with pytest.raises(UserError) as caught:
        with_set_lines(CONFIG, [line])
    assert str(caught.value) == message


def test_arguments_of_a_margin_are_set_one_by_one():
    lines = ["margin.name=cosface", "margin.m=0.3"]
    assert with_set_lines(CONFIG, lines)["margin"] == {"name": "cosface", "m": 0.3}
    config = {**CONFIG, "margin": {"name": "cosface", "m": 0.4}}
    assert with_set_lines(config, ["margin.m=0.2"])["margin"] == {"name": "cosface", "m": 0.2}
    assert config["margin"]["m"] == 0.4


def test_a_block_without_any_plugin_says_none():
    with pytest.raises(
        UserError, match=r"config\.plugins \(none\) .* --set plugins=gabn_plugin or"
    ):
        with_set_lines({}, ["gabn.weight=1"])


def test_a_plugin_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match=r"config\.plugins names 'nothing', which is no importable"):
        with_set_lines({}, ["plugins=nothing"])
    with pytest.raises(UserError, match=r"config\.plugins names '3', which is no importable"):
        with_set_lines({}, ["plugins=3"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lr_steps=9,x", "config.lr_steps is (9, 'x'), expected numbers; correct the value"),
        ("margin_list=1,m,0", "config.margin_list is (1, 'm', 0), expected numbers; correct the "
                              "value"),
        ("val_targets=3", "config.val_targets is (3,), expected names; correct the value"),
    ],
)  # fmt: skip
def test_the_items_of_a_list_are_typed_too(line, message):
    config = {"rec": "faces", "output": "run"}
    with pytest.raises(UserError) as caught:
        parse_run(with_set_lines(config, [line]), set())
    assert str(caught.value) == message


def test_a_list_of_another_type_of_plugin_is_refused():
    with pytest.raises(UserError, match=r"config\.plugins is \(3,\), expected names; correct"):
        parse_run({"rec": "faces", "output": "run", "plugins": [3]}, set())
