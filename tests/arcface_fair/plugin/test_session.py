# SPDX-License-Identifier: MIT
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from arcface_fair.data.groups import Attribute, GroupTable
from arcface_fair.errors import UserError
from arcface_fair.head import CosFace, PartialFC
from arcface_fair.plugin.context import Run
from arcface_fair.plugin.parts import MOMENTS, Augmentation, Hook, Penalty, Plugin
from arcface_fair.plugin.session import Session

TABLE = GroupTable(
    {
        "race": Attribute(("a", "b"), np.array([0, 1, -1, 1])),
        "gender": Attribute(("f", "m"), np.array([1, 1, 0, -1])),
    }
)


def plugin_module(name, build):
    from dataclasses import make_dataclass

    settings = make_dataclass("Settings", [("weight", float, 1.0)], frozen=True)
    return SimpleNamespace(NAME=name, Settings=settings, build=build, __name__=name)


def make_session(*modules, table=TABLE, attribute=None, config=None, log=None):
    head = PartialFC(CosFace(8.0, 0.1), 5, 4)
    backbone = torch.nn.Linear(3, 5)
    run = Run(
        config=config or {},
        dataset=None,
        group_table=table,
        group_attribute=attribute,
        num_classes=4,
        num_epochs=1,
        total_steps=2,
        batch_size=4,
        seed=0,
        work_dir=None,
        device=torch.device("cpu"),
    )
    options = {} if log is None else {"log": log}
    return Session(run, modules, backbone=backbone, head=head, **options)


def one_step(session, images=None):
    images = torch.ones(4, 3, 1, 1) if images is None else images
    labels = torch.arange(4)
    seen = session.before_forward(images, labels)
    loss = session.head(session.backbone(seen[:, :, 0, 0]), labels)
    session.after_loss(loss)
    return loss


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


def test_groups_come_from_the_table_or_from_the_batch():
    session = make_session()
    session.before_forward(torch.ones(4, 3, 1, 1), torch.tensor([3.0, 2.0, 1.0, 0.0]))
    assert session.step.groups.tolist() == [1, -1, 1, 0]
    assert session.head.groups.tolist() == [1, -1, 1, 0]
    session.before_forward(torch.ones(2, 3, 1, 1), torch.arange(2), torch.tensor([[5], [6]]))
    assert session.step.groups.tolist() == [5, 6]
    other = make_session(attribute="gender")
    other.before_forward(torch.ones(4, 3, 1, 1), torch.arange(4))
    assert other.step.groups.tolist() == [1, 1, 0, -1]
    none = make_session(table=None)
    none.before_forward(torch.ones(4, 3, 1, 1), torch.arange(4))
    assert none.step.groups.tolist() == [-1] * 4
    assert none.head.groups is None


def test_a_group_attribute_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="is 'age', but the group table has the columns race, gend"):
        make_session(attribute="age")
    with pytest.raises(UserError, match=r"is 'age' but there is no group table; set config.groups"):
        make_session(table=None, attribute="age")


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


def loss_step_of(table=TABLE, groups=None):
    session = make_session(table=table)
    session.before_forward(torch.ones(4, 3, 1, 1), torch.arange(4), groups)
    with pytest.raises(RuntimeError, match="the head was not called in this step yet"):
        _ = session.loss_step
    rows = torch.randn(4, 5)
    loss = session.head(rows, torch.arange(4))
    with pytest.raises(RuntimeError, match="the loss of this step is not known yet"):
        _ = session.loss
    session.after_loss(loss)
    assert session.loss is loss
    return session, rows


def test_the_step_after_the_head_holds_the_whole_batchs_groups():
    assert loss_step_of()[0].loss_step.batch_groups.tolist() == [0, 1, -1, 1]
    given, _ = loss_step_of(groups=torch.tensor([3, 2, 1, 0]))
    assert given.loss_step.batch_groups.tolist() == [3, 2, 1, 0]
    assert loss_step_of(table=None)[0].loss_step.batch_groups.tolist() == [-1] * 4
    assert given.group_of_class.tolist() == [0, 1, -1, 1]
    given.after_step()
    assert given.step is None


def test_the_target_cosine_is_that_before_the_margin():
    session, rows = loss_step_of()
    expected = torch.nn.functional.cosine_similarity(rows, session.head.weight)
    torch.testing.assert_close(session.loss_step.target_cosine, expected)


def cosine_gradients(classes, sample_rate):
    """(target cosines [N], d mean / d rows of this rank, d mean / d centres of this rank)."""
    from arcface_fair import dist

    head = PartialFC(CosFace(8.0, 0.1), 5, classes, sample_rate, seed=1).double()
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 3, 6, 3])
    own = torch.arange(4).chunk(dist.world_size())[dist.rank()]
    leaf = rows[own].clone().requires_grad_()
    statistics = head.statistics(leaf, labels[own], active=head.sample(labels[own]))
    cosine = statistics.measure_cosine()
    gradients = torch.autograd.grad(cosine.square().mean(), [leaf, head.weight])
    return cosine.detach(), *gradients


@pytest.mark.parametrize("sample_rate", [1.0, 0.5])
def test_the_target_cosine_and_its_gradient_are_the_same_on_shards(run_ranks, sample_rate):
    wanted, d_rows, d_centres = cosine_gradients(7, 1.0)
    answers = run_ranks(2, cosine_gradients, 7, sample_rate)
    for answer in answers:
        torch.testing.assert_close(answer[0], wanted)
    torch.testing.assert_close(torch.cat([answer[1] for answer in answers]), d_rows)
    torch.testing.assert_close(torch.cat([answer[2] for answer in answers]), d_centres)


def returning(**parts):
    return make_session(plugin_module("mine", lambda s, _: Plugin("mine", **parts)))


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda s, _: [], r"build of the plugin 'mine' returned a list, expected a Plugin"),
        (lambda s, _: Plugin("other"), "'mine' returned a Plugin named 'other', expected its own"),
        (
            lambda s, _: Plugin("mine", hooks=Hook()),
            "the plugin 'mine' gives a Hook for its hooks, expected a tuple",
        ),
        (
            lambda s, _: Plugin("mine", penalties=(Hook(),)),
            "the plugin 'mine' lists a Hook among its penalties, expected a Penalty",
        ),
        (
            lambda _, session: Plugin("mine", state=session.head.margin_softmax),
            "the plugin 'mine' gives the run's margin as its state",
        ),
        (
            lambda s, _: Plugin("mine", state=3),
            "state of the plugin 'mine' is a int without state_dict and load_state_dict",
        ),
        (
            lambda s, _: Plugin("mine", penalties=(Penalty("p", None), Penalty("p", None))),
            "the plugins 'mine' and 'mine' have a penalty 'p' each",
        ),
    ],
)
def test_what_a_plugin_returns_is_checked_when_it_is_built(build, sentence):
    with pytest.raises(UserError, match=sentence):
        make_session(plugin_module("mine", build))


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda step: step.ce, r"penalty 'p' of the plugin 'mine' returned shape \[4\], expected"),
        (lambda step: 0.0, "penalty 'p' of the plugin 'mine' returned float, expected a scalar"),
        (lambda step: step.ce.mean() * torch.nan, "'p' of the plugin 'mine' is nan, expected a fi"),
        (lambda step: step.ce.mean() / 0, "'p' of the plugin 'mine' is inf, expected a finite"),
    ],
)
def test_a_penalty_that_is_no_finite_scalar_is_refused(function, sentence):
    session = returning(penalties=(Penalty("p", function),))
    with pytest.raises(UserError, match=sentence):
        one_step(session)


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (lambda step: None, "NoneType"),
        (lambda step: step.images[:2], r"\[2, 3, 1, 1\] of torch.float32"),
        (lambda step: step.images.double(), r"\[4, 3, 1, 1\] of torch.float64"),
    ],
)
def test_an_augmentation_that_returns_other_images_is_refused(function, found):
    session = returning(augmentations=(Augmentation("a", function),))
    with pytest.raises(
        UserError, match=f"'a' of the plugin 'mine' returned {found}, expected imag"
    ):
        one_step(session)


def groups_of_whole_batch():
    from arcface_fair import dist

    session = make_session()
    labels = torch.arange(4).chunk(dist.world_size())[dist.rank()]
    session.before_forward(torch.ones(len(labels), 3, 1, 1), labels)
    session.after_loss(session.head(torch.randn(len(labels), 5), labels))
    step = session.loss_step
    return step.groups.tolist(), step.batch_groups.tolist(), step.batch_labels.tolist()


def test_groups_of_the_whole_batch_are_gathered_in_the_order_of_the_labels(run_ranks):
    one, two = run_ranks(2, groups_of_whole_batch)
    assert (one[0], two[0]) == ([0, 1], [-1, 1])
    assert one[1:] == two[1:] == ([0, 1, -1, 1], [0, 1, 2, 3])
