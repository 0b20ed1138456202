# SPDX-License-Identifier: MIT
"""Builds the parts of a run from its settings: data, backbone, head, optimiser."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from arcface_fair import dist
from arcface_fair.backbones import get_model
from arcface_fair.data.groups import GroupTable
from arcface_fair.data.training.dataset import FaceDataset, check_labels, open_dataset
from arcface_fair.head import CIFP, CombinedMargin, PartialFC
from arcface_fair.head.dispatch import check_kernel
from arcface_fair.hosts.settings import RunSettings
from arcface_fair.plugin import margins


def build_dataset(run: RunSettings) -> tuple[FaceDataset, int]:
    """The training images and the number of classes. Raises UserError where they disagree."""
    dataset = open_dataset(run.rec)
    num_classes = run.num_classes or dataset.num_classes
    check_labels(dataset, num_classes)
    return dataset, num_classes


def build_group_table(run: RunSettings, num_classes: int) -> GroupTable | None:
    """The identity -> group table of the run, if it has one."""
    path = run.group_table_path
    return None if path is None else GroupTable.read(path, num_classes)


def uses_fp16(run: RunSettings, device: torch.device) -> bool:
    """Whether the run computes in float16: where it asks for it, on a GPU."""
    return run.fp16 and not run.bf16 and device.type == "cuda"


def uses_bf16(run: RunSettings) -> bool:
    """Whether the run computes in bfloat16, which CPUs and current GPUs have."""
    return run.bf16


def build_backbone(run: RunSettings, device: torch.device) -> nn.Module:
    """The bare network, with the same initial weights on all ranks."""
    torch.manual_seed(run.seed)
    options: dict[str, Any] = {} if run.norm == "batch" else {"norm": run.norm}
    half = uses_bf16(run) or uses_fp16(run, device)
    if uses_bf16(run):
        torch.set_autocast_dtype(device.type, torch.bfloat16)
    backbone = get_model(
        run.network, fp16=half, num_features=run.embedding_size, dropout=run.dropout, **options
    ).to(device)
    for tensor in (*backbone.parameters(), *backbone.buffers()):
        dist.broadcast_(tensor.data)
    return backbone


def build_margin(run: RunSettings, modules: Sequence[ModuleType] = ()) -> Any:
    """The margin that the run asks for, by name or by ``margin_list``; ``modules``: its plugins.

    Raises UserError for a margin that is not known or that the run's kernel cannot run.
    """
    margin: Any
    if run.margin is None:
        m1, m2, m3 = run.margin_list
        margin = CombinedMargin(
            run.margin_scale, m1, m2, m3, run.interclass_filtering_threshold, run.margin_gradient
        )
    else:
        defaults = {
            "s": run.margin_scale,
            "gradient": run.margin_gradient,
            "interclass_filtering_threshold": run.interclass_filtering_threshold,
        }
        margin = margins.build_margin(run.margin, modules, defaults)
    margin = CIFP(margin) if run.cifp else margin
    check_kernel(run.kernel, run.head_memory_mib, margin)
    return margin


def build_head(
    run: RunSettings,
    num_classes: int,
    device: torch.device,
    modules: Sequence[ModuleType] = (),
) -> PartialFC:
    """This rank's shard of the classifier, with margin and kernel as the run asks."""
    head = PartialFC(
        build_margin(run, modules),
        run.embedding_size,
        num_classes,
        run.sample_rate,
        kernel=run.kernel,
        memory_budget_mib=run.head_memory_mib,
        seed=run.seed,
    )
    return head.to(device).train()


def build_optimizer(
    run: RunSettings, backbone: nn.Module, head: nn.Module
) -> torch.optim.Optimizer:
    """SGD or AdamW over backbone first, head second, as upstream groups them."""
    groups = [
        {"params": list(backbone.parameters())},
        {"params": list(head.parameters())},
    ]
    if run.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=run.lr, weight_decay=run.weight_decay)
    return torch.optim.SGD(groups, lr=run.lr, momentum=run.momentum, weight_decay=run.weight_decay)


def wrap_backbone(run: RunSettings, backbone: nn.Module, device: torch.device) -> nn.Module:
    """DistributedDataParallel where there are several ranks; else the module itself."""
    if dist.world_size() == 1:
        return backbone
    with warnings.catch_warnings():
        # Newer names of the option mean something else: buffers would be overwritten at the start.
        warnings.filterwarnings("ignore", ".*broadcast_buffers", FutureWarning)
        wrapped = DistributedDataParallel(
            backbone,
            device_ids=[device.index] if device.type == "cuda" else None,
            broadcast_buffers=False,
            bucket_cap_mb=16,
        )
    if run.gradient_compression == "fp16":
        from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import fp16_compress_hook

        wrapped.register_comm_hook(None, fp16_compress_hook)
    return wrapped
