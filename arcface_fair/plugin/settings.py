# SPDX-License-Identifier: MIT
"""Turns a block of a config file into the frozen dataclass that owns its fields.

The owner of the settings declares the dataclass; its ``__post_init__`` checks the values and
raises `UserError`. Here only the names and the plain types are checked, the same way for the
run's own keys and for every plugin's block.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import io
import textwrap
import tokenize
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from arcface_fair.errors import UserError

Settings = TypeVar("Settings")


def parse_block(settings_class: type[Settings], block: Mapping[str, Any], name: str) -> Settings:
    """Builds ``settings_class`` from ``block``, the mapping that stands under ``config.NAME``.

    Raises UserError for an unknown key (listing the known ones) and for a value of another type;
    what ``settings_class`` itself refuses comes through unchanged.
    """
    if not isinstance(block, Mapping):
        raise UserError(
            f"config.{name} is {block!r}, expected a dict of settings; "
            f"write config.{name} = dict(...)"
        )
    fields = {field.name: field for field in dataclasses.fields(settings_class)}  # type: ignore[arg-type]
    check_keys(name, block, list(fields))
    hints = typing.get_type_hints(settings_class)
    values = {key: checked_type(v, hints[key], f"{name}.{key}") for key, v in block.items()}
    return settings_class(**values)


def check_keys(name: str, block: Mapping[str, Any], known: list[str]) -> None:
    """Raises UserError for the first key of config.NAME that is not ``known``."""
    for key in block:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "correct or remove it."
            raise UserError(
                f"config.{name} has no setting {key!r}; known: {', '.join(sorted(known))}. {advice}"
            )


def checked_type(value: Any, hint: Any, dotted: str) -> Any:
    """``value`` as the field wants it: ints count as floats, lists as tuples, None as itself.

    ``hint``: the field's type, None where it has none. Raises UserError for another type.
    """
    accepted = _plain_types(hint)
    if float in accepted and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if tuple in accepted and isinstance(value, list):
        return tuple(value)
    fits = isinstance(value, tuple(accepted)) if accepted else True
    if isinstance(value, bool) and accepted and bool not in accepted:
        fits = False
    if not fits:
        names = " or ".join(sorted("None" if t is type(None) else t.__name__ for t in accepted))
        raise UserError(f"{dotted} is {value!r}, expected {names}; correct the value")
    return value


def _plain_types(hint: Any) -> set[type]:
    """The runtime classes a type hint admits; empty where anything goes."""
    if hint is None or hint is Any:
        return set()
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        parts = [_plain_types(part) for part in typing.get_args(hint)]
        return set().union(*parts) if all(parts) else set()
    if origin is typing.Literal:
        return {type(choice) for choice in typing.get_args(hint)}
    if origin is not None:
        return {origin}
    return {hint} if isinstance(hint, type) else set()


def check_choice(dotted: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises UserError unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise UserError(f"{dotted} is {value!r}, expected one of {', '.join(choices)}; choose one")


def check_range(
    dotted: str, value: float, low: float, high: float = float("inf"), *, open_low: bool = False
) -> None:
    """Raises UserError unless low <= value <= high (low < value with ``open_low``)."""
    if not isinstance(value, int | float):  # an item of a tuple: its type was not checked before
        raise UserError(f"{dotted} is {value!r}, expected a number; correct the value")
    if not (low < value <= high if open_low else low <= value <= high):
        lower = f"above {low:g}" if open_low else f"at least {low:g}"
        upper = "" if high == float("inf") else f" and at most {high:g}"
        raise UserError(f"{dotted} is {value:g}, expected {lower}{upper}; correct the value")


def parse_text(settings_class: type, key: str, text: str, dotted: str) -> Any:
    """The value that ``text``, typed on a command line, has for the field ``key``.

    Numbers, True, False and None are written as in Python (true and false too); texts need no
    quotes; the items of a tuple stand between commas, in brackets or not. ``dotted`` names the
    field in messages. Raises UserError for a value of another type.
    """
    hint = typing.get_type_hints(settings_class)[key]
    return checked_type(_read_text(text, _plain_types(hint)), hint, dotted)


def _read_text(text: str, accepted: set[type]) -> Any:
    if accepted and accepted <= {str, type(None)}:
        return None if text == "None" and type(None) in accepted else text
    value = literal(text)
    if not accepted & {tuple, list} or isinstance(value, tuple | list):
        return value
    if isinstance(value, str) and ("," in value or not value):
        return tuple(literal(item.strip()) for item in value.split(",") if item.strip())
    if str in accepted:
        return text
    alone = accepted <= {tuple, list, type(None)} and not isinstance(value, tuple(accepted))
    return (value,) if alone else value


def literal(text: str) -> Any:
    """``text`` as a Python literal where it is one; else the text itself."""
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError):
        return text


@dataclasses.dataclass(frozen=True)
class KeyMeaning:
    """One key of a config, in words: what `describe` finds."""

    key: str
    type: str  # as annotated, or the choices of a Literal
    default: str  # as Python writes it; "required" where there is none
    meaning: str


def describe(settings_class: type) -> list[KeyMeaning]:
    """Every field of a settings dataclass. Its meaning is the comment behind it, else above it."""
    meanings: dict[str, str] = {}
    hints = typing.get_type_hints(settings_class)
    for part in reversed(settings_class.__mro__):
        if dataclasses.is_dataclass(part):
            meanings |= _comments(part)
    return [
        KeyMeaning(
            field.name,
            _type_text(hints[field.name]),
            _default_text(field),
            meanings.get(field.name, ""),
        )
        for field in dataclasses.fields(settings_class)
    ]


def _comments(settings_class: type) -> dict[str, str]:
    """Field -> its comment in the class's source; empty where there is no source."""
    try:
        source = textwrap.dedent(inspect.getsource(settings_class))
    except OSError:
        return {}
    comments, alone = {}, set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments[token.start[0]] = token.string.lstrip("# ")
            if not token.line[: token.start[1]].strip():
                alone.add(token.start[0])
    meanings = {}
    for node in ast.parse(source).body[0].body:  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            behind = [comments[line] for line in lines if line in comments]
            above: list[str] = []
            while node.lineno - 1 - len(above) in alone:
                above.append(comments[node.lineno - 1 - len(above)])
            meanings[node.target.id] = " ".join(behind or reversed(above))
    return meanings


def _type_text(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return " | ".join(str(choice) for choice in typing.get_args(hint))
    plain = isinstance(hint, type) and not typing.get_args(hint)
    return hint.__name__ if plain else str(hint).replace("typing.", "")


def _default_text(field: dataclasses.Field) -> str:
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    factory = field.default_factory
    return "required" if factory is dataclasses.MISSING else repr(factory())
