"""Load a YAML file plus ``key.sub=value`` overrides into a validated, frozen configuration.

``TrainConfig.load(Path("cfg.yaml"), ["optim.lr=1e-5", "models.0=hf-hub:org/name"])``. Scalars follow the YAML 1.2
core schema, stricter: ``no``, ``00123``, ``1888-05-01`` and the Iconclass notation ``71E11`` stay strings.
A ``run.json`` that a run wrote is a configuration file too: it repeats the run.
"""

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import ConfigError

Verb = Literal["prep", "train", "eval", "benchmark"]

_SHOWN_CHARS = 80


class Config(BaseModel):
    """Base of every configuration section: unknown keys are errors, instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @classmethod
    def load(cls, path: Path, overrides: Sequence[str] = ()) -> Self:
        """Read ``path`` (following ``base:``), apply ``overrides`` and validate.

        Raises:
            ConfigError: naming the file and every offending field at once.
        """
        try:
            return cls.validate_data(read_data(path, overrides), where=str(path))
        except ConfigError as error:
            if not is_abstract(path):
                raise
            raise ConfigError(f"{path}: a base for others (`abstract: true`), start one of those\n{error}") from None

    @classmethod
    def validate_data(cls, data: dict[str, Any], *, where: str) -> Self:
        """Validate a mapping; ``where`` is named in the error."""
        wanted = get_args(cls.model_fields["verb"].annotation) if "verb" in cls.model_fields else ()
        got = data.get("verb")
        if wanted and got in get_args(Verb) and got not in wanted:
            raise ConfigError(f"{where}: a file for `iconoclip {got}`, not for `iconoclip {wanted[0]}`")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError(_describe(error, cls, where)) from None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values that ``load`` reads back to an equal configuration."""
        return self.model_dump(mode="json", exclude_none=True)


def read_data(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the merged, unvalidated mapping of ``path``, its ``base:`` files and ``overrides``."""
    data = _read(path, seen=())
    data.pop("abstract", None)
    for item in overrides:
        _assign(data, item)
    return data


def is_abstract(path: Path) -> bool:
    """Say whether ``path`` is only there to be a ``base:`` of others."""
    return bool(_parse(path).get("abstract", False))


def verb_of(path: Path) -> Verb:
    """Return which command a configuration file is for."""
    verb = read_data(path).get("verb")
    if verb not in get_args(Verb):
        raise ConfigError(
            f"{path}: verb: got {verb!r}; write one of {', '.join(get_args(Verb))} at the top of the file"
        )
    return cast(Verb, verb)


def parse_value(text: str) -> Any:
    """Parse the right side of an override by the same rules as a file."""
    try:
        return yaml.load(text, Loader=_CoreLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"value {text!r}: {_one_line(error)}") from None


class _CoreLoader(yaml.SafeLoader):
    """YAML 1.2 core scalars only; duplicate keys are errors instead of silent overwrites."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        double = sorted({str(key) for key in keys if keys.count(key) > 1})
        if double:
            raise yaml.constructor.ConstructorError(
                None, None, f"key given twice: {', '.join(double)}", node.start_mark
            )
        return super().construct_mapping(node, deep)


_CoreLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"^(?:true|false)$", list("tf")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    # An exponent without a point needs a small e or a sign: 71E11 is Exodus, not a number.
    (
        "float",
        r"^[-+]?(?:(?:(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
        r"|(?:0|[1-9][0-9]*)(?:e[-+]?|E[-+])[0-9]+)$",
        list("-+.0123456789"),
    ),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


_CoreLoader.add_constructor("tag:yaml.org,2002:float", _float)


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; is the path right?") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text; is it a configuration file?") from None
    if path.suffix == ".json":
        return _parse_run(path, text)
    try:
        data = yaml.load(text, Loader=_CoreLoader) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {_one_line(error)}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(data).__name__}")
    return data


def _parse_run(path: Path, text: str) -> dict[str, Any]:
    try:
        return json.loads(text)["config"]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: not a run.json: it holds no `config`") from None


def _read(path: Path, *, seen: tuple[Path, ...]) -> dict[str, Any]:
    resolved = path.resolve()
    if resolved in seen:
        raise ConfigError(f"{path}: `base:` goes round in a circle")
    data = _parse(path)
    base = data.pop("base", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise ConfigError(f"{path}: base: expected a path, got {base!r}")
    under = _read(path.parent / base, seen=(*seen, resolved))
    under.pop("abstract", None)
    return _merge(under, data)


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def _assign(data: dict[str, Any], item: str) -> None:
    dotted, sep, text = item.partition("=")
    if not sep or not all(dotted.split(".")):
        raise ConfigError(f"override {item!r}: expected key.sub=value")
    *parents, leaf = dotted.split(".")
    target: Any = data
    for key in parents:
        if isinstance(target, list):
            target = target[_position(target, key, item, can_append=False)]
        else:
            if target.get(key) is None or isinstance(target[key], str):
                target[key] = {}  # a shorthand string (kind name, model) gives way to its long form
            target = target[key]
        if not isinstance(target, dict | list):
            raise ConfigError(f"override {item!r}: {key} is {target!r}, which has no {leaf!r}")
    if isinstance(target, list):
        position = _position(target, leaf, item, can_append=True)
        target[position : position + 1] = [parse_value(text)]
    else:
        target[leaf] = parse_value(text)


def _position(values: list[Any], key: str, item: str, *, can_append: bool) -> int:
    last = len(values) if can_append else len(values) - 1
    if not key.isdigit() or int(key) > last:
        raise ConfigError(f"override {item!r}: {key!r} is not a position from 0 to {last}")
    return int(key)


def _describe(error: ValidationError, model: type[BaseModel], where: str) -> str:
    problems = error.errors(include_url=False, include_context=False)
    lines = [f"{where}: {len(problems)} problem{'s' if len(problems) > 1 else ''}"]
    for problem in problems:
        loc = tuple(part for part in problem["loc"] if not str(part).startswith("function-"))
        message = problem["msg"].removeprefix("Value error, ")
        shown = "" if problem["type"] == "missing" else f" (got {_short(problem['input'])})"
        if isinstance(problem["input"], dict):  # a whole section: what was got stands in the file, perhaps with a key
            shown = ""
        if problem["type"] == "extra_forbidden":
            message, shown = f"unknown key{_hint(model, loc)}", ""
        if problem["type"] == "string_type" and isinstance(problem["input"], int | float):
            message += "; put it in quotes"
        lines.append(f"  {'.'.join(str(part) for part in loc) or '(file)'}: {message}{shown}")
    return "\n".join(lines)


def _hint(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    known = sorted({name for section in _sections(model) for name in section.model_fields} - {str(loc[-1])})
    near = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _sections(model: Any) -> Iterator[type[BaseModel]]:
    """Yield ``model``, every configuration class that its fields mention, and the plugins that are loaded."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        yield model
        for plugin in model.__subclasses__():
            yield from _sections(plugin)
        for field in model.model_fields.values():
            yield from _sections(field.annotation)
    else:
        for argument in get_args(model):
            yield from _sections(argument)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
