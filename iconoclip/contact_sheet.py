"""Write a contact sheet: one self-contained HTML page of small pictures with their captions.

``write_contact_sheet(path, [Section("Potter", cards)], title="Shards")``; opens offline, prints five to a row.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import pages
from .files import write_text


@dataclass(frozen=True, slots=True)
class Card:
    """One picture: encoded bytes of any format Pillow reads, caption lines (the first stands out), a short badge."""

    image: bytes
    lines: tuple[str, ...] = ()
    badge: str = ""
    lang: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Pictures under one heading; ``note`` is a sentence below it."""

    title: str
    cards: tuple[Card, ...]
    note: str = ""


def write_contact_sheet(
    path: Path,
    sections: Iterable[Section],
    *,
    title: str,
    subtitle: str = "",
    facts: Sequence[str] = (),
    side_px: int = 256,
) -> Path:
    """Write the page to ``path``, atomically; a picture that cannot be decoded keeps its place and says so."""
    parts = ['<p class="eyebrow">iconoclip · contact sheet</p>', f"<h1>{pages.escape(title)}</h1>"]
    if subtitle:
        parts.append(pages.paragraph(subtitle, css="lede"))
    parts += [pages.paragraph(fact, css="small quiet") for fact in facts]
    for section in sections:
        if section.title:
            parts.append(f"<h2>{pages.quoted(section.title)}</h2>")
        if section.note:
            parts.append(pages.paragraph(section.note, css="small quiet"))
        cards = "\n".join(_figure(card, side_px) for card in section.cards)
        parts.append(f'<div class="sheet">\n{cards}\n</div>' if cards else pages.paragraph("No pictures.", css="quiet"))
    write_text(path, pages.page(title, parts))
    return path


def _figure(card: Card, side_px: int) -> str:
    first, rest = (card.lines[0], card.lines[1:]) if card.lines else ("", ())
    badge = f'<span class="badge">{pages.escape(card.badge)}</span>' if card.badge else ""
    jpeg = pages.thumbnail(card.image, side_px=side_px)
    lines = [f'<div class="first">{pages.quoted(first, card.lang)}</div>'] if first else []
    lines += [f"<div>{pages.quoted(line)}</div>" for line in rest if line]
    if card.url:
        lines.append(f"<div>{pages.link(card.url, 'page of the institution')}</div>")
    shown = pages.picture(jpeg, first or card.badge, missing="this picture cannot be decoded")
    return (
        f'<figure class="card"><div class="frame">{shown}{badge}</div>'
        f"<figcaption>{''.join(lines)}</figcaption></figure>"
    )
