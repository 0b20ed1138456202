# SPDX-License-Identifier: MIT
"""What a step says of this rank and of the whole batch."""

import pytest
import torch

from arcface_fair.errors import UserError
from arcface_fair.head import CosFace, PartialFC
from tests.arcface_fair.plugin.sessions import TABLE, make_session


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
