# SPDX-License-Identifier: MIT
from __future__ import annotations

import torch

from arcface_fair import dist
from contrast_plugin.hook import other_rows, own_uniforms, rows_among, whole
from tests.ranks import run_ranks


def test_another_row_is_never_the_row_itself_and_all_others_occur():
    uniforms = torch.linspace(0, 1, 500)[:, None].expand(500, 4).double()
    drawn = torch.stack([other_rows(row) for row in uniforms])
    for row in range(4):
        assert set(drawn[:, row].tolist()) == {0, 1, 2, 3} - {row}


def test_a_row_alone_is_its_own_stand_in():
    assert other_rows(torch.tensor([0.7])).tolist() == [0]


def test_rows_are_drawn_from_the_chosen_ones_alike():
    chosen = torch.tensor([False, True, False, True, True, False])
    uniforms = torch.rand(3000, 6, generator=torch.Generator().manual_seed(0))
    drawn = torch.stack([rows_among(chosen, row) for row in uniforms])
    counts = torch.bincount(drawn.flatten(), minlength=6)
    assert counts[~chosen].tolist() == [0, 0, 0]
    assert (counts[chosen] > 5700).all()
    assert rows_among(chosen, torch.ones(6)).tolist() == [4] * 6  # 1.0 stays inside


def test_without_a_chosen_row_another_one_is_taken():
    uniforms = torch.tensor([0.0, 0.4, 0.99])
    nobody = torch.zeros(3, dtype=torch.bool)
    assert rows_among(nobody, uniforms).tolist() == other_rows(uniforms).tolist()


def drawn_on_rank() -> torch.Tensor:
    return own_uniforms(3, 2, torch.Generator().manual_seed(9))


def test_ranks_draw_different_numbers_which_together_are_those_of_one_process():
    parts = run_ranks(2, drawn_on_rank)
    assert dist.world_size() == 1
    whole = own_uniforms(6, 2, torch.Generator().manual_seed(9))
    assert torch.equal(torch.cat(parts), whole)


def test_whole_numbers_are_drawn_alike_below_their_count():
    drawn = whole(torch.rand(9000, generator=torch.Generator().manual_seed(0)), 3)
    assert (torch.bincount(drawn) > 2800).all()
    assert whole(torch.ones(2), 3).tolist() == [2, 2]
