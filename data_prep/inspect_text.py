"""Set the counts of `iconoclip inspect` as tables for a terminal of 100 columns."""

import io
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from iconoclip.shards import Manifest

from .inspect_tally import Tally, name_century

WIDTH = 100
SHARE_OF_LARGEST_WORK = 0.25  # above this, one work decides what a split measures
_BAR_CHARS = 24
_NAME_CHARS = 28
_GAP_CHARS = 3
_Key = TypeVar("_Key")


def tally_to_text(tally: Tally, *, title: str, manifest: Manifest | None, rejected: Sequence[dict[str, str]]) -> str:
    """Return the whole summary; coloured only when standard output is a terminal."""
    console = _console()
    _head(console, tally, title, manifest)
    _splits(console, tally)
    _collections(console, tally)
    _captions(console, tally)
    _bars(console, "date", {name_century(c): n for c, n in _in_time(tally.centuries)})
    _bars(console, "rights class", {name.replace("_", " "): n for name, n in _by_count(tally.rights)})
    if rejected:
        _rejected(console, rejected)
    if manifest is not None:
        _reconcile(console, tally, rejected)
    _remarks(console, tally)
    file = console.file
    assert isinstance(file, io.StringIO)
    lines = [line.rstrip() for line in file.getvalue().rstrip().splitlines()]
    return "\n".join(line for line, before in zip(lines, ["", *lines], strict=False) if line or before)


def _console() -> Console:
    is_terminal = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 40)).columns) if sys.stdout.isatty() else WIDTH
    return Console(
        file=io.StringIO(), width=max(width, 60), force_terminal=is_terminal, no_color=not is_terminal, highlight=False
    )


def _head(console: Console, tally: Tally, title: str, manifest: Manifest | None) -> None:
    console.print(Text(title, style="bold"))
    num_tars = sum(count for count, _ in tally.shards.values())
    num_bytes = sum(size for _, size in tally.shards.values())
    console.print(
        f"{tally.num_pictures:,} pictures of {tally.num_works:,} works, {len(tally.collections)} collections, "
        f"{len(tally.institutions)} institutions; {num_tars} tars, {num_bytes / 1e6:,.1f} MB"
    )
    if manifest is not None:
        version = manifest.software.get("iconoclip", "unknown")
        console.print(
            f"prepared {manifest.created} with iconoclip {version}, configuration {manifest.config_sha256[:12]}, "
            f"schema {manifest.schema_version}",
            style="dim",
        )


def _splits(console: Console, tally: Tally) -> None:
    table = _table("split", "pictures", "works", "largest work", "captions", "width × height", "tars", "MB")
    for split, part in tally.splits.items():
        count, size = tally.shards.get(split, (0, 0))
        table.add_row(
            split,
            f"{part.num_pictures:,}",
            f"{len(part.works):,}",
            f"{part.largest_work[1]:,}",
            f"{part.num_captions:,}",
            _size(tally.sizes.get(split, [])),
            f"{count:,}",
            f"{size / 1e6:,.1f}",
        )
    table.columns[0].no_wrap = True
    console.print(table)


def _size(sizes: Sequence[tuple[int, int]]) -> str:
    if not sizes:
        return "–"
    return f"{median(w for w, _ in sizes):,.0f} × {median(h for _, h in sizes):,.0f} px"


def _collections(console: Console, tally: Tally) -> None:
    splits = [split for split in tally.splits if not split.startswith("eval/")]
    has_eval = len(splits) < len(tally.splits)
    heads = ("collection", *splits, *(["eval"] if has_eval else []), "works", "largest", "languages", "institution")
    rows = []
    for name, part in sorted(tally.collections.items()):
        counts = [tally.cells[name, split] for split in splits]
        if has_eval:
            counts.append(part.num_pictures - sum(counts))
        institutions = [institution for institution, _ in _by_count(part.institutions)]
        rows.append(
            (
                name if len(name) <= _NAME_CHARS else f"{name[: _NAME_CHARS - 1]}…",
                *(f"{count:,}" if count else "·" for count in counts),
                f"{len(part.works):,}",
                f"{part.largest_work[1]:,}",
                _languages([lang for lang, _ in _by_count(part.languages)]),
                institutions[0] + (f" +{len(institutions) - 1}" if len(institutions) > 1 else ""),
            )
        )
    table = _table(*heads, left=(-1, -2))
    for column, texts in zip(table.columns[:-1], zip(heads, *rows, strict=True), strict=False):
        column.min_width = max(map(len, texts))  # rich would narrow them all alike; only the institution gives way
    used = sum(column.min_width or 0 for column in table.columns[:-1])
    room = max(8, console.width - used - _GAP_CHARS * len(heads))
    for *cells, institution in rows:
        short = institution if len(institution) <= room else f"{institution[: room - 1]}…"
        table.add_row(*map(Text, cells), Text(short))
    console.print(table)


def _languages(codes: Sequence[str]) -> str:
    """Up to four codes, the most frequent first."""
    return " ".join(codes[:4]) + (f" +{len(codes) - 4}" if len(codes) > 4 else "") if codes else "–"


def _captions(console: Console, tally: Tally) -> None:
    table = _table("captions in", "captions", "pictures", "words, median", "words, longest", "machine-made")
    for lang, part in sorted(tally.languages.items(), key=lambda item: (-item[1].num_captions, item[0])):
        table.add_row(
            lang,
            f"{part.num_captions:,}",
            f"{part.num_pictures:,}",
            f"{part.median_words:g}",
            f"{max(part.lengths):,}",
            f"{part.num_machine:,}" if part.num_machine else "·",
        )
    if tally.languages:
        console.print(table)
        levels = ", ".join(f"{level}/{source} {n:,}" for (level, source), n in _by_count(tally.caption_sources))
        console.print(f"caption level/field: {levels}", style="dim")


def _bars(console: Console, title: str, counts: dict[str, int]) -> None:
    if not counts:
        return
    table = _table(title, "pictures", "", left=(2,))
    most = max(counts.values())
    for name, count in counts.items():
        bar = "█" * max(1, round(_BAR_CHARS * count / most)) if count else ""
        table.add_row(name, f"{count:,}", Text(bar, style="blue"))
    console.print(table)


def _rejected(console: Console, rejected: Sequence[dict[str, str]]) -> None:
    reasons = Counter(row["reason"] for row in rejected)
    table = _table("rejected because", "records", "collections, an example of the detail", left=(2,))
    for reason, count in _by_count(reasons):
        rows = [row for row in rejected if row["reason"] == reason]
        sources = ", ".join(f"{source} {n}" for source, n in _by_count(Counter(row["source"] for row in rows)))
        detail = next((row["detail"] for row in rows if row.get("detail")), "")
        table.add_row(reason, f"{count:,}", Text(f"{sources}" + (f"; {detail}" if detail else "")))
    console.print(table)


def _reconcile(console: Console, tally: Tally, rejected: Sequence[dict[str, str]]) -> None:
    withdrawn = sum(row["reason"] == "withdrawn" for row in rejected)
    kept, gone = tally.num_pictures + sum(tally.unreadable.values()), len(rejected) - withdrawn
    console.print(f"harvested {kept + len(rejected):,} = kept {kept:,} + rejected {gone:,} + withdrawn {withdrawn:,}")


def _remarks(console: Console, tally: Tally) -> None:
    remarks = list(_find_remarks(tally))
    if not remarks:
        return
    console.print()
    console.print(Text("Worth a look", style="bold"))
    for remark in remarks:
        console.print(Text(f"– {remark}"))


def _find_remarks(tally: Tally) -> Iterable[str]:
    """Sentences about what would make figures on these shards mean less than they seem to."""
    for split, count in tally.unreadable.items():
        yield f"{split}: {count:,} samples have a .json that is no JSON; they are not counted above"
    if tally.num_without_caption:
        yield f"{tally.num_without_caption:,} pictures have no caption: nothing to train on there"
    shared = [(len(works), text) for text, works in tally.works_of_caption.items() if len(works) > 1]
    if shared:
        count, text = max(shared, key=lambda item: (item[0], item[1]))
        short = text if len(text) <= 50 else text[:49] + "…"
        yield f"{len(shared):,} captions stand on more than one work, most often {short!r} ({count:,} works)"
    for split, part in tally.splits.items():
        work, count = part.largest_work
        if len(part.works) > 1 and count / part.num_pictures > SHARE_OF_LARGEST_WORK:
            yield f"{split}: one work, {work!r}, is {100 * count / part.num_pictures:.0f} % of the pictures"
    crossing = sum(len(splits & {"train"}) and len(splits) > 1 for splits in tally.splits_of_work.values())
    if crossing:
        yield f"{crossing:,} works lie in train/ and in another split: their figures say known work, new picture"
    trained = tally.splits["train"].languages if "train" in tally.splits else None
    if trained:
        elsewhere = {lang for part in tally.splits.values() for lang in part.languages} - set(trained)
        if elsewhere:
            yield f"no training caption in: {', '.join(sorted(elsewhere))}"


def _in_time(centuries: Counter[int | None]) -> list[tuple[int | None, int]]:
    return sorted(centuries.items(), key=lambda item: (item[0] is None, item[0] or 0))


def _by_count(counts: Counter[_Key]) -> list[tuple[_Key, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))


def _table(*heads: str, left: tuple[int, ...] = ()) -> Table:
    """Plain table: first column and those in ``left`` flush left, the others flush right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), expand=False, header_style="bold")
    flush_left = {0, *(column % len(heads) for column in left)}
    for column, head in enumerate(heads):
        table.add_column(head, justify="left" if column in flush_left else "right", overflow="fold")
    return table
