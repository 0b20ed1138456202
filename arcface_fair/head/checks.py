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


def watch(labels: Tensor, ce: Tensor, entropy: Tensor, on_clamp: str) -> None:
    """The sentinel: names rows whose loss is not finite, or past upstream's clamp.

    ``labels``, ``ce``, ``entropy`` [N] are global, so every rank comes to the same end. A row
    that is not finite raises UserError. A row past 69.078 (p below 1e-30, where upstream's
    reported value stops) is logged or raises, as ``on_clamp`` says; its gradient is right.
    """
    bad = ~(ce + entropy).isfinite()
    clamped = ce >= UPSTREAM_CLAMP
    any_bad, any_clamped = torch.stack([bad.any(), clamped.any()]).tolist()
    if any_bad:
        (rows,) = torch.where(bad)
        named = f"row(s) {_listed(rows)} of the gathered batch, label(s) {_listed(labels[rows])}"
        if bool(entropy[rows].isfinite().all()):
            raise UserError(
                f"no rank's active classes hold the label of {named}, expected every positive in "
                "the sample; draw the sample from the same labels"
            )
        raise UserError(
            f"the logits are not finite in {named}, expected finite numbers; look at the class "
            "centres and these images, or resume from an earlier checkpoint with a lower rate"
        )
    if any_clamped and on_clamp != "ignore":
        (rows,) = torch.where(clamped)
        sentence = (
            f"row(s) {_listed(rows)} of the gathered batch, label(s) {_listed(labels[rows])}, have "
            f"a loss past {UPSTREAM_CLAMP:.3f} (probability below 1e-30), expected less; look for "
            "wrong labels or a diverging run"
        )
        if on_clamp == "raise":
            raise UserError(sentence)
        _logger.warning(sentence)


def _listed(values: Tensor) -> str:
    shown = ", ".join(str(value) for value in values[:8].tolist())
    return shown + (f" and {len(values) - 8} more" if len(values) > 8 else "")
