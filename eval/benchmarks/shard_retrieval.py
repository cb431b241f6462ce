"""Retrieval on any split of a shard set, pooled or within each collection.

``{kind: shard_retrieval, split: heldout, gallery: collection}`` is the headline;
``sources: [potter]`` asks one of them.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from iconoclip.errors import EvaluationError

from .base import Benchmark, Prepared

if TYPE_CHECKING:
    from iconoclip.records import Record

    from ..data import EvalData, Pictures


class ShardRetrieval(Benchmark):
    """Text to image and image to text on the held-out pictures of a shard set.

    ``split: heldout`` takes all that can be tested on: fold collections by folds, each fold with a gallery of its own
    and scored by the run that left it out, other collections by their test split.
    ``captions``: ``default`` (one a picture), ``language`` (one of each language, a gallery for each), ``all``.
    ``positives``: right answers bear the same ``caption`` or belong to the same ``work``. ``gallery: collection`` ranks
    each collection by itself and averages over collections. ``limit`` keeps that many pictures, chosen by ``seed``.
    ``novelty`` adds slices of new pages of known works and of new works. ``primary`` is what verdicts rest on: in a
    small gallery the mean percentile rank shows what hit rate@1, one picture in a hundred by chance, cannot.
    """

    title = "Retrieval on held-out pictures"
    description = "Find the picture that a caption describes among held-out pictures, and the caption of a picture."
    licence = "as the shard set's ATTRIBUTION.csv"
    citation = "the shard set's README.md"
    chance = "hit rate@1 1 in the size of the gallery; percentile rank 50 %"
    free_baselines = ("collection only, where collections share a gallery",)
    run_on_real_data = True

    kind: Literal["shard_retrieval"]
    split: str = "test"
    sources: list[str] = []
    languages: list[str] = []
    captions: Literal["default", "language", "all"] = "default"
    positives: Literal["caption", "work"] = "caption"
    gallery: Literal["pool", "collection"] = "pool"
    ks: list[int] = Field(default=[1, 5, 10], min_length=1)
    limit: int | None = Field(default=None, ge=2)
    seed: int = Field(default=0, ge=0)
    novelty: bool = False
    primary: Literal["hit_rate@1", "mean_percentile_rank"] = "hit_rate@1"

    def prepare(self, data: "EvalData") -> Prepared:
        """Collect the split's pictures and cut them into galleries."""
        from ..tasks.retrieval import Retrieval
        from ._galleries import build_galleries, captions_of

        by_folds = self.split == "heldout"
        pictures = data.heldout(self.sources) if by_folds else data.pictures(self.split, self.sources)
        with_text = [p for p in range(len(pictures)) if captions_of(pictures, p, self.captions, self.languages)]
        if not with_text:
            raise EvaluationError(
                f"{data.root}: benchmark {self.shown_name}: no picture of {self.split}/ has a caption"
                f"{' in ' + ', '.join(self.languages) if self.languages else ''}"
            )
        if self.limit is not None:
            pictures = _take(pictures, with_text, self.limit, self.seed)
        sources = tuple(record.source for record in pictures.records)
        task = Retrieval(
            pictures=pictures,
            galleries=build_galleries(
                pictures,
                choice=self.captions,
                languages=self.languages,
                by_collection=self.gallery == "collection",
            ),
            positives=self.positives,
            ks=tuple(self.ks),
            primary=f"text_to_image/{self.primary}",
            average_strata=self.gallery == "collection",
            group_baselines={"collection_only": sources} if self.gallery == "pool" and len(set(sources)) > 1 else {},
            novelty=tuple(_novelty(data, record) for record in pictures.records) if self.novelty else (),
        )
        return Prepared(pictures, (task,))


def _take(pictures: "Pictures", positions: list[int], limit: int, seed: int) -> "Pictures":
    """Choose ``limit`` of ``positions`` by seed, in the global order."""
    from ..data import choose_pictures

    if len(positions) > limit:
        drawn = np.random.default_rng(seed).permutation(len(positions))[:limit]
        positions = [positions[i] for i in sorted(drawn)]
    return choose_pictures(pictures, positions)


def _novelty(data: "EvalData", record: "Record") -> str:
    return "new_page" if data.is_known_work(record) else "new_work"
