# SPDX-License-Identifier: MIT
"""A shelf of builders by name; an unknown name lists what is on the shelf."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

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
        """Puts the decorated builder on the shelf. Raises ValueError if the name is taken."""

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
