"""Choose an implementation by the name of its module.

A plugin package (``train.losses``, ``data_prep.sources``, ``eval.benchmarks``) holds one module per choice, and each
module defines one subclass of the package's base class. ``kind: siglip`` in a configuration picks
``train/losses/siglip.py``; there is no table to edit.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def names(package: str) -> list[str]:
    """Names of the choices in ``package``, sorted; ``base`` and ``_private`` modules are none."""
    path = importlib.import_module(package).__path__
    found = (module.name for module in pkgutil.iter_modules(path))
    return sorted(name for name in found if name != "base" and not name.startswith("_"))


def load(package: str, kind: str, base: type[T]) -> type[T]:
    """Return the subclass of ``base`` that ``package/kind.py`` defines.

    Raises:
        ValueError: there is no such module; names the nearest one, or all of them.
    """
    known = names(package)
    if kind not in known:
        near = difflib.get_close_matches(str(kind), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; choose from {', '.join(known)}"
        raise ValueError(f"unknown kind {kind!r}{hint}")
    module = importlib.import_module(f"{package}.{kind}")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
    ]
    if len(found) != 1:
        raise TypeError(f"{package}.{kind} must define one {base.__name__}, found {len(found)}")
    return found[0]


def choose(package: str, base: type[T]) -> Callable[[Any], Any]:
    """Return a pydantic ``BeforeValidator`` function: ``kind`` or ``{kind: ..., ...}`` -> instance.

    Use as ``loss: SerializeAsAny[Annotated[Loss, BeforeValidator(choose("train.losses", Loss))]]``.
    """

    def validate(value: Any) -> Any:
        if isinstance(value, str):
            value = {"kind": value}
        if not isinstance(value, dict):
            return value
        if "kind" not in value:
            raise ValueError(
                f"`kind` is missing; choose from {', '.join(names(package))} (a key of its own takes the place of the "
                "short form: give `kind` beside it)"
            )
        return load(package, value["kind"], base).model_validate(value)  # type: ignore[attr-defined]

    validate.package, validate.base = package, base  # type: ignore[attr-defined]  # for the reference of keys
    return validate
