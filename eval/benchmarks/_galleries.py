"""Cut a benchmark's pictures into galleries: by fold, by collection, by language."""

from collections.abc import Callable, Sequence
from typing import Literal

from ..data import Pictures
from ..tasks._gallery import Gallery

CaptionChoice = Literal["default", "language", "each_language", "all"]
Texts = list[tuple[str, str]]


def captions_of(pictures: Pictures, position: int, choice: CaptionChoice, languages: Sequence[str] = ()) -> Texts:
    """(text, language) of the captions that are asked for: the shard's default one, one of each language, or all.

    ``each_language`` takes all, and :func:`build_galleries` then gives each language a gallery, as with ``language``.

    Captions of a series say nothing of this picture and are no queries, unless the record has no other.
    """
    rows = [(" ".join(c.text.split()), c) for c in pictures.records[position].captions]
    rows = [(text, c) for text, c in rows if text and (not languages or c.lang in languages)]
    rows = [(text, c) for text, c in rows if c.level != "series"] or rows
    if choice == "default":
        default = pictures.default_text(position)
        rows = [(text, c) for text, c in rows if text == default][:1] or rows[:1]
    if choice == "language":
        rows = list({c.lang: (text, c) for text, c in reversed(rows)}.values())[::-1]
    return list(dict.fromkeys((text, c.lang) for text, c in rows))


def build_galleries(
    pictures: Pictures,
    *,
    choice: CaptionChoice,
    languages: Sequence[str] = (),
    by_collection: bool = False,
) -> tuple[Gallery, ...]:
    """Galleries by fold, then by collection if asked, then by language where captions are chosen by language.

    A picture without a fitting caption stays in the gallery as a wrong answer: all languages face the same pictures.
    """
    found = []
    for fold, positions in pictures.cells().items():
        for group in _split(positions, lambda p: pictures.records[p].source if by_collection else ""):
            texts = {p: captions_of(pictures, p, choice, languages) for p in group}
            stratum = pictures.records[group[0]].source if by_collection else ""
            if choice not in ("language", "each_language"):
                found.append(_gallery(group, texts, fold, stratum))
                continue
            for language in sorted({lang for rows in texts.values() for _, lang in rows}):
                mine = {p: [row for row in rows if row[1] == language] for p, rows in texts.items()}
                found.append(_gallery(group, mine, fold, stratum))
    return tuple(gallery for gallery in found if gallery.texts)


def _split(positions: Sequence[int], key: Callable[[int], str]) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for position in positions:
        groups.setdefault(key(position), []).append(position)
    return [groups[name] for name in sorted(groups)]


def _gallery(positions: Sequence[int], texts: dict[int, Texts], fold: int | None, stratum: str) -> Gallery:
    owners: dict[str, list[int]] = {}
    language: dict[str, str] = {}
    for place, position in enumerate(positions):
        for text, lang in texts[position]:
            owners.setdefault(text, []).append(place)
            language.setdefault(text, lang)
    return Gallery(
        positions=tuple(positions),
        texts=tuple(owners),
        languages=tuple(language.values()),
        owners=tuple(tuple(places) for places in owners.values()),
        fold=fold,
        stratum=stratum,
    )
