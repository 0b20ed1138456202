# SPDX-License-Identifier: MIT
"""Bad input ends with one sentence, the same on every rank, and nobody hangs."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from arcface_fair import dist
from arcface_fair.errors import UserError
from arcface_fair.head import Active, ArcFace, PartialFC
from arcface_fair.head.checks import Sentinel, check_settings
from tests.ranks import run_ranks


def good() -> dict[str, Any]:
    return {"embeddings": torch.ones(4, 6), "labels": torch.tensor([0, 1, 2, 9])}


def with_nan() -> torch.Tensor:
    rows = torch.ones(4, 6)
    rows[2, 1] = torch.nan
    return rows


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "width": (
        {"embeddings": torch.ones(4, 5)},
        r"embeddings have shape \[4, 5\], expected \[batch, 6\]",
    ),
    "nan": ({"embeddings": with_nan()}, r"NaN or infinity in row\(s\) 2 of rank LAST"),
    "label too large": (
        {"labels": torch.tensor([0, 1, 2, 10])},
        "label 10 in row 3 .* 0..9; check",
    ),
    "label below": ({"labels": torch.tensor([0, -1, 2, 3])}, "label -1 in row 1 of the batch"),
    "label fraction": ({"labels": torch.tensor([0, 1.5, 2, 3])}, "label 1.5 in row 1 of the batch"),
    # The sample is drawn from the labels alone, so there the ranks' sizes are what differs.
    "label count": (
        {"labels": torch.tensor([0, 1])},
        r"labels have shape \[2\], expected one per|batches differ between ranks, from 2 to 4",
    ),
    "empty": (
        {"embeddings": torch.ones(0, 6), "labels": torch.ones(0)},
        "the batch is empty, expected at least one row",
    ),
}


def answer_to(bad: dict[str, Any], rate: float, groups: torch.Tensor | None = None) -> str:
    """The sentence this rank ends with when the last rank alone is given ``bad``."""
    head = PartialFC(ArcFace(), 6, 10, rate)
    given = good()
    if dist.rank() == dist.world_size() - 1:
        given |= bad
        head.groups = groups
    try:
        head(given["embeddings"], given["labels"])
    except UserError as error:
        return str(error)
    return "no error"


@pytest.mark.parametrize("rate", [1.0, 0.5])
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_batch_on_one_rank_ends_alike_on_all(name: str, world: int, rate: float) -> None:
    bad, sentence = BAD[name]
    answers = run_ranks(world, answer_to, bad, rate, timeout_s=30)
    assert len(set(answers)) == 1
    with pytest.raises(UserError, match=sentence.replace("LAST", str(world - 1))):
        raise UserError(answers[0])


@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_batches_that_differ_between_ranks_end_alike(rate: float) -> None:
    shorter = {"embeddings": torch.ones(3, 6), "labels": torch.tensor([0, 1, 2])}
    answers = run_ranks(2, answer_to, shorter, rate, timeout_s=30)
    assert answers[0] == answers[1]
    assert answers[0].startswith("batches differ between ranks, from 3 to 4 rows, expected one")


def test_groups_on_one_rank_only_end_alike() -> None:
    answers = run_ranks(2, answer_to, {}, 1.0, torch.zeros(4), timeout_s=30)
    assert answers[0] == answers[1]
    assert answers[0].startswith("groups are set on some ranks and not on others")


def test_groups_of_another_batch_are_said() -> None:
    assert "head.groups holds 3 ids, expected one per embedding (4)" in answer_to(
        {}, 1.0, torch.zeros(3)
    )


def broken_centre(kernel: str) -> str:
    head = PartialFC(ArcFace(), 6, 10, kernel=kernel)  # type: ignore[arg-type]
    if dist.rank() == 1:
        with torch.no_grad():
            head.weight[0, 0] = torch.nan
    try:
        head(**{"local_embeddings": good()["embeddings"], "local_labels": good()["labels"]})
    except UserError as error:
        return str(error)
    return "no error"


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
def test_logits_that_are_not_finite_are_named_on_every_rank(kernel: str) -> None:
    answers = run_ranks(2, broken_centre, kernel, timeout_s=30)
    assert answers[0] == answers[1]
    assert answers[0].startswith("the logits are not finite in row(s) 0, 1, 2, 3, 4, 5, 6, 7 of")


def test_a_sample_without_a_positive_is_said() -> None:
    head = PartialFC(ArcFace(), 6, 10, 0.5)
    head.sample = lambda labels: Active(torch.tensor([0, 1, 2]))  # type: ignore[method-assign, assignment]
    with pytest.raises(UserError, match=r"no rank's active classes hold the label of row\(s\) 3"):
        head(good()["embeddings"], good()["labels"])


LABELS, CE = torch.tensor([5, 6, 7]), torch.tensor([1.0, 70.0, 69.0])


def test_rows_past_the_clamp_are_named_in_the_log_and_ever_more_rarely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sentinel = Sentinel("log")
    with caplog.at_level(logging.WARNING):
        for _ in range(9):
            sentinel.watch(LABELS, CE, CE)
    assert len(caplog.records) == 4  # the 1st, 2nd, 4th and 8th
    assert "row(s) 1 of the gathered batch, label(s) 6, have a loss past 69.078" in caplog.text


def test_rows_past_the_clamp_may_raise_or_be_ignored(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UserError, match=r"row\(s\) 1 of the gathered batch.*expected less; look"):
        Sentinel("raise").watch(LABELS, CE, CE)
    Sentinel("ignore").watch(LABELS, CE, CE)
    assert not caplog.records


def test_many_rows_are_counted_not_listed() -> None:
    with pytest.raises(UserError, match=r"row\(s\) 0, 1, 2, 3, 4, 5, 6, 7 and 12 more of"):
        Sentinel("log").watch(torch.arange(20), torch.full((20,), torch.nan), torch.zeros(20) / 0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ((0, 10, 1.0), "embedding_size is 0, expected at least 1; use 512"),
        ((8, 0, 1.0), "num_classes is 0, expected at least 1; set it to the number of identities"),
        ((8, 10.5, 1.0), "num_classes is 10.5, expected a whole number"),
        ((8, 10, 0.0), "sample_rate is 0.0, expected above 0 and up to 1; use 1.0"),
        ((8, 10, 1.1), "sample_rate is 1.1, expected above 0 and up to 1"),
        ((8, 10, float("nan")), "sample_rate is nan, expected above 0 and up to 1"),
    ],
)
def test_settings_out_of_range_are_said(settings: tuple[Any, Any, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        check_settings(*settings)
    with pytest.raises(UserError, match=sentence):
        PartialFC(ArcFace(), *settings)


def test_other_wrong_arguments_are_said() -> None:
    with pytest.raises(UserError, match=r"margin_loss is 'arcface', expected a callable"):
        PartialFC("arcface", 8, 10)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="on_clamp is 'stop', expected 'log', 'raise' or 'ignore'"):
        PartialFC(ArcFace(), 8, 10, on_clamp="stop")  # type: ignore[arg-type]


def one_rank_gives_up(kind: str) -> str:
    head = PartialFC(ArcFace(), 4, 6, sample_rate=0.5 if kind == "sampled" else 1.0)
    if dist.rank() == 1:
        head.pending_error = UserError("record 3 cannot be read; repair it")
    try:
        head(torch.randn(2, 4), torch.tensor([0, 5]))
    except UserError as error:
        return str(error)
    return "went on"


@pytest.mark.parametrize("kind", ["whole", "sampled"])
def test_a_rank_that_cannot_go_on_ends_all_ranks_with_its_sentence(run_ranks, kind):
    assert run_ranks(2, one_rank_gives_up, kind) == ["record 3 cannot be read; repair it"] * 2
