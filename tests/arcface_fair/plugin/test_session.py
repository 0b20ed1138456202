# SPDX-License-Identifier: MIT
"""The session calls its plugins at every moment, and keeps their state."""

import pytest
import torch

from arcface_fair.errors import UserError
from arcface_fair.plugin.parts import MOMENTS, Augmentation, Hook, Penalty, Plugin
from tests.arcface_fair.plugin.sessions import make_session, one_step, plugin_module


class Diary(Hook):
    def __init__(self, name, pages):
        self.name, self.pages = name, pages


for _moment in MOMENTS:

    def _write(self, session, moment=_moment):
        self.pages.append((self.name, moment))

    setattr(Diary, _moment, _write)


def test_hooks_are_called_at_every_moment_in_the_order_of_the_plugins():
    pages = []
    modules = [
        plugin_module(n, lambda s, _, n=n: Plugin(n, hooks=(Diary(n, pages),))) for n in ("x", "y")
    ]
    session = make_session(*modules)
    session.before_train()
    session.before_epoch(0)
    one_step(session).backward()
    session.after_backward()
    session.after_step()
    session.after_epoch()
    session.after_train()
    assert pages == [(name, moment) for moment in MOMENTS for name in ("x", "y")]


def test_the_seven_moments_are_seven():
    assert MOMENTS == (
        "before_train", "before_epoch", "after_loss", "after_backward", "after_step",
        "after_epoch", "after_train",
    )  # fmt: skip


def test_penalties_join_the_loss_with_their_weight_and_see_the_statistics():
    seen, logged = {}, {}

    def entropy(step):
        seen.update(vars(step))
        return step.entropy.mean()

    penalty = Penalty("entropy", entropy, 0.5)
    module = plugin_module("x", lambda s, _: Plugin("x", penalties=(penalty,)))
    session = make_session(module, log=lambda tag, value, step: logged.update({tag: float(value)}))
    loss = one_step(session)
    expected = seen["ce"].mean() + 0.5 * seen["entropy"].mean()
    torch.testing.assert_close(loss, expected)
    assert seen["embeddings"].shape == (4, 5)
    assert seen["batch_labels"].tolist() == [0, 1, 2, 3]
    assert seen["pmax"].shape == (4,)
    assert logged == {"penalty/entropy": pytest.approx(seen["entropy"].mean().item())}


def test_a_penalty_of_weight_zero_is_not_computed():
    def forbidden(step):
        raise AssertionError("computed")

    module = plugin_module("x", lambda s, _: Plugin("x", penalties=(Penalty("p", forbidden, 0.0),)))
    plain = one_step(make_session())
    torch.manual_seed(0)
    session = make_session(module)
    session.backbone.load_state_dict(make_session().backbone.state_dict(), strict=True)
    assert one_step(session).isfinite()
    assert plain.isfinite()


def test_augmentations_change_the_images_one_after_the_other():
    double = Augmentation("double", lambda step: step.images * 2)
    add = Augmentation("add", lambda step: step.images + 1)
    modules = [
        plugin_module("x", lambda s, _: Plugin("x", augmentations=(double,))),
        plugin_module("y", lambda s, _: Plugin("y", augmentations=(add,))),
    ]
    session = make_session(*modules)
    assert session.before_forward(torch.ones(4, 3, 1, 1), torch.arange(4)).unique().tolist() == [3]


class Memory:
    def __init__(self):
        self.value = 0

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


def test_state_is_kept_by_plugin_name_and_a_missing_one_starts_afresh():
    memories = {"x": Memory(), "y": Memory()}
    modules = [plugin_module(n, lambda s, _, n=n: Plugin(n, state=memories[n])) for n in memories]
    session = make_session(*modules)
    memories["x"].value = 3
    state = session.state_dict()
    assert state == {"x": {"value": 3}, "y": {"value": 0}}
    memories["x"].value = memories["y"].value = 9
    session.load_state_dict({"x": state["x"], "gone": {}})
    assert (memories["x"].value, memories["y"].value) == (3, 9)


def test_after_train_reaches_every_hook_even_if_one_fails():
    pages = []

    class Failing(Hook):
        def after_train(self, session):
            raise RuntimeError("no")

    modules = [
        plugin_module("x", lambda s, _: Plugin("x", hooks=(Failing(),))),
        plugin_module("y", lambda s, _: Plugin("y", hooks=(Diary("y", pages),))),
    ]
    session = make_session(*modules)
    with pytest.raises(RuntimeError, match="no"):
        session.after_train()
    assert pages == [("y", "after_train")]


def test_settings_reach_the_plugin_through_its_block():
    got = []
    module = plugin_module("x", lambda s, _: got.append(s) or Plugin("x"))
    make_session(module, config={"x": {"weight": 4}, "other": 1})
    assert got[0].weight == 4.0
    with pytest.raises(UserError, match=r"config.x has no setting 'wait'; known: weight"):
        make_session(module, config={"x": {"wait": 4}})


def test_a_pass_outside_a_step_adds_no_penalty():
    module = plugin_module(
        "x", lambda s, _: Plugin("x", penalties=(Penalty("p", lambda step: step.ce.sum()),))
    )
    session = make_session(module)
    one_step(session)
    session.after_step()
    embeddings, labels = torch.randn(4, 5), torch.arange(4)
    plain = session.head.statistics(embeddings, labels).ce.mean()
    torch.testing.assert_close(session.head(embeddings, labels), plain)
