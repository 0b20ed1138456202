# SPDX-License-Identifier: MIT
import pytest

from arcface_fair.backbones.build import Registry
from arcface_fair.errors import UserError


def test_a_registered_builder_is_found_under_its_name():
    shelf = Registry("shape")

    @shelf.register("square")
    def square():
        return 4

    assert shelf["square"] is square
    assert "square" in shelf
    assert list(shelf) == ["square"]


def test_an_unknown_name_lists_the_shelf():
    shelf = Registry("shape")
    shelf.register("b")(lambda: 1)
    shelf.register("a")(lambda: 2)
    with pytest.raises(UserError, match=r"no shape is named 'c'; known: a, b. Correct the name"):
        shelf["c"]


def test_a_name_is_taken_once():
    shelf = Registry("shape")
    shelf.register("a")(lambda: 1)
    with pytest.raises(ValueError, match="a shape named 'a' is registered already; rename one"):
        shelf.register("a")(lambda: 2)
