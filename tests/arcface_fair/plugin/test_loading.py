# SPDX-License-Identifier: MIT
import importlib.metadata
import sys
from types import ModuleType

import pytest

from arcface_fair.errors import UserError
from arcface_fair.plugin.loading import (
    ENTRY_POINT_GROUP,
    load_plugin_modules,
    parse_plugin_settings,
)


def test_our_plugins_load_by_module_name_and_by_their_announced_name():
    by_module = load_plugin_modules(["invreg_plugin", "gabn_plugin"])
    assert [module.NAME for module in by_module] == ["invreg", "gabn"]
    settings = parse_plugin_settings(by_module, {"invreg": {"weight": 0.1}})
    assert settings[0].weight == 0.1


def test_an_installed_third_party_plugin_is_found_by_its_entry_point(monkeypatch):
    module = ModuleType("third_party")
    module.NAME, module.Settings, module.build = "third", dict, lambda s, _: None
    monkeypatch.setitem(sys.modules, "third_party", module)
    point = importlib.metadata.EntryPoint("third", "third_party", ENTRY_POINT_GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    assert load_plugin_modules(["third"]) == [module]


def test_a_plugin_that_does_not_exist_is_named():
    with pytest.raises(UserError, match=r"config.plugins names 'nowhere', which is no importable"):
        load_plugin_modules(["nowhere"])


def test_a_plugin_whose_own_import_is_missing_keeps_its_traceback(tmp_path, monkeypatch):
    (tmp_path / "broken_plugin.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        load_plugin_modules(["broken_plugin"])


def test_a_module_that_is_no_plugin_says_what_it_lacks():
    with pytest.raises(UserError, match=r"names 'json', but that module offers no NAME, Settings"):
        load_plugin_modules(["json"])


def test_two_plugins_of_one_name_are_refused():
    with pytest.raises(UserError, match=r"lists 'invreg_plugin' and 'invreg_plugin', which are bo"):
        load_plugin_modules(["invreg_plugin", "invreg_plugin"])


def test_a_plugin_of_another_contract_is_refused(monkeypatch):
    module = ModuleType("old_plugin")
    module.NAME, module.Settings, module.build, module.CONTRACT = "old", dict, None, 1
    monkeypatch.setitem(sys.modules, "old_plugin", module)
    with pytest.raises(UserError, match="'old' was written for contract 1, this arcface-fair has"):
        load_plugin_modules(["old_plugin"])
