# SPDX-License-Identifier: MIT
import json

import pytest

from arcface_fair.errors import UserError
from arcface_fair.run.folder import prepare_output, write_config


def test_the_run_is_written_down_without_its_secrets(tmp_path):
    write_config(tmp_path, {"network": "r50", "margin_list": (1.0, 0.5, 0.0), "wandb_key": "x"}, 7)
    known = json.loads((tmp_path / "config.json").read_text())
    assert (known["network"], known["num_classes"], known["world_size"]) == ("r50", 7, 1)
    assert set(known["versions"]) == {"arcface_fair", "torch"}
    assert "wandb_key" not in known


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(UserError, match=r"cannot write to the output folder .*deeper: "):
        prepare_output(tmp_path / "run" / "deeper")
    with pytest.raises(UserError, match=r"cannot write .*config.json: .*; free space or change"):
        write_config(tmp_path / "run", {}, 1)


def test_probing_the_folder_leaves_nothing_in_it(tmp_path):
    prepare_output(tmp_path / "new" / "run")
    assert list((tmp_path / "new" / "run").iterdir()) == []
