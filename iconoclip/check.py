"""Validate configuration files without a GPU, data or torch: ``iconoclip check configs/``.

Every file is checked, and all mistakes of all files come in one text. The command line passes the configuration classes
in, since this package may not import the verbs.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from .config import Config, is_abstract, read_data, verb_of
from .errors import ConfigError, IconoclipError


def check_configs(paths: Sequence[Path], load: Callable[[str], type[Config]]) -> tuple[str, bool]:
    """Check every YAML file under ``paths``; ``load(verb)`` gives the class that a file must fit.

    Abstract files are checked through their children only; one that no file is based on is counted as such.

    Returns:
        What to print, and whether all files are right.

    Raises:
        IconoclipError: a path does not exist, or there is no YAML file under any of them.
    """
    files = find_configs(paths)
    problems, num_abstract = [], 0
    for path in files:
        try:
            if is_abstract(path):
                num_abstract += 1
            else:
                _check(path, load)
        except ConfigError as error:
            problems.append(str(error))
    num_right = len(files) - len(problems) - num_abstract
    lines = [*problems, f"{_count(num_right, 'configuration')} right, {len(problems)} with mistakes"]
    if num_abstract:
        lines[-1] += f", {num_abstract} abstract (checked through those based on them)"
    return "\n".join(lines), not problems


def _check(path: Path, load: Callable[[str], type[Config]]) -> None:
    verb = verb_of(path)
    try:
        model = load(verb)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    model.validate_data(read_data(path), where=str(path))


def find_configs(paths: Sequence[Path]) -> list[Path]:
    """YAML files among and under ``paths``, sorted, each once; hidden folders are left out."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
                if file.suffix in (".yaml", ".yml") and file.is_file() and not hidden:
                    found[file] = None
        elif path.is_file():
            found[path] = None
        else:
            raise IconoclipError(f"{path}: not there; give YAML files or folders of them")
    if not found:
        raise IconoclipError(f"{', '.join(map(str, paths))}: no YAML file there")
    return list(found)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
