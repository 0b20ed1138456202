# SPDX-License-Identifier: MIT
"""Running sums over blocks are the sums over the whole row."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from arcface_fair.head.blocks import Plan, Running, with_target
from arcface_fair.head.softmax import partials_of


@given(
    rows=st.integers(1, 4),
    classes=st.integers(1, 9),
    block=st.integers(1, 9),
    levels=st.sampled_from([2, 500]),
    seed=st.integers(0, 2**31),
)
def test_blocks_and_a_late_target_give_the_whole_rows_sums(
    rows: int, classes: int, block: int, levels: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Few levels make ties, where the lowest class must win.
    logits = torch.randint(-levels, levels, (rows, classes), generator=generator).double()
    columns = torch.randint(-1, classes, (rows,), generator=generator)
    whole = partials_of(logits)
    own = torch.arange(rows)
    target = torch.where(columns >= 0, logits[own, columns.clamp_min(0)], 0)
    others = logits.clone()
    others[own[columns >= 0], columns[columns >= 0]] = -1e30
    running = Running(logits)
    for start in range(0, classes, block):
        part = others[:, start : start + block].clone()
        running.add(part, start, torch.empty_like(part))
    joined = with_target(running.partials, target, columns)
    for name, ours, theirs in zip(whole._fields, joined, whole, strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_the_plan_cuts_every_class_once_and_finds_the_labels() -> None:
    columns = torch.tensor([6, -1, 0, 3])
    plan = Plan(columns, torch.tensor([2, 3, 5, 7, 11, 13, 17]), 7, 3, torch.nn.Identity())
    assert list(plan.spans()) == [(0, 3), (3, 6), (6, 7)]
    assert [plan.place(*span).tolist() for span in plan.spans()] == [  # type: ignore[union-attr]
        [2, 3, 5],
        [7, 11, 13],
        [17],
    ]
    found = [(rows.tolist(), at.tolist()) for rows, at in (plan.targets(*s) for s in plan.spans())]
    assert found == [([2], [0]), ([3], [0]), ([0], [0])]
