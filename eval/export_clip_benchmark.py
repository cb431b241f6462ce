"""Write a benchmark as CLIP_benchmark reads it, so that ``clip_benchmark eval`` runs on it unchanged.

What stops it or changes its figures is met here: at least eight shards, since fewer than workers stop it; keys
``s0000000`` without a dot; members of a sample side by side; every picture decoded before, plain and upright; one line
a caption and none blank; templates with ``{c}`` and no other braces; labels in ``.cls`` or ``.npy`` and all else in
``.json``; a ``README.md`` with the commands that need no guessing.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iconoclip.errors import EvaluationError
from iconoclip.files import atomic_path, write_json, write_text

from .benchmark_files import FILE_NAME, BenchmarkFile, write_benchmark_file
from .benchmark_pictures import find_broken, plain_picture
from .benchmark_read import Item, Items
from .benchmark_wds import CLASSES, COUNT, KIND, TEMPLATES, class_keys

# A loader with more workers than shards stops; four are its default.
_MIN_SHARDS = 8
_MAX_SAMPLES = 10_000
_MAX_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Written:
    """What was exported: samples and shards of each split, and what was left out."""

    samples: dict[str, int]
    shards: dict[str, int]
    left_out: dict[str, int]


def export_clip_benchmark(file: BenchmarkFile, items: Items, out: Path) -> Written:
    """Write ``out``; its first language is what ``clip_benchmark`` asks without further files.

    Raises:
        EvaluationError: ``out`` is not empty, or nothing can be exported.
    """
    if out.exists() and any(out.iterdir()):
        raise EvaluationError(f"{out}: is there and not empty; give another folder")
    broken = find_broken(items.store, [item.place for item in items.items])
    left_out = {"cannot be decoded": len(broken), "rows without a picture": len(items.problems)}
    good = [item for item in items.items if item.place not in broken]
    usable = [item for item in good if (item.captions if file.task == "retrieval" else item.labels)]
    left_out["without a label or caption"] = len(good) - len(usable)
    keys = _class_keys(file, usable)
    left_out["classes without a picture"] = len(file.classes) - len(keys)
    splits: dict[str, list[Item]] = {}
    for item in usable:
        if file.task != "classification" or item.labels[0] in keys:
            splits.setdefault(item.split or file.split, []).append(item)
    if not splits.get(file.split):
        raise EvaluationError(f"{file.name}: no item of split {file.split!r} can be exported")
    # `train`, `val` and `test` are the names that its options have by default.
    renamed = {("test" if split == file.split else split): found for split, found in splits.items()}
    shards = {split: _write_split(out / split, found, items, file, keys) for split, found in renamed.items()}
    _write_texts(out, file, keys)
    written = Written(
        {split: len(found) for split, found in renamed.items()}, shards, {why: n for why, n in left_out.items() if n}
    )
    _write_own_file(out, file, keys)
    write_text(out / "README.md", _readme(file, written))
    return written


def _class_keys(file: BenchmarkFile, items: Sequence[Item]) -> list[str]:
    """Classes to export; of several labels a picture, those without a positive would be averaged in as 0."""
    if file.task != "multilabel":
        return list(file.classes)
    present = {label for item in items if item.split in ("", file.split) for label in item.labels}
    return [label for label in file.classes if label in present]


def _write_split(folder: Path, found: Sequence[Item], items: Items, file: BenchmarkFile, keys: list[str]) -> int:
    """Write the tars of one split and ``nshards.txt`` last; return how many there are."""
    runs = list(_runs(found, items))
    number = 0
    for shard, run in enumerate(runs):
        with (
            atomic_path(folder / f"{shard}.tar") as temporary,
            tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for item in run:
                for extension, data in _members(item, items, file, keys):
                    member = tarfile.TarInfo(f"s{number:07d}.{extension}")  # mtime, uid and gid are 0
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
                number += 1
    write_text(folder / COUNT, f"{len(runs)}\n")
    return len(runs)


def _runs(found: Sequence[Item], items: Items) -> Iterator[Sequence[Item]]:
    """Items in order, cut into at least eight shards (or one an item), none too large."""
    sizes = [len(items.store.image_bytes(item.place)) for item in found]
    wanted = max(min(_MIN_SHARDS, len(found)), -(-len(found) // _MAX_SAMPLES), -(-sum(sizes) // _MAX_BYTES))
    for places in np.array_split(np.arange(len(found)), wanted):
        yield [found[int(place)] for place in places]


def _members(item: Item, items: Items, file: BenchmarkFile, keys: list[str]) -> Iterator[tuple[str, bytes]]:
    picture, extension = plain_picture(items.store.image_bytes(item.place))
    if file.task == "retrieval":
        yield "txt", "\n".join(_one_line(text) for text, _ in item.captions).encode()
    elif file.task == "classification":
        yield "cls", str(keys.index(item.labels[0])).encode()
    else:
        buffer = io.BytesIO()
        np.save(buffer, np.array([key in item.labels for key in keys], dtype=np.int64))
        yield "npy", buffer.getvalue()
    yield extension, picture
    about = {"id": item.id, "work": item.work, "languages": [language for _, language in item.captions]}
    yield "json", json.dumps({**about, **item.about}, ensure_ascii=False).encode()


def _write_texts(out: Path, file: BenchmarkFile, keys: list[str]) -> None:
    if file.task != "classification":
        write_text(out / KIND, f"{file.task}\n")
    if file.task == "retrieval":
        return
    first, *_ = file.languages
    write_text(out / CLASSES, "".join(f"{name}\n" for name in _names(file, keys, first)))
    write_text(out / TEMPLATES, "".join(f"{_template(text)}\n" for text in file.templates[first]))
    for language in file.languages:
        # `--language` does not touch wds/ data sets: the texts of the others are given as files, keyed by name.
        folder = out / "i18n" / language
        write_json(folder / "classnames.json", {f"wds/{file.name}": _names(file, keys, language)})
        write_json(folder / "templates.json", {f"wds/{file.name}": [_template(t) for t in file.templates[language]]})


def _names(file: BenchmarkFile, keys: list[str], language: str) -> list[str]:
    return [_one_line(file.classes[key][language]) for key in keys]


def _template(text: str) -> str:
    before, _, after = _one_line(text).partition("{}")
    return f"{before}{{c}}{after}"


def _one_line(text: str) -> str:
    """Whitespace of any kind as one space: its loader ends a line at U+2028, form feeds and others too."""
    return " ".join(text.split())


def _write_own_file(out: Path, file: BenchmarkFile, keys: list[str]) -> None:
    """The benchmark itself, so that ours is read back whole: classes by language, licence, citation."""
    values = file.model_dump(mode="json", exclude_defaults=True, exclude={"root", "table", "columns", "separator"})
    values |= {"verb": "benchmark", "layout": "clip_benchmark", "split": "test", "revision": ""}
    if file.task != "retrieval":
        first = file.languages[0]
        # Items come back with the line of classnames.txt as their label.
        lines = class_keys(_names(file, keys, first))
        values["classes"] = {line: file.classes[key] for line, key in zip(lines, keys, strict=True)}
    own = BenchmarkFile.validate_data(values, where=str(out / FILE_NAME))
    write_benchmark_file(out / FILE_NAME, own, comment=f"iconoclip benchmark validate {FILE_NAME}")


def _readme(file: BenchmarkFile, written: Written) -> str:
    workers = min(written.shards.values())
    kind = "zeroshot_retrieval --recall_k 1 5 10" if file.task == "retrieval" else "zeroshot_classification"
    common = (
        f"clip_benchmark eval --dataset wds/{file.name} --dataset_root . --task {kind} \\\n"
        f"  --num_workers {min(4, workers)} --no_amp --model ViT-B-32 --pretrained laion2b_s34b_b79k \\\n  "
    )
    others = "".join(
        f"\n{common}--language {language} --custom_classname_file i18n/{language}/classnames.json \\\n"
        f"  --custom_template_file i18n/{language}/templates.json --output {file.name}_{language}.json\n"
        for language in file.languages[1:]
    )
    counts = "\n".join(
        f"* {split}: {n:,} pictures in {written.shards[split]} shards" for split, n in written.samples.items()
    )
    left = "".join(f"* left out, {why}: {count:,}\n" for why, count in written.left_out.items())
    probe = (
        "A linear probe (`--task linear_probe`) needs CUDA and, with `train/`, a `val/` folder for its search.\n"
        if "train" in written.samples
        else ""
    )
    notes = (
        "In the layout of CLIP_benchmark 1.6.2, which needs `numpy<2.4`. Say the task: `--task auto` knows its own\n"
        f"data sets only. Take at most {workers} workers, the number of shards. `--no_amp` keeps full precision. Name\n"
        "the output: its default does not tell data sets and languages apart. With other workers samples come in\n"
        "another order.\n"
    )
    return (
        f"# {file.title}\n\n{file.description}\n\nLicence: {file.licence or 'not stated'}\n\n"
        f"Citation: {file.citation or 'not stated'}\n\n{counts}\n{left}\n{notes}{probe}\n"
        f"```\n{common}--output {file.name}.json\n{others}```\n\n"
        "Or with iconoclip: `benchmarks: [{kind: file, path: .}]`.\n"
    )
