"""Every key of a configuration, as Markdown, made from the classes that read it: `iconoclip check --keys VERB`.

``docs/reference.md`` is what this gives for all verbs; a test compares them.
"""

import re
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic.fields import FieldInfo

from . import plugins
from .config import Config

_PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", Any: "anything"}
_BOUNDS = {Ge: ("ge", "≥"), Gt: ("gt", ">"), Le: ("le", "≤"), Lt: ("lt", "<")}


def describe_keys(model: type[Config], title: str) -> str:
    """A heading and a table of keys for ``model``, for every section it holds and for every plugin it may choose."""
    sections = list(dict.fromkeys(_sections(model)))
    parts = [f"## {title}\n\n{_section(model)}"]
    parts += [f"### {_heading(each)}\n\n{_section(each)}" for each in sections if each is not model]
    return "\n\n".join(parts) + "\n"


def _sections(model: type[Config]) -> Iterator[type[Config]]:
    """``model`` and what its fields mention, depth first, each possibly more than once."""
    yield model
    for field in model.model_fields.values():
        for part in _parts(field.annotation, field.metadata):
            yield from _sections(part)


def _parts(annotation: Any, metadata: Sequence[Any] = ()) -> Iterator[type[Config]]:
    """Configuration classes in an annotation; in place of a plugin's base class all its kinds."""
    chosen = [each for each in metadata if hasattr(getattr(each, "func", None), "package")]
    if chosen:
        package, base = chosen[0].func.package, chosen[0].func.base
        several = (plugins.load(package, kind, base) for kind in plugins.names(package))
        yield from (each for each in several if _kind(each))
    elif get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        yield from _parts(inner, marks)
    elif isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    else:
        for part in get_args(annotation):
            yield from _parts(part)


def _heading(model: type[Config]) -> str:
    kind = _kind(model)
    return f"`kind: {kind}` ({model.__name__})" if kind else model.__name__


def _kind(model: type[Config]) -> str:
    field = model.model_fields.get("kind")
    values = get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()
    return str(values[0]) if values else ""


def _section(model: type[Config]) -> str:
    text = re.sub(r"``|:class:|:meth:", lambda match: "`" if match[0] == "``" else "", _docstring(model))
    rows = [
        f"| `{name}` | {_type(field.annotation, field.metadata)}{_bounds(field)} | {_default(field)} |"
        for name, field in model.model_fields.items()
        if name not in ("verb", "kind") and get_args(field.annotation) != ("",)  # "": a parent's key, not for this kind
    ]
    table = "\n".join(["| key | value | default |", "|---|---|---|", *rows])
    return "\n\n".join(part for part in (text, table if rows else "No keys of its own.") if part)


def _docstring(model: type[Config]) -> str:
    text = model.__doc__ or ""
    lines = [line.removeprefix("    ") for line in text.strip().splitlines()]
    return "\n".join(lines).partition("\nRaises:")[0].strip()


def _type(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    if any(hasattr(getattr(each, "func", None), "package") for each in metadata):
        return "one of: " + ", ".join(f"`{_kind(each)}`" for each in _parts(annotation, metadata))
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inside[0], inside[1:])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inside)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(part) for part in inside if part is not type(None))
    if origin in (tuple, list, frozenset):
        several = [part for part in inside if part is not Ellipsis]
        return f"list of {_type(several[0])}" if len(set(several)) == 1 else ", ".join(map(_type, several))
    if origin is dict:
        return f"mapping of {_type(inside[0])} to {_type(inside[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return f"[{annotation.__name__}](#{_anchor(_heading(annotation))})"
    return _PLAIN.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _anchor(heading: str) -> str:
    """Anchor of a heading as GitHub makes it."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def _bounds(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(each, name):,}".replace(",000,000", " million")
        for each in field.metadata
        for kind, (name, sign) in _BOUNDS.items()
        if isinstance(each, kind)
    ]
    bounds += ["not empty" for each in field.metadata if isinstance(each, MinLen)]
    return f" ({', '.join(bounds)})" if bounds else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    value = field.get_default(call_default_factory=True, validated_data={})
    if field.default_factory is not None and value:
        return "as this machine has"
    if value is None or value == "":
        return ""
    if isinstance(value, Config):
        given = value.model_dump(mode="json", exclude_defaults=True, exclude={"kind"})
        return ", ".join(f"`{name}: {each}`" for name, each in given.items())
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list | dict | frozenset):
        return f"`{_plain(value)}`" if value else ""
    return f"`{value}`"


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return value.to_json()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value
