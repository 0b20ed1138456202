# SPDX-License-Identifier: MIT
"""The run's own keys: upstream's names and meanings, and the few that arcface-fair adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from arcface_fair.errors import UserError
from arcface_fair.plugin.settings import check_choice, check_range, parse_block

# Keys of upstream's trainer that have no meaning here; named in the log when a config sets them.
IGNORED_KEYS = (
    "dali",
    "dali_aug",
    "using_wandb",
    "wandb_log_all",
    "wandb_resume",
    "save_artifacts",
)
# Keys that either host computes or that carry no decision.
SILENT_KEYS = (
    "name", "total_batch_size", "warmup_step", "total_step", "num_image", "notes",
    "wandb_key", "wandb_entity", "wandb_project", "suffix_run_name",
    *IGNORED_KEYS,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """One training run. Upstream's keys first, with upstream's defaults."""

    rec: str  # folder with train.rec, or an image folder with one sub-folder per identity
    output: str  # folder of checkpoints, model.pt and logs
    network: str = "r50"  # a name of arcface_fair.backbones
    embedding_size: int = 512
    num_classes: int | None = None  # identities; None: as many as the data holds
    margin_list: tuple = (1.0, 0.5, 0.0)  # m1, m2 [rad], m3: ArcFace m2, or CosFace m3 > 0
    margin: dict | None = None  # dict(name=..., ...) in place of margin_list; see plugin.margins
    margin_gradient: Literal["upstream", "exact"] = "upstream"  # of ArcFace; see head.margin
    cifp: bool = False  # consistent false positives on top of the margin
    interclass_filtering_threshold: float = 0.0  # other cosines above it are zeroed; 0: off
    sample_rate: float = 1.0  # share of the class centres that take part in a step
    fp16: bool = False  # half precision where the device has it; float32 elsewhere
    batch_size: int = 128  # images per process and step
    optimizer: str = "sgd"  # sgd | adamw
    lr: float = 0.1
    momentum: float = 0.9  # sgd only
    weight_decay: float = 5e-4
    gradient_acc: int = 1  # micro-steps per optimiser step
    num_epoch: int = 20
    warmup_epoch: float = 0.0
    val_targets: tuple = ()  # names of .bin files beside the record, without the ending
    verbose: int = 2000  # steps between verifications
    frequent: int = 10  # steps between lines of the log
    save_all_states: bool = True  # write checkpoints that a run can resume from
    resume: bool = False
    seed: int = 2048
    num_workers: int = 2
    # Keys that arcface-fair adds.
    init_backbone: str | None = None  # .pt or .onnx to start the backbone from; None: fresh
    margin_scale: float = 64.0  # s
    dropout: float = 0.0
    bf16: bool = False  # bfloat16 autocast, on devices that have it
    gradient_compression: str = "none"  # none | fp16 (what upstream does to backbone gradients)
    clip_norm: float = 5.0  # largest norm of the backbone's gradient
    lr_schedule: str = "poly"  # poly | step
    lr_steps: tuple = ()  # epochs at which "step" divides the rate by 10
    flip: bool = True  # mirror images with probability 1/2
    shift: int = 0  # move images by up to so many pixels; 0: off
    checkpoint_steps: int = 0  # also checkpoint every so many steps; 0: at epochs only
    keep_epochs: int = 0  # keep model and class centres of every so many epochs; 0: the last only
    best_by: str = "worst"  # worst | mean | tpr | none: the figure by which best.pt is kept
    skip_bad_images: bool = False  # go on past images that cannot be decoded, and count them
    groups: str | None = None  # identity -> group table; None: groups.tsv beside the record
    group_attribute: str | None = None  # the column that gives steps their groups; None: the first
    kernel: Literal["auto", "dense", "chunked"] = "auto"  # how the head computes its softmax
    head_memory_mib: float = 64.0  # budget of the head's blocks; "auto" is dense where it fits
    device: str = "auto"  # auto | cpu | cuda
    norm: str = "batch"  # batch | none; none only for small networks in tests
    plugins: tuple = ()  # modules of the plugins, in the order in which they act

    def __post_init__(self) -> None:
        """Raises UserError for the first value that is out of range."""
        for key in ("embedding_size", "batch_size", "gradient_acc", "num_epoch", "verbose",
                    "frequent"):  # fmt: skip
            check_range(f"config.{key}", getattr(self, key), 1)
        for key in ("weight_decay", "warmup_epoch", "shift", "checkpoint_steps", "keep_epochs",
                    "num_workers"):  # fmt: skip
            check_range(f"config.{key}", getattr(self, key), 0)
        for key in ("lr", "clip_norm", "margin_scale"):
            check_range(f"config.{key}", getattr(self, key), 0, open_low=True)
        check_range("config.head_memory_mib", self.head_memory_mib, 1)
        check_range("config.sample_rate", self.sample_rate, 0, 1, open_low=True)
        check_range("config.dropout", self.dropout, 0, 1)
        check_choice("config.optimizer", self.optimizer, ("sgd", "adamw"))
        check_choice("config.gradient_compression", self.gradient_compression, ("none", "fp16"))
        check_choice("config.lr_schedule", self.lr_schedule, ("poly", "step"))
        check_choice("config.device", self.device, ("auto", "cpu", "cuda"))
        check_choice("config.margin_gradient", self.margin_gradient, ("upstream", "exact"))
        check_choice("config.kernel", self.kernel, ("auto", "dense", "chunked"))
        check_choice("config.best_by", self.best_by, ("worst", "mean", "tpr", "none"))
        check_choice("config.norm", self.norm, ("batch", "none"))
        if len(self.margin_list) != 3:
            raise UserError(
                f"config.margin_list is {self.margin_list!r}, expected three numbers (m1, m2, m3); "
                "write (1.0, 0.5, 0.0) for ArcFace or (1.0, 0.0, 0.4) for CosFace"
            )
        if self.warmup_epoch >= self.num_epoch:
            raise UserError(
                f"config.warmup_epoch is {self.warmup_epoch:g}, expected less than "
                f"config.num_epoch ({self.num_epoch}); shorten the warm-up"
            )

    @property
    def group_table_path(self) -> Path | None:
        """The group table to read, or None where there is none."""
        if self.groups is not None:
            return Path(self.groups)
        beside = Path(self.rec) / "groups.tsv"
        return beside if beside.is_file() else None


def parse_run(config: Mapping[str, Any], plugin_blocks: set[str]) -> tuple[RunSettings, list[str]]:
    """The run's settings, and the keys of ``config`` that this host ignores.

    ``plugin_blocks``: names of the blocks that belong to the run's plugins. Raises UserError when
    ``rec`` is missing or a value is out of range.
    """
    if config.get("rec") is None:
        raise UserError(
            "config.rec is not set, expected the folder that holds train.rec; set config.rec"
        )
    known = {field.name for field in fields(RunSettings)}
    own = {key: value for key, value in config.items() if key in known}
    ignored = [
        key
        for key, value in config.items()
        if key not in known | plugin_blocks
        and (key not in SILENT_KEYS or (key in IGNORED_KEYS and bool(value)))
    ]
    return parse_block(RunSettings, own, "config"), ignored
