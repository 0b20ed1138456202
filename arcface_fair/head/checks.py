# SPDX-License-Identifier: MIT
"""Bad input ends with the same sentence on every rank, before anybody waits in a collective."""

from __future__ import annotations

import logging
import math

import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.errors import UserError

UPSTREAM_CLAMP = -math.log(1e-30)  # 69.078: where upstream's reported loss stops
_logger = logging.getLogger(__name__)


def check_settings(embedding_size: int, num_classes: int, sample_rate: float) -> None:
    """Raises UserError for a size or rate out of range."""
    for name, value in (("embedding_size", embedding_size), ("num_classes", num_classes)):
        if int(value) != value:
            raise UserError(f"{name} is {value}, expected a whole number; round it")
    if embedding_size < 1:
        raise UserError(f"embedding_size is {embedding_size}, expected at least 1; use 512")
    if num_classes < 1:
        raise UserError(
            f"num_classes is {num_classes}, expected at least 1; set it to the number of "
            "identities in the record"
        )
    if not 0 < sample_rate <= 1:
        raise UserError(
            f"sample_rate is {sample_rate}, expected above 0 and up to 1; use 1.0 for all classes"
        )


def agree(error: UserError | None, batch: int, groups: bool, device: torch.device) -> None:
    """Raises on every rank if any has an error, or if batches differ; one small all-reduce."""
    if dist.world_size() == 1:
        if error is not None:
            raise error
        return
    has = int(groups)
    mine = torch.tensor([int(error is not None), batch, -batch, has, -has], device=device)
    failed, most, least, some, every = dist.all_reduce_(mine, "max").tolist()
    if failed:
        dist.raise_together(error)
    if most != -least:
        raise UserError(
            f"batches differ between ranks, from {-least} to {most} rows, expected one size; "
            "use a sampler that gives every rank the same number of images"
        )
    if some != -every:
        raise UserError(
            "groups are set on some ranks and not on others, expected all or none; set "
            "head.groups on every rank before the head is called"
        )


def find_error(
    labels: Tensor,
    num_classes: int,
    embeddings: Tensor | None = None,
    width: int | None = None,
    groups: Tensor | None = None,
) -> UserError | None:
    """What is wrong with this rank's batch, or None."""
    if embeddings is not None:
        if embeddings.dim() != 2 or embeddings.shape[1] != width:
            return UserError(
                f"embeddings have shape {list(embeddings.shape)}, expected [batch, {width}]; give "
                "the head the network's embedding_size"
            )
        if labels.numel() != len(embeddings):
            return UserError(
                f"labels have shape {list(labels.shape)}, expected one per embedding "
                f"({len(embeddings)}); squeeze to [batch]"
            )
        if groups is not None and groups.numel() != len(embeddings):
            return UserError(
                f"head.groups holds {groups.numel()} ids, expected one per embedding "
                f"({len(embeddings)}); set it anew for every batch"
            )
    if labels.numel() == 0:
        return UserError("the batch is empty, expected at least one row; drop the last batch")
    return _value_error(labels, num_classes, embeddings)


def _value_error(labels: Tensor, num_classes: int, embeddings: Tensor | None) -> UserError | None:
    wrong = (labels < 0) | (labels >= num_classes) | (labels != labels.long())
    finite = torch.ones_like(wrong[:1]) if embeddings is None else embeddings.isfinite().all()[None]
    any_wrong, all_finite = torch.stack([wrong.any(), finite.all()]).tolist()
    if any_wrong:
        (rows,) = torch.where(wrong.reshape(-1))
        value = labels.reshape(-1)[rows[0]].item()
        return UserError(
            f"label {value} in row {rows[0].item()} of the batch is not a class id, expected "
            f"0..{num_classes - 1}; check num_classes against the record"
        )
    if not all_finite:
        assert embeddings is not None
        (rows,) = torch.where(~embeddings.isfinite().all(1))
        return UserError(
            f"embeddings hold NaN or infinity in row(s) {_listed(rows)} of rank {dist.rank()}, "
            "expected finite numbers; lower the learning rate or look at these images"
        )
    return None


class Sentinel:
    """Names rows whose loss is not finite, or past upstream's clamp.

    A row that is not finite raises UserError. A row past 69.078 (p below 1e-30, where the value
    that upstream reports stops moving) raises or is logged, as ``on_clamp`` says ("raise", "log",
    "ignore"); its gradient is right either way. The log speaks at the 1st, 2nd, 4th, 8th, ...
    such batch.
    """

    def __init__(self, on_clamp: str) -> None:
        if on_clamp not in ("log", "raise", "ignore"):
            raise UserError(
                f"on_clamp is {on_clamp!r}, expected 'log', 'raise' or 'ignore'; use 'log'"
            )
        self.on_clamp = on_clamp
        self.batches_past_clamp = 0

    def watch(self, labels: Tensor, ce: Tensor, entropy: Tensor) -> None:
        """``labels``, ``ce``, ``entropy`` [N] are global, so all ranks come to the same end."""
        bad = ~(ce + entropy).isfinite()
        clamped = ce >= UPSTREAM_CLAMP
        any_bad, any_clamped = torch.stack([bad.any(), clamped.any()]).tolist()
        if any_bad:
            (rows,) = torch.where(bad)
            raise _not_finite(_named(rows, labels), bool(entropy[rows].isfinite().all()))
        if not any_clamped or self.on_clamp == "ignore":
            return
        (rows,) = torch.where(clamped)
        sentence = (
            f"{_named(rows, labels)} have a loss past {UPSTREAM_CLAMP:.3f} (probability below "
            "1e-30), expected less; look for wrong labels or a diverging run"
        )
        if self.on_clamp == "raise":
            raise UserError(sentence)
        self.batches_past_clamp += 1
        if self.batches_past_clamp & (self.batches_past_clamp - 1) == 0:
            _logger.warning("%s (batch %d of this kind)", sentence, self.batches_past_clamp)


def _not_finite(named: str, unheld: bool) -> UserError:
    if unheld:
        return UserError(
            f"no rank's active classes hold the label of {named}, expected every positive in the "
            "sample; draw the sample from the same labels"
        )
    return UserError(
        f"the logits are not finite in {named}, expected finite numbers; look at the class "
        "centres and these images, or resume from an earlier checkpoint with a lower rate"
    )


def _named(rows: Tensor, labels: Tensor) -> str:
    return f"row(s) {_listed(rows)} of the gathered batch, label(s) {_listed(labels[rows])},"


def _listed(values: Tensor) -> str:
    shown = ", ".join(str(value) for value in values[:8].tolist())
    return shown + (f" and {len(values) - 8} more" if len(values) > 8 else "")
