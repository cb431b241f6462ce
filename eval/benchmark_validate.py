"""Say what is wrong with a benchmark before anybody is judged by it: mistakes that stop it, and what weakens it.

``validate_benchmark("prints/benchmark.yaml")`` gives a :class:`Verdict`; every finding says where and what to do.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image

from iconoclip.near_duplicates import hash_views, near_pairs

from .benchmark_files import BenchmarkFile, is_language_code, same_texts
from .benchmark_open import open_benchmark
from .benchmark_pictures import find_broken
from .benchmark_read import Item, Items, read_items
from .statistics import MIN_QUERIES, MIN_WORKS, detectable_difference

MAX_DISTANCE = 6  # of 64 bits, as data preparation has it
_SHOWN = 5
_LONG_WORDS = 45  # 77 tokens, the context of CLIP's text tower, hold about as many words
_DISCORDANT = 0.2


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: a ``mistake`` makes figures wrong or stops the run, a ``warning`` weakens them."""

    kind: Literal["mistake", "warning"]
    text: str


@dataclass(frozen=True)
class Verdict:
    """What was found, and facts of a benchmark that can be run."""

    findings: tuple[Finding, ...]
    facts: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """Whether there is no mistake."""
        return not any(finding.kind == "mistake" for finding in self.findings)

    def to_text(self) -> str:
        """Facts, then findings, mistakes first."""
        ordered = sorted(self.findings, key=lambda finding: finding.kind != "mistake")
        count = sum(finding.kind == "mistake" for finding in self.findings)
        last = "no mistakes" if not count else f"{count} mistake{'s' * (count > 1)}"
        last += f", {len(self.findings) - count} warnings"
        return "\n".join([*self.facts, *(f"{finding.kind}: {finding.text}" for finding in ordered), last])


def validate_benchmark(source: str | Path) -> Verdict:
    """Check a benchmark: its file, its data, its classes and captions, and leaks between its splits.

    Raises:
        ConfigError, EvaluationError: it cannot be read at all.
    """
    file, home = open_benchmark(source)
    read = read_items(file, home)
    tested = read.of_split(file.split)
    broken = find_broken(read.store, [item.place for item in read.items])
    good = [item for item in tested if item.place not in broken]
    findings = [*_about(file), *_items(read, tested, broken, file)]
    findings += list(_captions(good) if file.task == "retrieval" else _classes(good, file))
    findings += list(_leaks([item for item in read.items if item.place not in broken], read, file))
    findings += list(_size(good, file))
    return Verdict(tuple(findings), tuple(_facts(file, read, good)))


def _mistake(text: str) -> Finding:
    return Finding("mistake", text)


def _warning(text: str) -> Finding:
    return Finding("warning", text)


def _about(file: BenchmarkFile) -> Iterator[Finding]:
    for name in ("description", "licence", "citation"):
        if not getattr(file, name):
            yield _warning(f"{name}: empty; say it before others use the benchmark")
    if file.rights_class == "unknown":
        yield _warning("rights_class: unknown, so reports show no pictures; public_domain and open allow it")


def _items(read: Items, tested: Sequence[Item], broken: dict[int, str], file: BenchmarkFile) -> Iterator[Finding]:
    yield from _listed("rows or files are no items", read.problems)
    yield from _listed(
        "pictures cannot be decoded",
        [f"{item.where}: {broken[item.place]}" for item in read.items if item.place in broken],
    )
    if not tested:
        splits = ", ".join(sorted({item.split for item in read.items})) or "none"
        yield _mistake(f"split {file.split!r}: no items; splits there: {splits}")
    counts = Counter((item.split, item.id) for item in read.items)
    yield from _listed("identifiers stand for several pictures", [id_ for (_, id_), n in counts.items() if n > 1])


def _listed(what: str, places: Sequence[str]) -> Iterator[Finding]:
    if places:
        more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
        yield _mistake(f"{len(places)} {what}: {'; '.join(places[:_SHOWN])}{more}")


def _classes(items: Sequence[Item], file: BenchmarkFile) -> Iterator[Finding]:
    counts = Counter(label for item in items for label in item.labels)
    works: dict[str, set[str]] = {}
    for item in items:
        for label in item.labels:
            works.setdefault(label, set()).add(item.work or item.id)
    yield from _listed("labels are no class", sorted(set(counts) - set(file.classes)))
    empty = [label for label in file.classes if not counts[label]]
    yield from _listed(f"classes without a picture in {file.split}; remove them", empty)
    few = [f"{label} ({len(works[label])})" for label in file.classes if 0 < len(works.get(label, ())) < MIN_WORKS]
    if few:
        yield _warning(
            f"{len(few)} classes with fewer than {MIN_WORKS} works get no mean over classes: {', '.join(few[:_SHOWN])}"
        )
    yield from _listed(
        "items without a label; label them or take them out", [item.where for item in items if not item.labels]
    )
    if file.task == "classification":
        yield from _listed(
            "items with several labels; write `task: multilabel`",
            [item.where for item in items if len(item.labels) > 1],
        )
    yield from _texts(file)


def _texts(file: BenchmarkFile) -> Iterator[Finding]:
    for language, text, labels in same_texts(file):
        yield _mistake(f"{language}: {', '.join(labels)} have the same text {text!r}; no model can tell them apart")
    for language in file.languages:
        longest = max((texts[language] for texts in file.classes.values()), key=lambda text: len(text.split()))
        if len(longest.split()) > _LONG_WORDS:
            yield _warning(
                f"{language}: a class has {len(longest.split())} words; CLIP reads 77 tokens and cuts the rest"
            )
        braces = [label for label, texts in file.classes.items() if "{" in texts[language] or "}" in texts[language]]
        if braces:
            yield _warning(
                f"{language}: braces in the text of {', '.join(braces[:_SHOWN])}; other programs may stop on them"
            )


def _captions(items: Sequence[Item]) -> Iterator[Finding]:
    without = [item for item in items if not item.captions]
    if without:
        yield _warning(f"{len(without)} pictures without a caption stay as wrong answers: {without[0].where} ...")
    owners = Counter(text for item in items for text, _ in item.captions)
    for text, count in owners.most_common(1):
        if count > max(2, 0.05 * len(items)):
            yield _warning(
                f"the caption {text[:60]!r} stands at {count} pictures; it is one query with {count} answers"
            )
    long = [item for item in items for text, _ in item.captions if len(text.split()) > _LONG_WORDS]
    if long:
        yield _warning(
            f"{len(long)} captions have more than {_LONG_WORDS} words; CLIP reads 77 tokens and cuts the rest"
        )
    if items and not owners:
        yield _mistake("no item has a caption")
    languages = dict.fromkeys(language for item in items for _, language in item.captions)
    if "und" in languages:
        yield _warning("captions of no stated language; give it in columns.captions or a column")
    other = [language for language in languages if not is_language_code(language)]
    if other:
        yield _warning(f"{other[0][:60]!r} is no code of a language such as en or fr; correct columns.language")


def _leaks(items: Sequence[Item], read: Items, file: BenchmarkFile) -> Iterator[Finding]:
    """The same picture or work in the tested split and in another; the same picture as two works or with two labels."""
    hashes, views = [], []
    for item in items:
        data = read.store.image_bytes(item.place)
        hashes.append(sha256(data).hexdigest())
        with Image.open(BytesIO(data)) as image:
            views.append(hash_views(image.convert("RGB")))
    first: dict[str, int] = {}
    pairs = {(first.setdefault(digest, i), i) for i, digest in enumerate(hashes)}
    pairs |= set(near_pairs(views, MAX_DISTANCE))
    across, within, contrary = [], [], []
    tested = {item.place for item in read.of_split(file.split)}
    for a, b in sorted(pair for pair in pairs if pair[0] != pair[1]):
        one, other = items[a], items[b]
        shown = f"{one.where} = {other.where}"
        num_tested = (one.place in tested) + (other.place in tested)
        if num_tested == 1:
            across.append(shown)
        elif num_tested == 2 and (one.work or one.id) != (other.work or other.id):
            within.append(shown)
        if num_tested == 2 and hashes[a] == hashes[b] and one.labels != other.labels:
            contrary.append(f"{shown} ({', '.join(one.labels)}; {', '.join(other.labels)})")
    yield from _listed("pairs of the same file have different labels", contrary)
    yield from _listed("pictures are the same, or nearly, in the tested split and in another", across)
    if within:
        more = "; ".join(within[:_SHOWN])
        yield _warning(
            f"{len(within)} pairs of the same picture, or nearly, are no common work; give columns.work: {more}"
        )
    splits_of: dict[str, set[str]] = {}
    for item in items:
        if item.work:
            splits_of.setdefault(item.work, set()).add(item.split)
    shared = sorted(work for work, splits in splits_of.items() if file.split in splits and len(splits) > 1)
    yield from _listed("works have pictures in the tested split and in another", shared)


def _size(items: Sequence[Item], file: BenchmarkFile) -> Iterator[Finding]:
    works = len({item.work or item.id for item in items})
    if not any(item.work for item in items):
        yield _warning(
            "no works are named, so every picture counts as one; where several show one object, intervals come out too "
            "narrow: name them in a table's column (columns.work)"
        )
    if len(items) < MIN_QUERIES or works < MIN_WORKS:
        counts = f"{len(items)} pictures of {works} works"
        yield _warning(f"{counts}; a score needs at least {MIN_QUERIES} queries and {MIN_WORKS} works")


def _facts(file: BenchmarkFile, read: Items, good: Sequence[Item]) -> list[str]:
    works = len({item.work or item.id for item in good})
    lines = [f"{file.name}: {file.task}, {len(read.items):,} items, {len(good):,} tested, of {works:,} works"]
    if file.task == "retrieval":
        counts = Counter(language for item in good for _, language in item.captions)
        lines.append("captions: " + (", ".join(f"{lang} {n:,}" for lang, n in sorted(counts.items())) or "none"))
    else:
        lines.append(
            f"{len(file.classes)} classes, asked in {', '.join(file.languages)}; chance 1 in {len(file.classes)}"
        )
    if works:
        points = 100 * detectable_difference(works, discordant=_DISCORDANT)
        lines.append(
            f"two models of which one alone is right in {_DISCORDANT:.0%} of the answers are told apart from "
            f"{points:.1f} points on"
        )
    return lines
