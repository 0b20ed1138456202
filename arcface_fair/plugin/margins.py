# SPDX-License-Identifier: MIT
"""Margins by name: ``config.margin = dict(name="cosface", m=0.4)``, ours or a plugin's.

What such a margin keeps (buffers, running averages) is the checkpoint's "margin" entry. A run
without ``config.margin`` has the margin of ``config.margin_list`` and no such entry.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from torch import nn

from arcface_fair.errors import UserError
from arcface_fair.head.margin import ArcFace, CombinedMargin, CosFace
from arcface_fair.plugin.parts import Margin
from arcface_fair.plugin.settings import check_keys, checked_type

BUILT_IN = (
    Margin("arcface", ArcFace),
    Margin("cosface", CosFace),
    Margin("combined", CombinedMargin),
)


def known_margins(modules: Sequence[ModuleType]) -> dict[str, Margin]:
    """Our margins and those of ``modules``, by name. Raises UserError for a name given twice."""
    margins = {margin.name: margin for margin in BUILT_IN}
    owners = dict.fromkeys(margins, "arcface-fair")
    for module in modules:
        for margin in getattr(module, "MARGINS", ()):
            if not isinstance(margin, Margin):
                raise UserError(
                    f"the plugin {module.NAME!r} lists {margin!r} among its MARGINS, expected a "
                    "Margin; write Margin(name, the margin's class)"
                )
            if margin.name in margins:
                raise UserError(
                    f"{owners[margin.name]!r} and the plugin {module.NAME!r} both offer a margin "
                    f"named {margin.name!r}, expected one; rename it, or list one of them"
                )
            margins[margin.name], owners[margin.name] = margin, module.NAME
    return margins


def build_margin(
    block: Mapping[str, Any], modules: Sequence[ModuleType], defaults: Mapping[str, Any]
) -> Any:
    """The margin that ``block``, the mapping under config.margin, names.

    ``defaults``: values of parameters that the block leaves out, where the margin has them.
    Raises UserError for an unknown name or parameter, a value of another type, a missing one, and
    for a margin that is no callable or holds parameters to be trained.
    """
    margins = known_margins(modules)
    name = block.get("name")
    if name not in margins:
        raise UserError(
            f"config.margin names {name!r}, known: {', '.join(sorted(margins))}; correct the name, "
            "or list the plugin that brings it in config.plugins"
        )
    builder = margins[name].build
    accepted = inspect.signature(builder).parameters
    given = {key: value for key, value in block.items() if key != "name"}
    check_keys("margin", given, list(accepted))
    hints = typing.get_type_hints(builder.__init__ if inspect.isclass(builder) else builder)
    values = {key: value for key, value in defaults.items() if key in accepted}
    for key, value in given.items():
        values[key] = checked_type(value, hints.get(key), f"config.margin[{key!r}]")
    lacking = [
        key
        for key, parameter in accepted.items()
        if parameter.default is parameter.empty and key not in values
    ]
    if lacking:
        raise UserError(f"config.margin lacks {', '.join(lacking)} of {name!r}; add it")
    margin = builder(**values)
    if not callable(margin):
        raise UserError(
            f"the margin {name!r} was built as a {type(margin).__name__}, expected a callable "
            "(cosines, labels) -> logits; correct its plugin"
        )
    if isinstance(margin, nn.Module) and any(True for _ in margin.parameters()):
        raise UserError(
            f"the margin {name!r} holds parameters, expected buffers alone, because the optimiser "
            "of the class centres does not know them; train them in a plugin"
        )
    return margin


class KeptMargin:
    """The run's margin as checkpoints see it; ``name`` is None for ``config.margin_list``'s."""

    def __init__(self, block: Mapping[str, Any] | None, margin: Any) -> None:
        self.name = None if block is None else block["name"]
        self.margin = margin

    def entry(self) -> dict[str, Any]:
        """The checkpoint's entries: "margin" with name and state, or none without a name."""
        if self.name is None:
            return {}
        state = self.margin.state_dict() if hasattr(self.margin, "state_dict") else {}
        return {"margin": {"name": self.name, "state": dict(state)}}

    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Takes back what `entry` gave. Raises UserError for another margin's checkpoint."""
        kept = checkpoint.get("margin", {"name": None, "state": {}})
        if kept["name"] != self.name:
            raise UserError(
                f"the checkpoint was written with {_described(kept['name'])}, this run has "
                f"{_described(self.name)}; resume with the same margin, or start a new output "
                "folder"
            )
        if not hasattr(self.margin, "load_state_dict") or self.name is None:
            return
        try:
            self.margin.load_state_dict(kept["state"])
        except (RuntimeError, KeyError, TypeError) as error:
            raise UserError(
                f"the checkpoint's state does not fit the margin {self.name!r} ({error}); resume "
                "with the version that wrote it, or start a new output folder"
            ) from error


def _described(name: str | None) -> str:
    return "the margin of config.margin_list" if name is None else f"the margin {name!r}"
