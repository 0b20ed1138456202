# SPDX-License-Identifier: MIT
"""Loads a backbone's weights strictly, and says which network they fit when they do not.

Accepted: a run's folder (config.json and model.pt), a model.pt of either trainer, and a
checkpoint, of which the backbone is taken. Only tensors are unpickled.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pickle
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from arcface_fair.backbones import BACKBONES, get_model
from arcface_fair.errors import UserError
from arcface_fair.files import sha256
from arcface_fair.run.folder import read_config

# What a run's config means where it leaves a key out; both trainers divide x - 127.5 by 127.5.
DEFAULT_NETWORK, DEFAULT_SIZE, DEFAULT_STD = "r50", 512, 127.5

MANY_ENTRIES = 10_000


@dataclass(frozen=True)
class TrainedModel:
    """Where the weights lie, and what is known about them. None: to be found from the weights.

    train_std: what the training divided x - 127.5 by; None: unknown.
    """

    weights: Path
    network: str | None = None
    embedding_size: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    train_std: float | None = None

    def provenance(self) -> dict[str, str]:
        """Facts for an exported file's metadata; the same weights give the same metadata."""
        metadata = {"weights_sha256": sha256(self.weights)}
        if self.config:
            text = json.dumps(self.config, sort_keys=True, default=str)
            metadata["config_sha256"] = hashlib.sha256(text.encode()).hexdigest()
            metadata["run"] = str(self.config.get("name") or self.weights.parent.name)
        return metadata


def find_model(
    path: str | Path, network: str | None = None, embedding_size: int | None = None
) -> TrainedModel:
    """What `path` (a run's folder or a .pt file) holds; given values win over the run's config.

    Raises UserError if there are no weights, or a config.json that cannot be read.
    """
    path = Path(path)
    weights = path / "model.pt" if path.is_dir() else path
    if not weights.is_file():
        raise UserError(
            f"no weights at {weights}; give a run's folder (with model.pt) or a .pt file"
        )
    config = read_config(weights.parent)
    if config:
        network = network or str(config.get("network", DEFAULT_NETWORK))
        embedding_size = embedding_size or int(config.get("embedding_size", DEFAULT_SIZE))
    norm = config.get("norm", "batch")
    options = {} if norm == "batch" else {"norm": norm}
    std = _number(config.get("train_std", DEFAULT_STD), weights.parent) if config else None
    return TrainedModel(weights, network, embedding_size, options, config, std)


def load_backbone(
    model: str | Path | TrainedModel, network: str | None = None, embedding_size: int | None = None
) -> nn.Module:
    """The network in eval mode on the CPU, in float32, with all of its weights loaded.

    network, embedding_size: needed only for a bare .pt file whose network does not follow from its
    weights. Raises UserError for files that hold anything but tensors and for a wrong network,
    naming the networks that fit.
    """
    if not isinstance(model, TrainedModel):
        model = find_model(model, network, embedding_size)
    state = read_state(model.weights)
    _import_plugins_for(model)
    size = model.embedding_size or _last_size(state)
    name = model.network or _only_fit(state, size, model.weights)
    reasons = _differences(state, name, size, model.options)
    if reasons:
        fits = networks_for(state)
        remedy = (
            f"they fit network {fits[0]!r} with embedding_size {_last_size(state)}; give that"
            if fits
            else "give the network that they were trained with"
        )
        raise UserError(
            f"the weights in {model.weights} do not fit network {name!r} with embedding_size "
            f"{size} ({reasons}); {remedy}"
        )
    backbone = get_model(name, num_features=size, **model.options)
    backbone.load_state_dict(state, strict=True)
    return backbone.float().eval()


def read_state(path: Path) -> dict[str, Tensor]:
    """The backbone's tensors in a .pt file, without the `module.` that DDP puts before names."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is damaged, or holds more than tensors and is therefore not opened "
            f"({type(error).__name__}); give a backbone's state dict (model.pt)"
        ) from error
    if isinstance(loaded, Mapping) and "state_dict_backbone" in loaded:
        loaded = loaded["state_dict_backbone"]
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise UserError(
            f"{path} holds {type(loaded).__name__} but no state dict of a backbone; "
            "give model.pt or a checkpoint_gpu_*.pt"
        )
    if not any(tensor.ndim for tensor in loaded.values()):
        raise UserError(f"{path} holds no weights; give model.pt or a checkpoint_gpu_*.pt")
    return {name.removeprefix("module."): tensor for name, tensor in loaded.items()}


def _number(value: object, folder: Path) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UserError(
            f"{folder / 'config.json'} has train_std {value!r}, expected a number (127.5 or 128); "
            "correct it, or give --train-std"
        ) from None


def _import_plugins_for(model: TrainedModel) -> None:
    """Imports the run's plugins if one of them must be what brings its network."""
    if model.network is not None and model.network not in BACKBONES:
        for plugin in model.config.get("plugins", ()):
            # Where this fails, the registry says that the network is unknown.
            with suppress(ImportError):
                importlib.import_module(plugin)


def _last_size(state: Mapping[str, Tensor]) -> int:
    """The embedding size: every network ends with a layer that has one entry per feature."""
    return [tensor for tensor in state.values() if tensor.ndim][-1].shape[0]


def _differences(
    state: Mapping[str, Tensor], network: str, size: int, options: Mapping[str, Any]
) -> str:
    """What keeps the weights from loading strictly, in words; empty if nothing does."""
    with torch.device("meta"):
        expected = get_model(network, num_features=size, **options).state_dict()
    missing = [name for name in expected if name not in state]
    unknown = [name for name in state if name not in expected]
    shapes = [n for n in expected if n in state and expected[n].shape != state[n].shape]
    parts = [
        f"{len(names)} {what}, first {names[0]}"
        for names, what in (
            (missing, "entries missing"),
            (unknown, "entries too many"),
            (shapes, "entries of another shape"),
        )
        if names
    ]
    return "; ".join(parts)


def networks_for(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the networks whose weights a state dict holds, of whatever embedding size."""
    return _fitting(state, _last_size(state))


def _fitting(state: Mapping[str, Tensor], size: int) -> list[str]:
    """Networks that take the weights; of forms that differ in training only, the first."""
    # To build the names of r2060 takes seconds, and no other network has so many.
    names = [name for name in BACKBONES if name != "r2060" or len(state) > MANY_ENTRIES]
    alike = [name for name in names if _entries(name) == state.keys()]
    fits = [name for name in alike if not _differences(state, name, size, {})]
    forms: dict[str, str] = {}
    for name in fits:
        forms.setdefault(name.split("_dp")[0], name)
    return list(forms.values())


@cache
def _entries(network: str) -> frozenset[str]:
    """Names in the network's state dict, which do not depend on the embedding size."""
    with torch.device("meta"):
        return frozenset(get_model(network, num_features=1).state_dict())


def _only_fit(state: Mapping[str, Tensor], size: int, path: Path) -> str:
    fits = _fitting(state, size)
    if len(fits) != 1:
        names = " and ".join(fits) or f"none of {', '.join(BACKBONES)}"
        raise UserError(
            f"the weights in {path} fit {names}; say with --network which network they belong to"
        )
    return fits[0]
