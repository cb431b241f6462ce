"""Imports point down (cli -> verbs -> core), and every file keeps to the rules that a machine can check."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VERBS = ("data_prep", "train", "eval")
PACKAGES = ("iconoclip", *VERBS)
COMPOSITION_ROOT = Path("iconoclip/cli.py")  # the one file that sees everything; nothing imports it
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> list[tuple[int, str, bool]]:
    """Line, absolute name of the imported module, and whether it was imported relatively."""
    package = list(path.relative_to(ROOT).parent.parts)
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, False) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            found.append((node.lineno, ".".join([*above, node.module or ""]).rstrip("."), True))
        elif isinstance(node, ast.ImportFrom):
            found.append((node.lineno, node.module or "", False))
    return found


@pytest.mark.parametrize("path", FILES, ids=names)
def test_imports_point_down(path: Path) -> None:
    place = path.relative_to(ROOT)
    if place == COMPOSITION_ROOT:
        return
    package, wrong = place.parts[0], []
    for line, target, is_relative in imports(path):
        top = target.partition(".")[0]
        if top in VERBS and top != package:
            wrong.append(f"{place}:{line} imports {target}: a verb is seen by the command line only")
        if top == package and not is_relative:
            wrong.append(f"{place}:{line} imports {target} absolutely; inside a package write it relatively")
        if target == "iconoclip.cli" and path.name != "__main__.py":
            wrong.append(f"{place}:{line} imports the command line")
    assert not wrong, "\n".join(wrong)


HEAVY = {
    "torch", "torchvision", "open_clip", "datasets", "transformers", "timm", "accelerate", "sklearn", "scipy", "peft",
    "matplotlib", "pandas", "wandb", "webdataset", "pyarrow", "numpy", "codecarbon", "huggingface_hub",
}  # fmt: skip
LIGHT = [
    "iconoclip/cli.py", "iconoclip/check.py", "iconoclip/doctor.py", "iconoclip/config.py", "iconoclip/plugins.py",
    "iconoclip/errors.py", "iconoclip/log.py", "iconoclip/files.py", "iconoclip/records.py",
    *(f"{verb}/config.py" for verb in VERBS),
]  # fmt: skip


@pytest.mark.parametrize("name", LIGHT)
def test_help_and_check_load_nothing_heavy(name: str) -> None:
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    for node in tree.body:
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module or ""]
        assert not HEAVY & {module.partition(".")[0] for module in modules}, f"{name}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=names)
def test_every_module_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name != "__init__.py" or text.strip():
        assert ast.get_docstring(ast.parse(text)), f"{names(path)} has no docstring"


@pytest.mark.parametrize("path", FILES, ids=names)
def test_only_the_command_line_prints(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        is_print = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        assert not is_print or path.name == "cli.py", f"{names(path)}:{getattr(node, 'lineno', 0)}"


def test_every_dependency_has_its_sentence() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    listed = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert dependencies() == listed


def test_every_dependency_is_pinned() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in pins}
    assert {name.lower().replace("_", "-") for name in dependencies()} <= pinned
    assert not [line for line in pins if line and not line.startswith("#") and "==" not in line]


def dependencies() -> set[str]:
    """Names of all packages in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return {re.split(r"[\[<>=!~; ]", requirement)[0] for group in groups for requirement in group}
