"""Read a folder as CLIP_benchmark (and DataComp) have it: ``classnames.txt``, ``test/nshards.txt``, ``test/0.tar``.

What others write is read, and what :mod:`eval.export_clip_benchmark` writes; a ``.json`` member of ours gives the
picture's identifier, work and languages.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from iconoclip.errors import EvaluationError, ShardError
from iconoclip.shards import ShardSet, open_shards

from .benchmark_files import ABOUT, BenchmarkFile, BenchmarkTask
from .benchmark_read import Item, Items

CLASSES, TEMPLATES, KIND, COUNT = (
    "classnames.txt", "zeroshot_classification_templates.txt", "dataset_type.txt", "nshards.txt",
)  # fmt: skip
# classnames.txt stands for one language; which one is not written there.
UNTOLD_LANGUAGE = "en"


class JoinedStore:
    """Pictures of several splits, one behind the other."""

    def __init__(self, parts: list[ShardSet]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part) for part in parts)])

    def image_bytes(self, position: int) -> bytes:
        """Encoded picture."""
        part = int(np.searchsorted(self._starts, position, side="right")) - 1
        return self._parts[part].image_bytes(position - int(self._starts[part]))

    def text(self, position: int) -> str:
        """None: captions lie in the items."""
        return ""


def is_wds(home: Path) -> bool:
    """Whether a folder is laid out as CLIP_benchmark has them."""
    return any(home.glob(f"*/{COUNT}"))


def describe_wds(home: Path, name: str) -> BenchmarkFile:
    """The benchmark that a folder of others is: task, classes and templates from its text files.

    Raises:
        EvaluationError: the text files do not fit each other.
    """
    splits = sorted(path.parent.name for path in home.glob(f"*/{COUNT}"))
    values: dict[str, Any] = {
        "verb": "benchmark",
        "name": name,
        "title": f"{name.replace('_', ' ')} (CLIP_benchmark layout)",
        "layout": "clip_benchmark",
        "task": _task(home),
        "split": "test" if "test" in splits else splits[0],
    }
    if values["task"] != "retrieval":
        names = class_keys(_lines(home / CLASSES))
        values["classes"] = {key: {UNTOLD_LANGUAGE: text} for key, text in names.items()}
        values["templates"] = {UNTOLD_LANGUAGE: [_template(line, home) for line in _lines(home / TEMPLATES)]}
    return BenchmarkFile.validate_data(values, where=str(home))


def class_keys(names: list[str]) -> dict[str, str]:
    """Key of each class, in order: its name, or name and number where two are called the same."""
    return {name if names.count(name) == 1 else f"{name} #{number}": name for number, name in enumerate(names)}


def read_wds(home: Path) -> Items:
    """Items of all splits that have an ``nshards.txt``.

    Raises:
        EvaluationError: there is none, shards are missing, or a label is not of this list of classes.
    """
    task = _task(home)
    keys = list(class_keys(_lines(home / CLASSES))) if task != "retrieval" else []
    items, parts, problems = list[Item](), list[ShardSet](), list[str]()
    for path in sorted(home.glob(f"*/{COUNT}")):
        part = _open(path)
        start = sum(map(len, parts))
        for position in range(len(part)):
            where = f"{path.parent.name}/{part.paths[part.shard_of[position]].name}, {part.keys[position]}"
            try:
                items.append(_item(part, position, start + position, where, path.parent.name, task, keys))
            except EvaluationError as error:
                problems.append(str(error))
        parts.append(part)
    if not items:
        why = f" ({problems[0]})" if problems else f"; is it a folder with a {COUNT} in each split?"
        raise EvaluationError(f"{home}: no samples that can be read{why}")
    return Items(tuple(items), JoinedStore(parts), tuple(problems))


def _open(path: Path) -> ShardSet:
    folder = path.parent
    try:
        count = int(path.read_text(encoding="ascii").strip())
    except ValueError:
        raise EvaluationError(f"{path}: not a whole number; it says how many shards there are") from None
    missing = [f"{number}.tar" for number in range(count) if not (folder / f"{number}.tar").is_file()]
    if missing or not count:
        listed = f"{', '.join(missing[:3])} missing" if missing else "it says 0"
        raise EvaluationError(f"{path}: says {count} shards, {listed}; copy the folder again")
    try:
        return open_shards(folder)
    except ShardError as error:
        raise EvaluationError(str(error)) from None


def _item(
    part: ShardSet, position: int, place: int, where: str, split: str, task: BenchmarkTask, keys: list[str]
) -> Item:
    members = part.extensions(position)
    if not {"jpg", "jpeg", "png", "webp"} & set(members):
        raise EvaluationError(f"{where}: no picture among {', '.join(members)}")
    known = _ours(part, position) if "json" in members else {}
    labels, captions = (), ()
    if task == "retrieval":
        texts = [text for line in part.text(position).splitlines() if (text := " ".join(line.split()))]
        languages = known.get("languages") or []
        captions = tuple((text, languages[i] if i < len(languages) else "und") for i, text in enumerate(texts))
    else:
        wanted = "npy" if task == "multilabel" else "cls"
        if wanted not in members:
            raise EvaluationError(f"{where}: no .{wanted} among {', '.join(members)}")
        labels = tuple(keys[number] for number in _numbers(part.read(position, wanted), wanted, len(keys), where))
    return Item(
        id=str(known.get("id") or f"{split}/{part.keys[position]}"),
        place=place,
        where=where,
        split=split,
        labels=labels,
        captions=captions,
        work=str(known.get("work") or ""),
        about={name: str(known[name]) for name in ABOUT if known.get(name)},
    )


def _numbers(data: bytes, extension: str, count: int, where: str) -> list[int]:
    try:
        if extension == "cls":
            found = [int(data.decode("ascii"))]
        else:
            hot = np.load(io.BytesIO(data), allow_pickle=False)
            if hot.shape != (count,):
                raise EvaluationError(f"{where}: .npy of shape {hot.shape}, {CLASSES} has {count} classes")
            found = [int(number) for number in np.flatnonzero(hot)]
    except (ValueError, EOFError):
        raise EvaluationError(f"{where}: .{extension} cannot be read as a label") from None
    if any(not 0 <= number < count for number in found):
        raise EvaluationError(f"{where}: class {found[0]}, {CLASSES} has 0 to {count - 1}")
    return found


def _ours(part: ShardSet, position: int) -> dict[str, Any]:
    try:
        data = json.loads(part.read(position, "json"))
    except ValueError:
        return {}
    return data if isinstance(data, dict) and "id" in data else {}


def _task(home: Path) -> BenchmarkTask:
    path = home / KIND
    kind = path.read_text(encoding="utf-8").strip().lower() if path.is_file() else "classification"
    if kind in ("classification", "retrieval", "multilabel"):
        return kind
    raise EvaluationError(f"{path}: got {kind!r}; it says retrieval or multilabel, and is absent for classification")


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise EvaluationError(f"{path}: not there; CLIP_benchmark needs it for classification")
    lines = [" ".join(line.split()) for line in path.read_text(encoding="utf-8").splitlines()]
    if not lines or not all(lines):
        where = f"line {lines.index('') + 1} is blank" if lines else "it is empty"
        raise EvaluationError(f"{path}: {where}; it has a class or template a line")
    return lines


def _template(line: str, home: Path) -> str:
    """``a photo of {c}.`` -> ``a photo of {}.``."""
    text = line.replace("{c}", "\0")
    if text.count("\0") != 1 or "{" in text or "}" in text:
        raise EvaluationError(f"{home / TEMPLATES}: {line!r} needs one {{c}} and no other braces")
    return text.replace("\0", "{}")
