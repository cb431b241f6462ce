"""Benchmarks as they lie in the cache: what was asked, of which pictures, without the pictures.

``benchmarks/<name>@<revision>/`` in the cache holds ``benchmark.json`` (records, tasks and facts), what the free
baselines know of the pictures' colours and shapes, and which of them training had seen. With the embeddings beside them
that is all that a table is made from, so a cache can be published and ``from_cache: true`` repeats its tables.
"""

import contextlib
import importlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from iconoclip.errors import EvaluationError, ShardError
from iconoclip.files import atomic_path, sha256_json, write_text
from iconoclip.shards import Manifest

from .baselines import DESCRIBED_BY
from .benchmarks.base import Benchmark, Prepared
from .config import EvalConfig
from .data import Pictures

if TYPE_CHECKING:
    from .contamination import Leaks
    from .contestants import Contestant

_log = logging.getLogger(__name__)

_KIND = "="  # names the kind of a JSON object that is no plain mapping
_PICTURES = "pictures"
_LOOKS = "looks.safetensors"
_PACKAGES = ("eval.", "iconoclip.")
# Where the data lies says nothing of what it is; the revision is compared by itself.
_PLACES = ("root", "path", "revision")


class KeptPictures:
    """Stands where pictures were; ``texts`` are their default captions."""

    def __init__(self, name: str, texts: tuple[str, ...]) -> None:
        self._name, self._texts = name, texts

    def image_bytes(self, position: int) -> bytes:
        """Never there.

        Raises:
            EvaluationError: says so.
        """
        raise EvaluationError(f"{self._name}: the cache holds no pictures, and something asks for number {position}")

    def text(self, position: int) -> str:
        """Default caption."""
        return self._texts[position] if self._texts else ""


class KeptBenchmarks:
    """The benchmarks of one evaluation of some models in its cache."""

    def __init__(self, config: EvalConfig, contestants: Sequence["Contestant"] = ()) -> None:
        self._config = config
        self._contestants = contestants
        self._root = config.cache_folder / "benchmarks"

    def keep(self, benchmark: Benchmark, ready: Prepared) -> None:
        """Write a benchmark and what its free baselines made of the pictures, as far as it is not there."""
        if self._config.from_cache:
            return
        folder = self._folder(benchmark, ready.pictures)
        try:
            about: dict[str, Any] = {"asked": _asked(benchmark), "written": benchmark.written_sha256}
            about[_PICTURES] = _describe(ready.pictures)
            about["prepared"] = encode(ready, ready.pictures)
        except TypeError as error:
            _log.warning("%s: is not kept in the cache (%s)", benchmark.shown_name, error)
            return
        _write_json(folder / "benchmark.json", about)
        known = dict(sorted(ready.pictures.descriptors.items()))
        if known:
            looks = {"positions": np.array(list(known)), "descriptors": np.stack(list(known.values()))}
            _write_looks(folder / _LOOKS, looks | ready.pictures.nearest_looking)

    def open(self, benchmark: Benchmark) -> Prepared:
        """The benchmark as an earlier evaluation asked it.

        Raises:
            EvaluationError: it is not in the cache, in this form, or there in several revisions.
        """
        name, wanted = benchmark.shown_name, getattr(benchmark, "revision", "")
        found = {}
        for path in sorted(self._root.glob(f"{name}@{wanted or '*'}/benchmark.json")):
            about = _read_json(path)
            if about is not None and about["asked"] == _asked(benchmark):
                found[path.parent.name] = about
        if len(found) != 1:
            why = f"there are {', '.join(found)}; remove all but one, or name a `revision`" if found else (
                "it is not there as it is asked here; evaluate once with the pictures and these options"
            )  # fmt: skip
            raise EvaluationError(f"{self._root}: {why}")
        about = next(iter(found.values()))
        written = benchmark.written_sha256
        if written and about.get("written") not in (None, written):
            raise EvaluationError(
                f"{name}: its file was changed since it was evaluated; evaluate again with the pictures, or take the "
                "file away"
            )
        pictures = _restore(name, about[_PICTURES])
        return decode(about["prepared"], pictures)

    def recall_looks(self, benchmark: Benchmark, pictures: Pictures) -> None:
        """Give the pictures the descriptors, and the nearest by them, that were made before."""
        found = _read_looks(self._folder(benchmark, pictures) / _LOOKS)
        if found:
            pictures.descriptors.update(zip(found.pop("positions").tolist(), found.pop("descriptors"), strict=True))
            pictures.nearest_looking.update(found)

    def keep_leaks(self, name: str, pictures: Pictures, leaks: "Leaks", train_sets: list[str]) -> None:
        """Write which pictures training had seen, and the names of the training sets."""
        if not self._config.from_cache:
            _write_json(self._leaks_path(name, pictures), {"leaks": encode(leaks), "train_sets": train_sets})

    def leaks(self, name: str, pictures: Pictures) -> "tuple[Leaks, list[str]]":
        """What :meth:`keep_leaks` wrote for the same models and options.

        Raises:
            EvaluationError: it is not there.
        """
        path = self._leaks_path(name, pictures)
        found = _read_json(path)
        if found is None:
            raise EvaluationError(
                f"{path}: not there: which pictures of {name} training had seen was not looked for with these models "
                "and options; `contamination.by=[]` does without"
            )
        return decode(found["leaks"]), found["train_sets"]

    def _folder(self, benchmark: Benchmark, pictures: Pictures) -> Path:
        return self._root / f"{benchmark.shown_name}@{pictures.revision}"

    def _leaks_path(self, name: str, pictures: Pictures) -> Path:
        return self._root / f"{name}@{pictures.revision}" / f"seen-{self._training_sha256[:12]}.json"

    @cached_property
    def _training_sha256(self) -> str:
        """Hash of what decides which training pictures are looked through; where they and the models lie does not."""
        options = self._config.to_json()["contamination"]
        folders = [self._config.shards, *self._config.contamination.train]
        sets = [_content(folder) for folder in folders if folder is not None]
        return sha256_json([options | {"train": sets}, [each.weights_sha256([None]) for each in self._contestants]])


def _content(folder: Path) -> str:
    """Hash of the training shards of a set; of one that is not there its name."""
    try:
        shards = Manifest.read(folder).shards
    except ShardError:
        return str(folder)
    return sha256_json(sorted(shard.sha256 for shard in shards if shard.split == "train"))


def encode(value: Any, pictures: Pictures | None = None) -> Any:
    """JSON value of plain values and of dataclasses of ours; ``pictures`` become a reference.

    Raises:
        TypeError: something else, such as a function.
    """
    if value is None or isinstance(value, bool | float | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if pictures is not None and value is pictures:
        return {_KIND: _PICTURES}
    if isinstance(value, tuple):
        return [encode(each, pictures) for each in value]
    if isinstance(value, list):
        return {_KIND: "list", "items": [encode(each, pictures) for each in value]}
    if isinstance(value, frozenset | set):
        return {_KIND: "set", "items": sorted(encode(each, pictures) for each in value)}
    if isinstance(value, Mapping):
        return {_KIND: "map", "items": [[encode(k, pictures), encode(v, pictures)] for k, v in value.items()]}
    kind = type(value)
    if is_dataclass(value) and kind.__module__.startswith(_PACKAGES):
        own = {name: encode(each, pictures) for name, each in _changed_fields(value)}
        return {_KIND: f"{kind.__module__}:{kind.__qualname__}"} | own
    raise TypeError(f"{kind.__module__}.{kind.__qualname__} cannot be written down")


def decode(value: Any, pictures: Pictures | None = None) -> Any:
    """What :func:`encode` wrote.

    Raises:
        EvaluationError: it names something that is no dataclass of ours.
    """
    if isinstance(value, list):
        return tuple(decode(each, pictures) for each in value)
    if not isinstance(value, dict):
        return value
    kind = value[_KIND]
    if kind == _PICTURES:
        return pictures
    if kind == "list":
        return [decode(each, pictures) for each in value["items"]]
    if kind == "set":
        return frozenset(decode(each, pictures) for each in value["items"])
    if kind == "map":
        return {decode(k, pictures): decode(v, pictures) for k, v in value["items"]}
    return _class_of(kind)(**{name: decode(each, pictures) for name, each in value.items() if name != _KIND})


def _changed_fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Fields that differ from their defaults: most of a record's are empty."""
    for field in fields(value):
        own = getattr(value, field.name)
        if field.init and (field.default is MISSING or (field.default is not own and field.default != own)):
            yield field.name, own


def _class_of(kind: str) -> Any:
    module, _, name = kind.partition(":")
    found = None
    if module.startswith(_PACKAGES):
        with contextlib.suppress(ModuleNotFoundError):
            found = getattr(importlib.import_module(module), name, None)
    if not (isinstance(found, type) and is_dataclass(found)):
        raise EvaluationError(
            f"a benchmark in the cache names {kind!r}, which this version does not have; make it again"
        )
    return found


def _asked(benchmark: Benchmark) -> str:
    return sha256_json({name: value for name, value in benchmark.to_json().items() if name not in _PLACES})


def _describe(pictures: Pictures) -> dict[str, Any]:
    texts = [pictures.default_text(position) for position in range(len(pictures))]
    return {
        "revision": pictures.revision,
        "records": [encode(record) for record in pictures.records],
        "folds": list(pictures.folds),
        "texts": texts if any(texts) else [],
        "not_passed_on": sorted(pictures.not_passed_on),
    }


def _restore(name: str, about: dict[str, Any]) -> Pictures:
    store = KeptPictures(name, tuple(about["texts"]))
    records = decode(about["records"])
    return Pictures(
        records=records,
        folds=tuple(about["folds"]),
        revision=about["revision"],
        places=tuple((store, position) for position in range(len(records))),
        not_passed_on=frozenset(about["not_passed_on"]),
    )


def _read_looks(path: Path) -> dict[str, np.ndarray]:
    """Tensors of a file; none where it is missing, damaged, or of another way to describe pictures."""
    try:
        with safe_open(path, framework="np") as file:
            if (file.metadata() or {}).get("described_by") == DESCRIBED_BY:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, OSError):
        pass
    return {}


def _write_looks(path: Path, tensors: dict[str, np.ndarray]) -> None:
    there = _read_looks(path)
    if {name: len(rows) for name, rows in there.items()} == {name: len(rows) for name, rows in tensors.items()}:
        return
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"described_by": DESCRIBED_BY})
        temporary.chmod(0o644)


def _write_json(path: Path, value: Any) -> None:
    """Write compact JSON where it is not what lies there: a cache may be one that only its owner can write."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
