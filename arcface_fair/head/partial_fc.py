# SPDX-License-Identifier: MIT
"""The classifier whose classes are sharded over ranks: cosine, margin, softmax statistics, loss.

B rows on this rank, N = B * world_size gathered rows, D embedding size, C classes in all,
K active classes on this rank.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from arcface_fair import dist
from arcface_fair.errors import UserError
from arcface_fair.head import checks
from arcface_fair.head.dispatch import check_kernel, kernel_statistics
from arcface_fair.head.sampling import Active, draw, initial_rows, local_columns, shard_of

Margin = Callable[..., Tensor]


@dataclass(frozen=True)
class Statistics:
    """Softmax statistics of the gathered batch, equal on all ranks, with a graph."""

    labels: Tensor  # [N] int64, global class ids
    ce: Tensor  # [N] -log p of the label
    entropy: Tensor  # [N] nats
    pmax: Tensor  # [N] largest probability, 0..1
    groups: Tensor | None  # [N] int64, -1 unknown; None where the host set none
    own_cosine: Callable[[], Tensor] = field(repr=False)  # [N], 0 where another rank has the class

    def measure_cosine(self) -> Tensor:
        """[N] cosine to the own class centre before the margin, equal on all ranks, with a graph.

        One collective of N numbers; called by all ranks or none, who go on to use it alike.
        """
        total = dist.sum_over_ranks(self.own_cosine())
        return dist.scale_gradient(total, 1 / dist.world_size())


class PartialFC(nn.Module):
    """Margin softmax over classes that are sharded over ranks, with optional negative sampling.

    Drop-in for arcface_torch's ``PartialFC_V2``: same first five arguments, same ``weight``
    entry ([num_local, D]; nothing else in the state dict), same loss and gradients (for ce; the
    value is not clamped at 69.078). Class centres start from N(0, 0.01), drawn per global class
    from ``seed``, so that they do not depend on the world size.

    margin_loss: ``margin(local_cosines [N, K], local_labels [N, 1], -1 = elsewhere) -> logits``,
        upstream's or ours; one with ``needs_context`` gets a MarginContext as a third argument.
    sample_rate: share of each shard's classes in a step, above 0, up to 1 (all).
    kernel: "dense" holds [N, K]; "chunked" streams blocks of classes and holds one block;
        "auto" is chunked where dense's matrices would pass the budget.
    memory_budget_mib: what a block's matrices may take, MiB, at least 1.
    fp16: float16 matrix products on CUDA; everything after them is float32. On a CPU the
        products are in the embeddings' precision, or autocast's where that is on.
    on_clamp: what to do when a row's loss passes 69.078: "log", "raise" or "ignore".
    terms: callables Statistics -> scalar, already weighted, added to mean(ce) by ``forward``.
    groups: set by the host before a call, [B] int64 or None, for margins that ask for them.
    next_active: the sample that the next ``forward`` takes instead of drawing one, once; for a
        second pass that must see the same classes. Set on all ranks or none.
    pending_error: set by a host whose rank cannot go on (an image that cannot be read); the next
        call raises it on every rank, where the others would wait for this one for ever.
    block_columns: may be set, classes per block of the chunked kernel; None: from the budget.
    Raises UserError for a setting out of range.
    """

    weight: nn.Parameter

    def __init__(
        self,
        margin_loss: Margin,
        embedding_size: int,
        num_classes: int,
        sample_rate: float = 1.0,
        fp16: bool = False,
        *,
        kernel: Literal["auto", "dense", "chunked"] = "auto",
        memory_budget_mib: float = 64.0,
        seed: int = 0,
        on_clamp: Literal["log", "raise", "ignore"] = "log",
    ) -> None:
        super().__init__()
        checks.check_settings(embedding_size, num_classes, sample_rate)
        if not callable(margin_loss):
            raise UserError(
                f"margin_loss is {margin_loss!r}, expected a callable (cosines, labels) -> logits; "
                "use arcface_fair.head.ArcFace()"
            )
        check_kernel(kernel, memory_budget_mib, margin_loss)
        self.margin_softmax = margin_loss
        self.embedding_size, self.num_classes = embedding_size, num_classes
        self.sample_rate, self.fp16 = float(sample_rate), fp16
        self.sentinel = checks.Sentinel(on_clamp)
        self.kernel, self.memory_budget_mib = kernel, float(memory_budget_mib)
        self.classes = shard_of(num_classes, dist.rank(), dist.world_size())
        self.class_start, self.num_local = self.classes.start, len(self.classes)
        self.num_sample = int(self.sample_rate * self.num_local)
        self.weight_index: Tensor | None = None
        self.weight = nn.Parameter(initial_rows(self.classes, num_classes, embedding_size, seed))
        self.terms: list[Callable[[Statistics], Tensor]] = []
        self.groups: Tensor | None = None
        self.block_columns: int | None = None
        self.next_active: Active | None = None
        self.pending_error: UserError | None = None
        self.register_load_state_dict_post_hook(_without_margin)

    def forward(self, local_embeddings: Tensor, local_labels: Tensor) -> Tensor:
        """mean(ce) over the global batch plus ``terms``: a scalar, equal on all ranks.

        The gradient that leaves for ``local_embeddings`` [B, D] is multiplied by the world size,
        once, because DDP divides by it. ``local_labels``: B class ids, float or int.
        Raises UserError on every rank for a bad batch on any.
        """
        embeddings = dist.scale_gradient(local_embeddings, dist.world_size())
        active = self.next_active or self.sample(local_labels)
        self.next_active = None
        statistics = self.statistics(embeddings, local_labels, active=active)
        self.sentinel.watch(statistics.labels, statistics.ce, statistics.entropy)
        loss = statistics.ce.mean()
        for term in self.terms:
            loss = loss + term(statistics)
        return loss

    def sample(self, local_labels: Tensor) -> Active:
        """This step's classes: all positives of the global batch, random negatives, sorted.

        Called by all ranks or none, with this rank's labels [B]. Every class at sample_rate 1.
        """
        if self.sample_rate >= 1:
            return Active()
        error = self.pending_error or checks.find_error(local_labels, self.num_classes)
        checks.agree(error, local_labels.numel(), False, self.weight.device)
        labels = self._gather_ids(local_labels)
        local = local_columns(labels, self.classes, Active())
        self.weight_index = draw(local, self.num_local, self.num_sample)
        return Active(self.weight_index)

    def statistics(
        self,
        embeddings: Tensor,
        labels: Tensor,
        margin: Margin | None = None,
        active: Active | None = None,
        *,
        centre_gradient: float = 1.0,
    ) -> Statistics:
        """Softmax statistics of the gathered batch after ``margin`` (the head's own by default).

        ``embeddings`` [B, D] and ``labels`` [B] are this rank's; called by all ranks or none.
        The gather's backward is its true adjoint, without the factor of ``forward``. pmax may be
        differentiated twice. With an ``active`` sample the softmax is over the sampled classes.
        ``centre_gradient`` multiplies what reaches the class centres: 1 / world_size where the
        loss is one rank's share times the world size, as an attention map's is.
        """
        error = self.pending_error or checks.find_error(
            labels, self.num_classes, embeddings, self.embedding_size, self.groups
        )
        checks.agree(error, labels.numel(), self.groups is not None, self.weight.device)
        all_labels = self._gather_ids(labels)
        all_groups = None if self.groups is None else self._gather_ids(self.groups)
        active = Active() if active is None else active
        rows = dist.gather_rows(self._promoted(embeddings))
        weight = dist.scale_gradient(self.weight, centre_gradient)
        columns = local_columns(all_labels, self.classes, active)
        ce, entropy, pmax = kernel_statistics(
            rows,
            weight,
            active.index,
            columns,
            self.margin_softmax if margin is None else margin,
            kernel=self.kernel,
            budget_bytes=int(self.memory_budget_mib * 2**20),
            block_columns=self.block_columns,
            groups=all_groups,
            product_dtype=self._product_dtype(),
        )

        def own_cosine() -> Tensor:
            (own,) = torch.where(columns >= 0)
            held = columns[own] if active.index is None else active.index[columns[own]]
            with torch.autocast(rows.device.type, enabled=False):
                cosine = (normalize(rows[own]) * normalize(weight[held])).sum(1).clamp(-1, 1)
            return rows.new_zeros(len(columns)).index_put((own,), cosine)

        return Statistics(all_labels, ce, entropy, pmax, all_groups, own_cosine)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The weight alone, whatever the margin keeps: a checkpoint holds that as "margin"."""
        state = super().state_dict(*args, **kwargs)
        inner = kwargs.get("prefix", "") + "margin_softmax."
        for key in [key for key in state if key.startswith(inner)]:
            del state[key]
        return state

    def extra_repr(self) -> str:
        """The settings, for print(head)."""
        return (
            f"embedding_size={self.embedding_size}, num_classes={self.num_classes}, "
            f"held={self.num_local}, sample_rate={self.sample_rate}, kernel={self.kernel!r}"
        )

    def _gather_ids(self, ids: Tensor) -> Tensor:
        return dist.gather_rows(ids.detach().reshape(-1).long().to(self.weight.device))

    def _promoted(self, embeddings: Tensor) -> Tensor:
        return embeddings.to(torch.promote_types(embeddings.dtype, self.weight.dtype))

    def _product_dtype(self) -> torch.dtype | None:
        kind = self.weight.device.type
        if torch.is_autocast_enabled(kind):
            return torch.get_autocast_dtype(kind)
        return torch.float16 if self.fp16 and kind == "cuda" else None


def _without_margin(head: nn.Module, keys: Any) -> None:
    """Loading the head's state leaves the margin as it is."""
    keys.missing_keys[:] = [k for k in keys.missing_keys if "margin_softmax." not in k]
