"""Crossmodal-3600 in the languages of Europe: what a model knew of everyday pictures before it was fine-tuned.

``{kind: xm3600}`` fetches ``floschne/xm3600``; ``root:`` names a folder with ``captions.jsonl`` and
``images/<key>.jpg``, or with the Hub's ``data/<language>-*.parquet``.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from iconoclip.errors import EvaluationError

from .base import FilesBenchmark, KnownResult, Prepared

if TYPE_CHECKING:
    from iconoclip.records import Record

    from ..data import EvalData, Store

_HUB = "floschne/xm3600"
EUROPEAN = (
    "cs", "da", "de", "el", "en", "es", "fi", "fr", "hr", "hu", "it", "nl", "no", "pl", "pt", "ro", "sv", "uk",
)  # fmt: skip
_TABLE = "open_clip 89fb801, docs/openclip_multilingual_retrieval_results.csv"
# Text to image, R@1 in per cent, in this order.
_ORDER = ("en", "de", "fr", "it", "es", "nl", "pt", "pl", "cs", "hu", "fi", "sv", "da", "no", "el", "ro", "hr", "uk")
_OPEN_CLIP = {
    "nllb-clip-large-siglip:mrl": (
        52.1, 75.7, 71.5, 70.2, 63.9, 61.3, 62.1, 63.5, 52.9, 70.8, 68.7, 59.2, 72.7, 65.2, 56.5, 75.8, 74.2, 68.0,
    ),
    "nllb-clip-base-siglip:mrl": (
        49.1, 69.3, 66.7, 64.1, 58.3, 57.7, 55.8, 57.6, 47.8, 63.1, 61.9, 53.8, 68.2, 58.9, 48.9, 68.2, 66.5, 62.6,
    ),
    "xlm-roberta-large-ViT-H-14:frozen_laion5b": (
        51.3, 73.3, 68.5, 66.4, 62.2, 56.1, 61.5, 63.1, 46.1, 64.9, 57.1, 53.9, 66.8, 55.6, 52.2, 70.1, 65.5, 67.0,
    ),
    "ViT-B-16-SigLIP-i18n-256:webli": (
        49.1, 68.5, 63.3, 63.5, 59.6, 53.0, 56.9, 57.1, 40.7, 56.6, 45.3, 48.0, 57.3, 46.3, 39.0, 54.5, 52.4, 54.9,
    ),
    "xlm-roberta-base-ViT-B-32:laion5b": (
        47.0, 64.5, 60.6, 58.4, 54.3, 49.4, 52.9, 53.3, 39.1, 52.1, 41.9, 46.4, 56.2, 46.3, 43.8, 59.8, 52.8, 56.9,
    ),
    "ViT-B-16-SigLIP:webli": (
        51.5, 57.2, 57.9, 55.7, 56.2, 45.2, 49.1, 23.2, 11.8, 13.2, 9.9, 29.5, 17.4, 19.9, 0.1, 10.6, 10.2, 3.4,
    ),
    "ViT-B-32:laion2b_s34b": (
        47.6, 21.3, 36.1, 19.3, 24.9, 16.7, 18.1, 3.5, 2.2, 3.7, 2.2, 7.1, 6.6, 6.2, 0.2, 7.1, 2.3, 0.5,
    ),
    "ViT-B-32:openai": (
        37.2, 10.4, 19.1, 8.3, 15.6, 8.9, 10.2, 1.7, 1.3, 1.8, 1.5, 3.4, 2.5, 3.1, 0.1, 2.9, 1.6, 0.1,
    ),
}  # fmt: skip


class Xm3600(FilesBenchmark):
    """Text to image and back in each language, every language over the same pictures.

    ``captions: first`` asks the first caption of each picture, as clip_benchmark and open_clip's table do; ``all`` asks
    every one. Nothing of heritage is in it: it shows what fine-tuning costs elsewhere.
    """

    title = "Crossmodal-3600 in European languages"
    description = (
        "3,600 photographs of everyday scenes from around the world with captions that people wrote in each language, "
        "none translated. A control for forgetting, and for parity between languages."
    )
    licence = "captions CC BY 4.0; photographs of Open Images, each with its own licence"
    citation = "Thapliyal, Pont-Tuset, Chen and Soricut 2022, arXiv 2205.12522; google.github.io/crossmodal-3600"
    chance = "hit rate@1 1 in 3,600"
    pinned_revision = "8d3e5665526c55a5855cd6ddfbaba2032bc7cee4"
    revision_source = "floschne/xm3600 as mteb pins it (XM3600T2IRetrieval)"
    is_control = True
    hub_dataset = "floschne/xm3600"
    known_results = tuple(
        KnownResult(model, "text_to_image/hit_rate@1", value / 100, _TABLE, f"language={language}")
        for model, row in _OPEN_CLIP.items()
        for language, value in zip(_ORDER, row, strict=True)
    )

    kind: Literal["xm3600"]
    languages: list[str] = Field(default=list(EUROPEAN), min_length=1)
    captions: Literal["first", "all"] = "first"
    ks: list[int] = Field(default=[1, 5, 10], min_length=1)

    def prepare(self, data: "EvalData") -> Prepared:
        """Collect pictures and captions, a gallery for each language."""
        from ..tasks.retrieval import Retrieval
        from ._files import fetch, gather
        from ._galleries import build_galleries

        folder = fetch(self, _HUB, [f"data/{language}-*.parquet" for language in self.languages])
        is_original = (folder / "captions.jsonl").is_file()
        records, store = self._original(folder) if is_original else self._from_hub(folder)
        pictures, facts = gather(self, records, store)
        task = Retrieval(
            pictures=pictures,
            galleries=build_galleries(
                pictures, choice="language" if self.captions == "first" else "each_language", languages=self.languages
            ),
            ks=tuple(self.ks),
        )
        return Prepared(pictures, (task,), facts=facts)

    def _original(self, folder: Path) -> tuple[list["Record"], "Store"]:
        """``captions.jsonl``: a line per picture with ``image/key`` and, by language, ``caption`` lists."""
        from ._files import Folder

        path, records = folder / "captions.jsonl", []
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    row: dict[str, Any] = json.loads(line)
                    captions = {language: row[language]["caption"] for language in self.languages if language in row}
                    records.append(self._record(str(row["image/key"]), captions))
                except (ValueError, KeyError, TypeError) as error:
                    raise EvaluationError(f"{path}, line {number}: not a line of Crossmodal-3600 ({error!r})") from None
        return records, Folder([folder / "images" / f"{record.id}.jpg" for record in records])

    def _from_hub(self, folder: Path) -> tuple[list["Record"], "Store"]:
        """A Parquet split for each language, all with the same pictures; the first one's are read."""
        from ._files import Rows, parquet_files

        rows = {language: Rows(parquet_files(folder, language)) for language in self.languages}
        first = next(iter(rows.values()))
        names = first.column("image_id")
        captions: dict[str, dict[str, Sequence[str]]] = {name: {} for name in names}
        for language, split in rows.items():
            for name, found in zip(split.column("image_id"), split.column("captions"), strict=True):
                if name not in captions:
                    raise EvaluationError(f"{folder}: picture {name} is in {language} and not in {self.languages[0]}")
                captions[name][language] = found
        return [self._record(str(name), captions[name]) for name in names], first

    def _record(self, name: str, captions: dict[str, Sequence[str]]) -> "Record":
        from iconoclip.records import Caption, Record

        listed = [
            Caption(" ".join(text.split()), language, "caption", "page")
            for language, texts in captions.items()
            for text in texts
            if text.strip()
        ]
        if not listed:
            raise EvaluationError(f"{self.shown_name}: picture {name} has no caption in {', '.join(self.languages)}")
        return Record(id=name, source=self.kind_name, institution="Open Images", captions=tuple(listed))
