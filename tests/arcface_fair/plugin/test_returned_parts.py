# SPDX-License-Identifier: MIT
"""What a plugin returns is checked where it is returned."""

import pytest
import torch

from arcface_fair.errors import UserError
from arcface_fair.plugin.parts import Augmentation, Hook, Penalty, Plugin
from tests.arcface_fair.plugin.sessions import make_session, one_step, plugin_module


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
