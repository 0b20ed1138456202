# SPDX-License-Identifier: MIT
"""The run's own keys: upstream's names and meanings, and the few that arcface-fair adds."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from arcface_fair.config import merged
from arcface_fair.errors import UserError
from arcface_fair.plugin.loading import announced_plugins, load_plugin_modules
from arcface_fair.plugin.settings import (
    check_choice,
    check_range,
    literal,
    parse_block,
    parse_text,
)

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
    "set", "wandb_key", "wandb_entity", "wandb_project", "suffix_run_name",
    *IGNORED_KEYS,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """One training run. Upstream's keys first, with upstream's defaults."""

    rec: str  # folder with train.rec, or an image folder with one sub-folder per identity
    output: str  # folder of checkpoints, model.pt and logs
    network: str = "r50"  # a name of arcface_fair.backbones
    embedding_size: int = 512  # D, length of an embedding
    num_classes: int | None = None  # identities; None: as many as the data holds
    margin_list: tuple = (1.0, 0.5, 0.0)  # m1, m2 [rad], m3: ArcFace m2, or CosFace m3 > 0
    margin: dict | None = None  # dict(name=..., ...), a margin by name; see docs/margins.md
    margin_gradient: Literal["upstream", "exact"] = "upstream"  # of ArcFace; see head.margin
    cifp: bool = False  # consistent false positives on top of the margin
    interclass_filtering_threshold: float = 0.0  # other cosines above it are zeroed; 0: off
    sample_rate: float = 1.0  # share of the class centres that take part in a step
    fp16: bool = False  # half precision where the device has it; float32 elsewhere
    batch_size: int = 128  # images per process and step
    optimizer: str = "sgd"  # sgd | adamw
    lr: float = 0.1  # highest learning rate; not scaled with the batch
    momentum: float = 0.9  # sgd only
    weight_decay: float = 5e-4  # of backbone and class centres
    gradient_acc: int = 1  # micro-steps per optimiser step
    num_epoch: int = 20  # passes over the data
    warmup_epoch: float = 0.0  # epochs, parts of one too, in which the rate rises to lr
    val_targets: tuple = ()  # names of .bin files beside the record, without the ending
    verbose: int = 2000  # steps between verifications
    frequent: int = 10  # steps between lines of the log
    save_all_states: bool = True  # write checkpoints that a run can resume from
    resume: bool = False  # go on from the newest checkpoint in output
    seed: int = 2048  # of weights, order, augmentation and sampled classes
    num_workers: int = 2  # processes that read images, per process of the run; 0: none
    # Keys that arcface-fair adds.
    init_backbone: str | None = None  # .pt or .onnx to start the backbone from; None: fresh
    margin_scale: float = 64.0  # s, factor of all logits
    dropout: float = 0.0  # share of features dropped before the embedding layer
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
        for key, kinds, expected in (
            ("margin_list", (int, float), "numbers"),
            ("lr_steps", (int, float), "numbers"),
            ("val_targets", str, "names"),
            ("plugins", str, "names"),
        ):
            items = getattr(self, key)
            if not all(isinstance(item, kinds) for item in items):
                raise UserError(
                    f"config.{key} is {items!r}, expected {expected}; correct the value"
                )
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


def with_set_lines(config: Mapping[str, Any], lines: Sequence[str]) -> dict[str, Any]:
    """``config`` with the command line's ``--set KEY=VALUE`` over it; the last of a key counts.

    KEY is a field of `RunSettings`, margin.ARGUMENT, or NAME.FIELD for the block of a plugin that
    the run lists, with these lines if not before. Types are those of the dataclass that owns the
    field; ranges are checked where the config is parsed. The lines themselves are kept under
    ``set``, which ``config.json`` records. Raises UserError for a line without "=", an unknown
    key, a block whose plugin is not listed and a value of another type.
    """
    pairs = [_split_line(line) for line in lines]
    known = {field.name for field in fields(RunSettings)}
    changes: dict[str, Any] = {"set": list(lines)} if lines else {}
    for key, text in pairs:
        if key in known:
            changes[key] = parse_text(RunSettings, key, text, f"--set {key}")
    result = merged(config, changes)
    listed = [str(plugin) for plugin in result.get("plugins") or ()]
    blocks = {module.NAME: module.Settings for module in load_plugin_modules(listed)}
    for key, text in pairs:
        if key in known:
            continue
        name, _, field = key.partition(".")
        if name == "margin" and field:  # what a margin takes is checked where it is built
            result["margin"] = {**(result.get("margin") or {}), field: literal(text)}
            continue
        if name not in blocks or field not in {f.name for f in fields(blocks[name])}:
            raise UserError(_no_such_key(f"{key}={text}", listed, blocks))
        value = parse_text(blocks[name], field, text, f"--set {key}")
        result = merged(result, {name: {field: value}})
    return result


def _split_line(line: str) -> tuple[str, str]:
    key, equals, text = line.partition("=")
    if not equals or not key.strip():
        raise UserError(
            f"--set {line} is no setting, expected KEY=VALUE; write for example --set batch_size=64"
        )
    return key.strip(), text.strip()


def _no_such_key(line: str, listed: Sequence[str], blocks: Mapping[str, type]) -> str:
    """The sentence for a key that no dataclass of this run owns."""
    key = line.partition("=")[0]
    name, dot, field = key.partition(".")
    owned = {block: [f.name for f in fields(settings)] for block, settings in blocks.items()}  # type: ignore[arg-type]
    if name in blocks and not dot:
        return (
            f"--set {line} names a plugin's block, expected one of its settings; "
            f"write for example --set {name}.{owned[name][0]}=..."
        )
    if dot and name in {f.name for f in fields(RunSettings)}:
        return (
            f"--set {line} goes into {name!r}, which is a key of the run and no plugin's block; "
            f"write --set {name}=VALUE"
        )
    near_block = name if name in blocks else next(iter(_near(name, list(blocks))), None)
    if dot and near_block is None:
        module = announced_plugins().get(name, "MODULE")
        return (
            f"--set {line} belongs to no plugin of this run, expected one of config.plugins "
            f"({', '.join(listed) or 'none'}) to be named {name!r}; "
            f"list it with --set plugins={','.join([*listed, module])} or correct the name"
        )
    near = (
        [f"{near_block}.{match}" for match in _near(field, owned[near_block])]
        if near_block is not None and dot
        else [f"{block}.{key}" for block in owned if key in owned[block]]
        or _near(key, [f.name for f in fields(RunSettings)])
    )
    advice = f"did you mean {near[0]!r}?" if near else "`arcface-fair config` lists every key"
    return f"--set {line} names no setting of this run; {advice}"


def _near(word: str, known: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(word, known, n=1)
