# SPDX-License-Identifier: MIT
"""A missing package is named with the command that brings it."""

import pytest

from arcface_fair.errors import UserError
from arcface_fair.optional import require


def test_a_missing_package_is_one_sentence():
    with pytest.raises(
        UserError,
        match=r"no_such_package is not installed, and reports and figures need it; "
        r"run: pip install \"arcface-fair\[report\]\"",
    ):
        require("no_such_package.part", "report")


def test_what_is_there_comes_back():
    assert require("json").loads("1") == 1


def test_a_package_whose_own_import_fails_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import something_else_missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_else_missing"):
        require("half_there")
