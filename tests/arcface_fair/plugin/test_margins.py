# SPDX-License-Identifier: MIT
"""Margins by name: who is known, what is checked, what a checkpoint keeps of them."""

from types import SimpleNamespace

import pytest
import torch

from arcface_fair.errors import UserError
from arcface_fair.head import ArcFace, CombinedMargin, CosFace, PartialFC
from arcface_fair.hosts.build import build_margin as margin_of_run
from arcface_fair.hosts.settings import parse_run
from arcface_fair.plugin.margins import KeptMargin, build_margin
from arcface_fair.plugin.parts import Margin


class Counting(torch.nn.Module):
    """A margin with a buffer and a rule of its own."""

    def __init__(self, s: float, m: float = 0.1, mode: str = "a") -> None:
        super().__init__()
        self.s, self.m, self.mode = s, m, mode
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, cosines, labels):
        self.steps += 1
        return self.s * cosines


class WholeRows(Counting):
    needs_all_columns = True


def module(name="mine", *margins):
    return SimpleNamespace(NAME=name, MARGINS=margins)


MINE = module("mine", Margin("counting", Counting), Margin("whole_rows", WholeRows))


def of_run(modules=(), **keys):
    run, _ = parse_run({"rec": "a", "output": "b", "margin_scale": 16.0, **keys}, set())
    return margin_of_run(run, modules)


def test_our_margins_have_names_and_take_the_runs_scale_and_gradient():
    cosface = of_run(margin={"name": "cosface", "m": 0.2})
    assert (type(cosface), cosface.s, cosface.m) == (CosFace, 16.0, 0.2)
    arcface = of_run(margin={"name": "arcface", "s": 8}, margin_gradient="exact")
    assert (type(arcface), arcface.s, arcface.m, arcface.gradient) == (ArcFace, 8.0, 0.5, "exact")
    values = {"m1": 1, "m2": 0.3, "m3": 0}
    combined = of_run(margin={"name": "combined", **values}, interclass_filtering_threshold=0.4)
    assert isinstance(combined, CombinedMargin)
    assert combined.interclass_filtering_threshold == 0.4
    assert of_run(margin={"name": "arcface"}, cifp=True).margin.m == 0.5


def test_without_a_name_the_margin_is_that_of_margin_list():
    assert of_run(margin_list=(1.0, 0.0, 0.4)).m3 == 0.4


def test_a_plugins_margin_is_built_from_its_block():
    margin = of_run([MINE], margin={"name": "counting", "m": 1})
    assert (type(margin), margin.s, margin.m) == (Counting, 16.0, 1.0)


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({"m": 1}, "names None, known: arcface, combined, cosface, counting, whole_rows; correct"),
        ({"name": "x"}, "config.margin names 'x', known: arcface, combined, cosface, counting"),
        ({"name": "counting", "n": 1}, r"margin has no setting 'n'; known: m, mode, s\. corr"),
        ({"name": "counting", "m": "x"}, r"config.margin\['m'\] is 'x', expected float"),
        ({"name": "combined", "m1": 1}, "config.margin lacks m2, m3 of 'combined'; add it"),
        ({"name": "cosface", "m": 3}, "CosFace margin m is 3.0, expected 0..1"),
    ],
)
def test_names_and_parameters_are_checked(block, sentence):
    with pytest.raises(UserError, match=sentence):
        of_run([MINE], margin=block)


def test_a_margin_that_the_kernel_cannot_run_is_refused():
    assert of_run([MINE], margin={"name": "whole_rows"}, kernel="dense")
    with pytest.raises(UserError, match="WholeRows needs all columns at once, which kernel 'chu"):
        of_run([MINE], margin={"name": "whole_rows"}, kernel="chunked")


def test_two_margins_of_one_name_are_refused():
    other = module("other", Margin("counting", Counting))
    with pytest.raises(UserError, match="'mine' and the plugin 'other' both offer a margin named "):
        build_margin({"name": "arcface"}, [MINE, other], {})
    taken = module("other", Margin("arcface", Counting))
    with pytest.raises(UserError, match="'arcface-fair' and the plugin 'other' both offer"):
        build_margin({"name": "arcface"}, [taken], {})


def test_what_is_no_margin_is_refused():
    with pytest.raises(UserError, match="the plugin 'mine' lists 3 among its MARGINS, expected a "):
        build_margin({"name": "arcface"}, [module("mine", 3)], {})
    number = module("mine", Margin("number", lambda: 3))
    with pytest.raises(UserError, match="'number' was built as a int, expected a callable"):
        build_margin({"name": "number"}, [number], {})
    trained = module("mine", Margin("trained", lambda: torch.nn.Linear(1, 1)))
    with pytest.raises(UserError, match="'trained' holds parameters, expected buffers alone"):
        build_margin({"name": "trained"}, [trained], {})


def test_a_checkpoint_keeps_the_margins_buffers_and_the_heads_state_does_not():
    block = {"name": "counting"}
    head = PartialFC(build_margin(block, [MINE], {"s": 4.0}), 5, 4)
    kept = KeptMargin(block, head.margin_softmax)
    head(torch.randn(4, 5), torch.arange(4))
    assert list(head.state_dict()) == ["weight"]
    assert list(torch.nn.Sequential(head).state_dict()) == ["0.weight"]
    entry = kept.entry()
    assert entry == {"margin": {"name": "counting", "state": {"steps": torch.tensor(1.0)}}}
    again = PartialFC(build_margin(block, [MINE], {"s": 4.0}), 5, 4)
    again.load_state_dict(head.state_dict())
    assert again.margin_softmax.steps == 0
    KeptMargin(block, again.margin_softmax).restore(entry)
    assert again.margin_softmax.steps == 1


def test_a_checkpoint_of_another_margin_is_refused():
    kept = KeptMargin({"name": "counting"}, Counting(4.0))
    listed = KeptMargin(None, ArcFace())
    assert listed.entry() == {}
    listed.restore({})
    with pytest.raises(UserError, match=r"of config.margin_list, this run has the margin 'coun"):
        kept.restore({})
    with pytest.raises(UserError, match="with the margin 'counting', this run has the margin of c"):
        listed.restore(kept.entry())
    with pytest.raises(UserError, match="state does not fit the margin 'counting'"):
        kept.restore({"margin": {"name": "counting", "state": {}}})
