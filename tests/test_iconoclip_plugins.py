"""Plugins: a module is a choice, and a wrong name says which ones there are."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BeforeValidator, SerializeAsAny

from iconoclip import plugins
from iconoclip.config import Config
from iconoclip.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("data_prep.sources", "data_prep.filters", "train.losses", "eval.benchmarks", "eval.tasks")

BASE = "from iconoclip.config import Config\nclass Shape(Config):\n    kind: str\n    size: float = 1\n"


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A plugin package with two choices, one module that defines two classes, and files that are no choices."""
    package = tmp_path / "shapes_of_a_test"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "base": BASE,
        "_hidden": "",
        "circle": "from .base import Shape\nclass Circle(Shape):\n    radius: int = 2\n",
        "square": "from .base import Shape\nclass _Helper(Shape): pass\nclass Square(Shape): pass\n",
        "twins": "from .base import Shape\nclass A(Shape): pass\nclass B(Shape): pass\n",
    }.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package.name
    for name in [name for name in sys.modules if name.startswith(package.name)]:
        del sys.modules[name]


def drawing(shapes: str) -> type[Config]:
    import importlib

    shape = importlib.import_module(f"{shapes}.base").Shape
    field = SerializeAsAny[Annotated[shape, BeforeValidator(plugins.choose(shapes, shape))]]
    return type("Drawing", (Config,), {"__annotations__": {"shape": field}, "__module__": __name__})


def test_modules_are_choices_but_base_and_hidden_ones_are_not(shapes: str) -> None:
    assert plugins.names(shapes) == ["circle", "square", "twins"]


def test_kind_picks_the_module_s_class_in_short_and_long_form(shapes: str) -> None:
    model = drawing(shapes)
    short = model.validate_data({"shape": "circle"}, where="x")
    long = model.validate_data({"shape": {"kind": "circle", "radius": 2}}, where="x")
    assert short == long
    assert type(short.shape).__name__ == "Circle"  # type: ignore[attr-defined]
    assert short.to_json() == {"shape": {"kind": "circle", "size": 1.0, "radius": 2}}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("cirlce", "unknown kind 'cirlce'; did you mean 'circle'"),
        ("zzz", "unknown kind 'zzz'; choose from circle, square, twins"),
        ("base", "unknown kind 'base'"),
        ({"size": 2}, "`kind` is missing; choose from circle, square, twins"),
        ({"kind": 5}, "unknown kind 5"),
        ({"kind": "circle", "radius": "x"}, "radius"),
        ({"kind": "circle", "raduis": 3}, "raduis"),
        (7, "should be a valid dictionary"),
    ],
)
def test_wrong_kinds_say_what_there_is(value: object, said: str, shapes: str) -> None:
    with pytest.raises(ConfigError, match=said):
        drawing(shapes).validate_data({"shape": value}, where="x")


def test_a_module_must_define_one_class(shapes: str) -> None:
    import importlib

    with pytest.raises(TypeError, match="must define one Shape, found 2"):
        plugins.load(shapes, "twins", importlib.import_module(f"{shapes}.base").Shape)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_plugin_says_what_it_is_and_defines_one_class(package: str) -> None:
    folder = ROOT / package.replace(".", "/")
    for name in plugins.names(package):
        tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{package}.{name} has no docstring"
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
        assert classes, f"{package}.{name} defines no class"
        for node in classes:
            assert ast.get_docstring(node), f"{package}.{name}.{node.name} has no docstring"
