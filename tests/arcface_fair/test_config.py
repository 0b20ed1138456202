# SPDX-License-Identifier: MIT
import pytest

from arcface_fair.config import find_config, load_config, shipped_configs
from arcface_fair.errors import UserError

HEAD = "from easydict import EasyDict\nconfig = EasyDict()\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "base.py").write_text(HEAD + "config.lr = 1\nconfig.output = None\n")
    (tmp_path / "configs" / "job.py").write_text(HEAD + "config.batch_size = 7\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["configs/job", "configs/job.py", "job"])
def test_the_job_updates_the_base_of_the_working_folder(folder, name):
    config = load_config(name)
    assert (config.lr, config.batch_size, config.name) == (1, 7, "job")


def test_output_falls_back_to_work_dirs(folder):
    assert load_config("job").output == "work_dirs/job"
    assert load_config("job", {"output": "here"}).output == "here"


def test_a_shipped_config_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("configs/demo_arcface") == shipped_configs() / "demo_arcface.py"
    assert load_config("demo_arcface").lr == 0.1


def test_the_working_folder_comes_before_the_shipped_configs(folder):
    (folder / "configs" / "demo_arcface.py").write_text(HEAD + "config.lr = 5\n")
    assert load_config("demo_arcface").lr == 5


def test_an_unknown_config_lists_the_shipped_ones(folder):
    with pytest.raises(UserError, match=r"no config 'nothing' in .*; shipped: .*demo_arcface"):
        load_config("nothing")


def test_a_config_that_fails_names_file_and_fault(folder):
    (folder / "configs" / "job.py").write_text("1 / 0\n")
    with pytest.raises(UserError, match=r"job.py stops with ZeroDivisionError: division by zero"):
        load_config("job")


def test_a_config_without_config_says_how_to_begin(folder):
    (folder / "configs" / "job.py").write_text("a = 1\n")
    with pytest.raises(UserError, match="defines no EasyDict named 'config'; begin it with"):
        load_config("job")


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in shipped_configs().glob("*.py") if p.stem != "base")
)
def test_every_shipped_config_parses(name):
    from arcface_fair.hosts.settings import parse_run
    from arcface_fair.plugin.loading import load_plugin_modules, parse_plugin_settings

    config = load_config(name)
    modules = load_plugin_modules(config.plugins)
    parse_plugin_settings(modules, config)
    run, ignored = parse_run(config, {module.NAME for module in modules})
    assert run.output
    assert ignored == []


def test_the_base_is_the_dataclass_written_down():
    from dataclasses import MISSING, fields

    from arcface_fair.hosts.settings import RunSettings

    base = load_config("base", {"output": None})
    defaults = {f.name: f.default for f in fields(RunSettings)}
    missing = {key for key, value in defaults.items() if value is MISSING}
    assert missing == {"rec", "output"}
    computed = {"name", "num_image"}  # the file's stem, and what arcface_torch counts by itself
    assert set(base) == set(defaults) | computed
    assert all(base[key] is None for key in (*missing - {"output"}, "num_image"))
    for key in set(defaults) - missing:
        value = tuple(base[key]) if isinstance(base[key], list) else base[key]
        assert (value, type(value)) == (defaults[key], type(defaults[key])), key
