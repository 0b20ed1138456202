# SPDX-License-Identifier: MIT
"""Patches of train_v2.py: the session's moments, checkpoints, process group, device."""

from __future__ import annotations

import ast

from .edits import Edit, Insert, ReplaceCall, ReplaceKeyword, ReplaceMethod, ReplaceStatement
from .patch import Patch


class SessionMoments(Patch):
    """Head, margin, schedule and network by config, and the plugins' moments in the loop."""

    NAME = "hooks"
    FILE = "train_v2.py"
    DESCRIPTION = "calls the plugins at the session's moments; head, margin, schedule by config"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """In the order of the file."""
        return [*self._parts(), *self._start_and_resume(), *self._loop(tree), *self._ends()]

    def _parts(self) -> list[Edit]:
        return [
            Insert("the line `cfg = get_config(...)`", "cfg = get_config(...)",
                   "bridge.configure(cfg)", where="after"),
            ReplaceCall("the call `get_model(cfg.network, ...)`", "get_model(...)",
                        "bridge.build_backbone(get_model, cfg, ...)"),
            ReplaceStatement(
                "the fp16 hook of DDP",
                "backbone.register_comm_hook(None, fp16_compress_hook)",
                "bridge.register_comm_hook(backbone, cfg, fp16_compress_hook)", required=False),
            ReplaceCall("the construction of CombinedMarginLoss", "CombinedMarginLoss(...)",
                        "bridge.build_margin(CombinedMarginLoss, cfg, ...)"),
            ReplaceCall("the construction of PartialFC_V2", "PartialFC_V2(...)",
                        "bridge.head_class(PartialFC_V2, cfg)(...)"),
            Insert("the line `lr_scheduler = ...(...)`", "lr_scheduler = ...(...)",
                   "lr_scheduler = bridge.choose_schedule(lr_scheduler, cfg, opt)",
                   where="after"),
        ]  # fmt: skip

    def _start_and_resume(self) -> list[Edit]:
        return [
            Insert("the line `start_epoch = 0`", "start_epoch = 0",
                   "session = bridge.start("
                   "cfg, backbone, module_partial_fc, opt, lr_scheduler, summary_writer)"),
            Insert("the line that loads the scheduler's state", "lr_scheduler.load_state_dict(...)",
                   "session.resume(dict_checkpoint)", where="after"),
            Insert("the line `amp = ...GradScaler(...)`", "amp = ...(...)",
                   "amp = session.scaler(amp)", where="after"),
        ]  # fmt: skip

    def _loop(self, tree: ast.Module) -> list[Edit]:
        batch = batch_names(tree)
        images, labels = batch[0], batch[1]
        return [
            Insert("the loop over epochs", "for epoch in range(start_epoch, cfg.num_epoch): pass",
                   "session.before_epoch(epoch)", where="inside"),
            ReplaceCall("the loop `enumerate(train_loader)`", "enumerate(train_loader)",
                        "enumerate(session.batches(train_loader))"),
            Insert("the forward pass through `backbone`", "local_embeddings = backbone(...)",
                   f"{images} = session.before_forward({', '.join(batch[:3])})"),
            Insert("the loss from `module_partial_fc`", f"loss = module_partial_fc(..., {labels})",
                   "session.after_loss(loss)", where="after"),
            Insert("the scaled backward pass", "amp.scale(loss).backward()",
                   "session.after_backward()", where="after"),
            Insert("the backward pass", "loss.backward()",
                   "session.after_backward()", where="after"),
            Insert("the line `lr_scheduler.step()`", "lr_scheduler.step()",
                   "session.after_step()", where="after"),
        ]  # fmt: skip

    def _ends(self) -> list[Edit]:
        return [
            Insert("the line `if cfg.save_all_states:`", "if cfg.save_all_states: pass",
                   "session.after_epoch()"),
            Insert("the checkpoint's dict", "checkpoint = ...",
                   "checkpoint.update(session.checkpoint())", where="after"),
            Insert("the loop over epochs", "for epoch in range(start_epoch, cfg.num_epoch): pass",
                   "session.after_train()", where="after"),
        ]  # fmt: skip


def batch_names(tree: ast.Module) -> list[str]:
    """The names that a batch is unpacked into; a third one holds the group labels."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and "train_loader" in ast.unparse(node.iter):
            for part in ast.walk(node.target):
                if isinstance(part, ast.Tuple) and len(part.elts) > 1:
                    names = [e.id for e in part.elts if isinstance(e, ast.Name)]
                    if len(names) == len(part.elts) and names[0] != "_":
                        return names
    return ["img", "local_labels"]


class CheckpointsThatRecut(Patch):
    """Checkpoints written whole, and resharded when the number of processes has changed."""

    NAME = "resume"
    FILE = "train_v2.py"
    DESCRIPTION = "writes checkpoints whole; resumes on another number of processes too"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """Loading and saving."""
        return [
            ReplaceStatement("the line that loads the checkpoint",
                             "dict_checkpoint = torch.load(...)",
                             "dict_checkpoint = bridge.load_checkpoint(cfg)"),
            ReplaceStatement("the line that saves the checkpoint", "torch.save(checkpoint, ...)",
                             "bridge.save_checkpoint(cfg, checkpoint)"),
        ]  # fmt: skip


class ProcessGroup(Patch):
    """NCCL or gloo by availability, any free port without torchrun, and a patient timeout."""

    NAME = "group"
    FILE = "train_v2.py"
    DESCRIPTION = "gloo without GPUs, a free port without torchrun, a timeout of 12 hours"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """Both places where upstream starts the group."""
        return [
            ReplaceCall("the start of the process group", "distributed.init_process_group(...)",
                        "bridge.init_process_group()"),
        ]  # fmt: skip


class DeviceOfTraining(Patch):
    """The training script on whatever device the machine has."""

    NAME = "device"
    FILE = "train_v2.py"
    DESCRIPTION = "runs on the GPU where there is one, else on the CPU"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """Device choice, DDP's device and every `.cuda()`."""
        return [
            ReplaceCall("the line `torch.cuda.set_device(...)`", "torch.cuda.set_device(...)",
                        "bridge.set_device(...)"),
            ReplaceMethod("a call of `.cuda()`", "cuda", "to(bridge.device())"),
            ReplaceKeyword("the argument `device_ids` of DDP", "device_ids=...",
                           "bridge.device_ids()"),
        ]  # fmt: skip
