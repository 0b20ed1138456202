# SPDX-License-Identifier: MIT
"""Builds a backbone from the name that a config gives it.

A registry of builders by name; an unknown name lists the registered ones.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from torch import nn

from arcface_fair.errors import UserError

Builder = TypeVar("Builder", bound=Callable)


class Registry(Generic[Builder]):
    """Builders of one kind under the names that a config may use.

    >>> SHAPES = Registry("shape")
    >>> @SHAPES.register("square")
    ... def square(side): ...
    >>> SHAPES["square"] is square
    True
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._builders: dict[str, Builder] = {}

    def register(self, name: str) -> Callable[[Builder], Builder]:
        """Registers the decorated builder. Raises ValueError if the name is taken."""

        def put(builder: Builder) -> Builder:
            if self._builders.setdefault(name, builder) is not builder:
                raise ValueError(f"a {self.kind} named {name!r} is registered already; rename one")
            return builder

        return put

    def __getitem__(self, name: str) -> Builder:
        if name not in self._builders:
            known = ", ".join(sorted(self._builders)) or "none"
            raise UserError(
                f"no {self.kind} is named {name!r}; known: {known}. "
                "Correct the name, or list the plugin that brings it in config.plugins"
            )
        return self._builders[name]

    def __contains__(self, name: object) -> bool:
        return name in self._builders

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._builders))


BACKBONES: Registry[Callable[..., nn.Module]] = Registry("network")
"""Builders `(*, fp16, num_features, dropout, **own options) -> nn.Module` by network name."""


def get_model(
    name: str,
    fp16: bool = False,
    num_features: int = 512,
    dropout: float = 0.0,
    **options: object,
) -> nn.Module:
    """The network `name`: images [B, 3, 112, 112] in -1..1, RGB -> embeddings [B, num_features].

    The first four arguments are those of arcface_torch's `get_model`; the parameters of its
    networks (r18 to r2060, mbf, mbf_large, vit_*) carry its names. The embeddings are float32 and
    not normalised.

    fp16: lets autocast choose half precision for the convolutional part (float16 on CUDA,
        bfloat16 on a CPU); the last layers stay in float32.
    dropout: rate before the last linear layer, 0..1; 0 turns it off.
    options: what only some networks know, for example `gradient_checkpointing` (iresnet).
    Raises UserError for an unknown network or option, and for values out of range.
    """
    builder = BACKBONES[name]
    if num_features < 1:
        raise UserError(f"embedding_size is {num_features}; it must be at least 1, 512 is usual")
    if not 0 <= dropout < 1:
        raise UserError(f"dropout is {dropout}; it must be a rate from 0 to below 1")
    _check_options(name, builder, options)
    return builder(fp16=fp16, num_features=num_features, dropout=dropout, **options)


def _check_options(name: str, builder: Callable[..., nn.Module], options: dict) -> None:
    parameters = inspect.signature(builder).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = set(parameters) - {"fp16", "num_features", "dropout"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise UserError(
            f"network {name!r} has no option {unknown[0]!r}; its options: "
            f"{', '.join(sorted(known)) or 'none'}. Correct the name or leave it out"
        )
