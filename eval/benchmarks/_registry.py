"""The tables of ``docs/benchmarks.md``, made from the code: all benchmarks, Iconclass by language, what tests can show.

``renew(Path("docs/benchmarks.md"))`` writes them anew between their marks; a test compares them.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from iconoclip import plugins
from iconoclip.errors import EvaluationError
from iconoclip.files import write_text

from .base import Benchmark

_SIZES = (98, 365, 436, 1000, 1864, 3600, 8774)
_DISCORDANT = (0.1, 0.2)


def benchmarks() -> list[tuple[str, type[Benchmark]]]:
    """Every kind with its class, by name."""
    package = "eval.benchmarks"
    return [(kind, plugins.load(package, kind, Benchmark)) for kind in plugins.names(package)]


def tables() -> dict[str, str]:
    """Markdown tables by the name of their mark."""
    return {"benchmarks": _benchmarks(), "known": _known(), "parity": _parity(), "power": _power()}


def filled(text: str) -> str:
    """A document with every table between its marks ``<!-- table: NAME -->`` and ``<!-- end -->`` made anew.

    Raises:
        EvaluationError: a mark is missing.
    """
    for name, table in tables().items():
        pattern = re.compile(rf"(<!-- table: {name} -->\n)(?:(?!<!-- ).)*(<!-- end -->)", re.S)
        if not pattern.search(text):
            raise EvaluationError(f"no mark <!-- table: {name} --> with its <!-- end -->; put it where the table goes")
        text = pattern.sub(lambda match, table=table: f"{match[1]}\n{table}\n\n{match[2]}", text, count=1)
    return text


def renew(path: Path) -> None:
    """Write the tables of a document anew, atomically."""
    write_text(path, filled(path.read_text(encoding="utf-8")))


def _benchmarks() -> str:
    rows = []
    for kind, benchmark in benchmarks():
        pinned = f"`{benchmark.pinned_revision[:12]}`" if benchmark.pinned_revision else "unpinned"
        source = f" ({benchmark.revision_source})" if benchmark.revision_source else ""
        title = benchmark.title + (" (control)" if benchmark.is_control else "")
        data = "a shard set" if benchmark.needs_shards else "its own files"
        rows.append(
            (
                f"`{kind}`", title, data, "yes" if benchmark.run_on_real_data else "not yet", benchmark.licence,
                pinned + source, benchmark.chance, ", ".join(benchmark.free_baselines) or "-", benchmark.citation,
            )
        )  # fmt: skip
    head = (
        "kind", "what", "pictures from", "run on the real data", "licence", "revision of the data", "chance",
        "free baselines", "citation",
    )  # fmt: skip
    return _table(head, rows)


def _known() -> str:
    """A row for each model, metric and source; figures of several slices (languages, splits) stand in one cell."""
    cells: dict[tuple[str, ...], list[str]] = {}
    for kind, benchmark in benchmarks():
        for known in benchmark.known_results:
            value = f"{known.value:.1f}" if known.value > 1 else f"{100 * known.value:.1f} %"
            where = known.slice.removeprefix("language=")
            key = (f"`{kind}`", known.model, known.metric, known.note or "-", known.source)
            cells.setdefault(key, []).append(value if where == "all" else f"{where} {value}")
    rows = [(*key[:3], ", ".join(values), *key[3:]) for key, values in cells.items()]
    return _table(("kind", "model", "metric", "value", "differs in", "read in"), rows)


def _parity() -> str:
    from iconoclip.iconclass import parity
    from iconoclip.languages import language_name

    rows = [
        (
            f"{language_name(row.language)} (`{row.language}`)", f"{row.num_texts:,}", f"{100 * row.share:.1f} %",
            f"{row.num_same_as_english:,}" if row.language != "en" else "-",
            f"{row.num_untranslated:,}" if row.language != "en" else "-",
        )
        for row in parity()
    ]  # fmt: skip
    head = ("language", "notations with a text", "share", "read as in English (names)", "English, left out")
    return _table(head, rows)


def _power() -> str:
    from ..statistics import detectable_difference

    rows = []
    for size in _SIZES:
        found = [100 * detectable_difference(size, discordant=share) for share in _DISCORDANT]
        worse = 100 * detectable_difference(size, discordant=_DISCORDANT[-1], design_effect=2)
        rows.append((f"{size:,}", *(f"{value:.1f}" for value in found), f"{worse:.1f}"))
    head = ("queries", "10 % discordant", "20 % discordant", "20 % discordant, works of two that agree")
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
