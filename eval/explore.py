"""Look at a shard set and ask a model about it, in plain functions that read well in a notebook.

``pictures = open_set(Path("runs/demo/shards"), split="test")``, ``index = encode_set("runs/demo/train", pictures)``,
``show_found(index, search(index, "Azure, a lion or"))``. What is shown follows the rule of the report: no picture whose
rights, host or ledger forbid it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from iconoclip.contact_sheet import Card
from iconoclip.errors import EvaluationError
from iconoclip.files import atomic_path
from iconoclip.notebook import PictureSheet
from iconoclip.records import Record, unit_hash

from . import apply_pictures
from .apply_encoded import EmbedTexts, Encoded, encode, nearest_pictures
from .benchmarks._galleries import build_galleries
from .data import EvalData, Pictures, choose_pictures
from .tasks.retrieval import Retrieval

NOT_SHOWN = "its rights or its host do not allow to show it"
_SALT = "explore"


@dataclass(frozen=True, slots=True)
class Found:
    """A picture that a text found: its place among the pictures, and the cosine similarity of the two."""

    position: int
    cosine: float


@dataclass(frozen=True)
class Index:
    """Pictures as a model sees them, ready to be searched; implements ``tasks.base.Embedder`` for this one model."""

    pictures: Pictures
    encoded: Encoded
    embed: EmbedTexts

    def images(self, fold: int | None, positions: Sequence[int]) -> np.ndarray:
        """[len(positions), D], rows of length 1."""
        return self.encoded.image_ND[list(positions)]

    def texts(self, fold: int | None, texts: Sequence[str]) -> np.ndarray:
        """[len(texts), D], rows of length 1."""
        return self.embed(texts)


def open_set(root: Path, *, split: str = "", limit: int | None = None) -> Pictures:
    """Pictures of one split of a shard set, or of all; with ``limit`` so many, drawn by a hash of their keys.

    Raises:
        EvaluationError: there is no such split.
        ShardError: there is no set, or it is damaged.
    """
    pictures = EvalData(root).everything([split] if split else [])
    if limit is None or limit >= len(pictures):
        return pictures
    return choose_pictures(pictures, sorted(draw(pictures, limit)))


def draw(pictures: Pictures, count: int) -> list[int]:
    """Places of ``count`` pictures, by a hash of their keys: the same ones every time, and nobody's choice."""
    order = sorted(range(len(pictures)), key=lambda position: unit_hash(pictures.keys[position], _SALT))
    return order[:count]


def show(pictures: Pictures, positions: Sequence[int], *, language: str = "", title: str = "") -> PictureSheet:
    """Sheet of pictures with their captions, in ``language`` where there is one."""
    return PictureSheet(tuple(_card(pictures, p, language=language) for p in positions), title)


def encode_set(model: str, pictures: Pictures) -> Index:
    """What a model makes of the pictures; ``model`` as ``iconoclip apply`` takes it. On a CPU this is the slow part.

    Raises:
        EvaluationError: a picture cannot be decoded.
        ModelError: there is no such model.
    """
    to_encode = apply_pictures.Pictures(
        ids=pictures.keys,
        read_bytes=pictures.read,
        captions=pictures.default_text,
        record=lambda position: pictures.records[position],
    )
    encoded, embed = encode(model, to_encode)
    if encoded.broken:
        name, why = encoded.broken[0]
        raise EvaluationError(f"{name}: cannot be decoded ({why}); run `iconoclip prep` again")
    return Index(pictures, encoded, embed)


def search(index: Index, text: str, k: int = 6) -> list[Found]:
    """The ``k`` pictures nearest to a text, best first. There is always a nearest picture, also for nonsense."""
    return [Found(row, cosine) for row, cosine in nearest_pictures(index.encoded, index.embed([text])[0], k)]


def show_found(index: Index, found: Sequence[Found], *, language: str = "", title: str = "") -> PictureSheet:
    """Sheet of what was found, each with its rank and cosine."""
    cards = tuple(
        _card(index.pictures, each.position, language=language, badge=f"{rank} · {each.cosine:.3f}")
        for rank, each in enumerate(found, start=1)
    )
    return PictureSheet(cards, title)


def share_in_common(one: Sequence[Found], other: Sequence[Found]) -> float:
    """Share of the pictures of ``one`` that ``other`` found too; 0 for an empty answer.

    Example: places 4, 7, 9 and 7, 9, 2 share two of three.
    """
    there = {each.position for each in other}
    return sum(each.position in there for each in one) / len(one) if one else 0.0


def ask_captions(index: Index, languages: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Ask for every picture by its own caption in each language; rows as in ``samples/*.parquet`` of an evaluation.

    Every language searches the same pictures. Empty ``languages`` means all there are.

    Raises:
        EvaluationError: pictures of the training split are among them, or there are no captions.
    """
    if any(record.split == "train" for record in index.pictures.records):
        raise EvaluationError("pictures of train/ are among these, whose captions a model may know; open split='test'")
    galleries = build_galleries(index.pictures, choice="language", languages=languages)
    if not galleries:
        raise EvaluationError(f"no captions in {', '.join(languages) or 'any language'} among these pictures")
    return Retrieval(index.pictures, galleries, directions=("text_to_image",)).score(index).rows


def write_class_folders(
    pictures: Pictures, label_of: Callable[[Record], str], out: Path, *, per_class: int | None = None
) -> dict[str, int]:
    """Write pictures as files, one folder a class, and count them; ``label_of`` gives ``""`` for what is left out.

    Only pictures that may be shown are written. File names are the records' keys; what lies there already stays.
    """
    counts: dict[str, int] = {}
    for position in draw(pictures, len(pictures)):
        record = pictures.records[position]
        label = label_of(record) if pictures.may_show(position) else ""
        if not label or counts.get(label, 0) == per_class:
            continue
        counts[label] = counts.get(label, 0) + 1
        with atomic_path(out / label / f"{record.key}.jpg") as temporary:
            temporary.write_bytes(pictures.read(position))
    return dict(sorted(counts.items()))


def _card(pictures: Pictures, position: int, *, language: str = "", badge: str = "") -> Card:
    record = pictures.records[position]
    ordered = sorted(record.captions, key=lambda caption: caption.lang != language)
    caption = ordered[0] if ordered else None
    is_shown = pictures.may_show(position)
    lines = (caption.text if caption else record.title or "no caption", record.attribution or record.institution)
    return Card(
        image=pictures.read(position) if is_shown else b"",
        lines=lines if is_shown else (*lines, NOT_SHOWN),
        badge=badge,
        lang=caption.lang if caption else "",
        url=record.page_url,
    )
