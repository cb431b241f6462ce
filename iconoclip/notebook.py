"""What a notebook needs around its cells: where its data lie, and pictures with captions as its output.

``enter_project()``; ``SHARDS = setting("SHARDS", "runs/demo/shards")``; ``PictureSheet(cards)`` as the last line of a
cell. Nothing here needs Jupyter: it is found by the method that Jupyter asks every object for.
"""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from . import pages
from .contact_sheet import Card
from .errors import IconoclipError

SIDE_PX = 192
_PREFIX = "NOTEBOOK_"
_CARD = "margin:0;width:9rem;font:.8rem/1.4 sans-serif"
_FRAME = (
    "display:flex;align-items:center;justify-content:center;height:9rem;padding:3px;box-sizing:border-box;"
    "text-align:center;background:rgba(128,128,128,.14)"
)
_SHEET = "display:flex;flex-wrap:wrap;gap:.8rem;align-items:flex-start;margin:.4rem 0 1rem"


def enter_project() -> Path:
    """Make the folder that holds ``runs/`` the working folder, and return it.

    Jupyter starts a notebook in the notebook's own folder, while paths in configurations and runs are relative to the
    project. Without ``runs/`` here or in a folder above nothing changes. The warning of progress bars that Jupyter has
    no widgets for them is turned off.
    """
    warnings.filterwarnings("ignore", message="IProgress not found")
    here = Path.cwd()
    home = next((folder for folder in (here, *here.parents) if (folder / "runs").is_dir()), here)
    os.chdir(home)
    return home


def setting(name: str, default: str, *, made_by: str = "iconoclip demo", is_needed: bool = True) -> str:
    """Value of the environment variable ``NOTEBOOK_<name>``, else ``default``: a path that must be there.

    What has a colon (``hf-hub:ORG/NAME``, ``ViT-B-32:laion2b_s34b_b79k``) names a model and is no path. What is not
    needed may be missing: where the variable is not set and ``default`` not there, the value is ``""``.

    Raises:
        IconoclipError: the path is not there; says which command makes it.
    """
    variable = _PREFIX + name
    value = os.environ.get(variable) or default
    if ":" in value or Path(value).exists():
        return value
    if not is_needed and not os.environ.get(variable):
        return ""
    raise IconoclipError(
        f"{name}: {value} is not there (looked in {Path.cwd()}); run `{made_by}`, or write another path into this "
        f"cell or into the environment variable {variable}"
    )


@dataclass(frozen=True)
class PictureSheet:
    """Pictures with their captions, as a notebook shows them; a card without a picture says so in its place.

    ``right`` are places (from 0) that get a green frame.
    """

    cards: tuple[Card, ...]
    title: str = ""
    right: frozenset[int] = frozenset()

    def _repr_html_(self) -> str:
        head = f'<div style="font:600 .9rem/1.4 sans-serif">{pages.quoted(self.title)}</div>' if self.title else ""
        figures = "".join(_figure(card, place in self.right) for place, card in enumerate(self.cards))
        return f'{head}<div style="{_SHEET}">{figures or "No pictures."}</div>'

    def __repr__(self) -> str:
        lines = [" · ".join(part for part in (card.badge, *card.lines) if part) for card in self.cards]
        return "\n".join([*([self.title] if self.title else []), *lines])


def _figure(card: Card, is_right: bool) -> str:
    lines = [pages.quoted(card.lines[0], card.lang), *map(pages.quoted, card.lines[1:])] if card.lines else []
    if card.badge:
        lines.insert(0, f"<b>{pages.escape(card.badge)}</b>")
    if card.url:
        lines.append(pages.link(card.url, "page of the institution"))
    jpeg = pages.thumbnail(card.image, side_px=SIDE_PX) if card.image else None
    shown = pages.picture(jpeg, card.lines[0] if card.lines else card.badge, missing="not shown")
    shown = shown.replace("<img ", '<img style="max-width:100%;max-height:100%;margin:0" ', 1)
    border = "3px solid #2a8f4d" if is_right else "3px solid transparent"
    return (
        f'<figure style="{_CARD}"><div style="{_FRAME};border:{border}">{shown}</div>'
        f'<figcaption style="overflow-wrap:anywhere;padding-top:.3rem">{"<br>".join(lines)}</figcaption></figure>'
    )
