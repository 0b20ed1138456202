# SPDX-License-Identifier: MIT
"""The patches stand on nothing: they may be read, and applied, without the rest of the house."""

import ast
from pathlib import Path

import pytest

from patches import PATCHES

FOLDER = Path(__file__).parents[2] / "patches"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_patches_import_the_ground_floor_alone_and_begin_with_licence_and_promise(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert text.startswith("# SPDX-License-Identifier: MIT\n")
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("arcface_fair"):
            assert node.module == "arcface_fair.errors"
        if isinstance(node, ast.Import):
            assert {a.name for a in node.names if "arcface_fair" in a.name} <= {"arcface_fair"}


def test_every_upstream_file_has_a_file_of_its_own():
    for patch in PATCHES:
        assert patch.__module__.rpartition(".")[2] == Path(patch.FILE).stem


def test_the_miniature_trainer_is_short():
    trainer = Path(__file__).parent / "miniature" / "train_v2.py"
    assert len(trainer.read_text().splitlines()) < 120
