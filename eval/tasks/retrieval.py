"""Zero-shot retrieval, text to image and image to text, with several captions and several right answers.

Each gallery is ranked by itself (a collection, a fold, a language); its queries are pooled afterwards. Equal captions
are one query whose right answers are all pictures that bear it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from iconoclip import metrics

from ..data import Pictures
from ._gallery import Gallery, Positives, Side, image_queries, text_queries
from ._ranking import Ranks, group_only, join_ranks, rank_gallery
from ._slices import picture_slices
from .base import NUM_TOP, Embedder, Measure, Need, Queries, Scores, masks, sample_row

Direction = Literal["text_to_image", "image_to_text"]


@dataclass(frozen=True)
class Retrieval:
    """Retrieval over galleries; see the module.

    ``novelty`` says of each picture of the benchmark whether it is a ``new_page`` or a ``new_work``. ``average_strata``
    makes the figures means over strata; strata that are too small to be scored are left out and printed by their count.
    ``group_baselines`` gives, by name, a group of each picture: what a model reaches that knows nothing else.
    ``paired_languages`` (a, b) adds the difference a less b on the pictures that have a caption in both.
    """

    pictures: Pictures
    galleries: tuple[Gallery, ...]
    name: str = "retrieval"
    positives: Positives = "caption"
    ks: tuple[int, ...] = (1, 5, 10)
    primary: str = "text_to_image/hit_rate@1"
    average_strata: bool = False
    group_baselines: dict[str, tuple[str, ...]] = field(default_factory=dict)
    novelty: tuple[str, ...] = ()
    paired_languages: tuple[str, str] | None = None
    directions: tuple[Direction, ...] = ("text_to_image", "image_to_text")
    zero_shot_prompts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def prompts(self) -> tuple[str, ...]:
        """All texts of all galleries, in order."""
        return tuple(text for gallery in self.galleries for text in gallery.texts)

    @property
    def texts_by_language(self) -> dict[str, tuple[str, ...]]:
        """Texts of all galleries by their language."""
        found: dict[str, dict[str, None]] = {}
        for gallery in self.galleries:
            for text, language in zip(gallery.texts, gallery.languages, strict=True):
                found.setdefault(language, {})[text] = None
        return {language: tuple(texts) for language, texts in sorted(found.items())}

    @property
    def language(self) -> str:
        """Languages of the texts."""
        return ",".join(sorted({language for gallery in self.galleries for language in gallery.languages}))

    def needs(self) -> list[Need]:
        """Pictures and texts of each gallery, of the run that left its fold out."""
        return [Need(gallery.fold, gallery.positions, gallery.texts) for gallery in self.galleries]

    def score(self, embedder: Embedder) -> Scores:
        """Rank every gallery with the model's embeddings."""
        measures: list[Measure] = []
        rows: list[dict[str, Any]] = []
        for direction in self.directions:
            parts = []
            for gallery, side in zip(self.galleries, self._sides[direction], strict=True):
                images = embedder.images(gallery.fold, gallery.positions)
                texts = embedder.texts(gallery.fold, gallery.texts)
                asking, searched = (texts, images) if direction == "text_to_image" else (images, texts)
                parts.append(rank_gallery(asking, searched, side.positives, self.ks))
                rows += self._rows(direction, gallery, side, parts[-1])
            measures += self._measures(direction, join_ranks(parts))
        return Scores(tuple(measures), rows)

    def baselines(self) -> dict[str, Scores]:
        """Models that know of a picture only its group, such as its collection; computed exactly."""
        return {name: self._group_baseline(groups) for name, groups in self.group_baselines.items()}

    def _group_baseline(self, groups: tuple[str, ...]) -> Scores:
        measures = []
        for direction in self.directions:
            parts = []
            for gallery, side in zip(self.galleries, self._sides[direction], strict=True):
                of_picture = [groups[position] for position in gallery.positions]
                of_text = [of_picture[owners[0]] for owners in gallery.owners]
                asking, searched = (of_text, of_picture) if direction == "text_to_image" else (of_picture, of_text)
                parts.append(group_only(asking, searched, side.positives, self.ks))
            found = self._measures(direction, join_ranks(parts))
            measures += [
                m for m in found if m.metric.rpartition("/")[2].startswith(("hit_rate", "mean_percentile_rank"))
            ]
        return Scores(tuple(m for m in measures if "_minus_" not in m.metric))

    @cached_property
    def _sides(self) -> dict[Direction, list[Side]]:
        build = {"text_to_image": text_queries, "image_to_text": image_queries}
        return {
            direction: [
                build[direction](gallery, self.pictures, self.positives, self.novelty) for gallery in self.galleries
            ]
            for direction in self.directions
        }

    @cached_property
    def _queries(self) -> dict[Direction, tuple[Queries, np.ndarray]]:
        """Queries and strata of each direction."""
        found = {}
        for direction, sides in self._sides.items():
            fields = picture_slices(self.pictures, [position for side in sides for position in side.positions])
            slices = masks(
                source=fields.pop("source"),
                language=[language for side in sides for language in side.languages],
                novelty=[novelty for side in sides for novelty in side.novelty],
                **fields,
            )
            works = np.array([work for side in sides for work in side.works])
            strata = np.repeat([gallery.stratum for gallery in self.galleries], [len(side.works) for side in sides])
            found[direction] = Queries(works, slices), strata
        return found

    def _measures(self, direction: Direction, found: Ranks) -> list[Measure]:
        queries, strata = self._queries[direction]
        wrong, right = found.num_wrong, found.num_positive
        size = wrong + right
        largest = int(size.max(initial=0))
        several = bool((right > 1).any())

        def measure(name: str, values: np.ndarray, chance: np.ndarray, *, is_rank: bool = False) -> Measure:
            metric = f"{direction}/{name}"
            return Measure(
                metric=metric,
                queries=queries,
                values=np.where(right > 0, values, np.nan),
                chance=chance,
                combine="median" if is_rank else "mean",
                strata=strata if self.average_strata else None,
                drop_small_strata=self.average_strata,
                is_share=not is_rank,
                is_primary=metric == self.primary,
            )

        measures = []
        for k in (k for k in self.ks if k == 1 or k < largest):
            guess = [metrics.chance_hit_rate(int(n), int(r), k) for n, r in zip(size, right, strict=True)]
            measures.append(measure(f"hit_rate@{k}", found.hits[k], np.array(guess)))
            if several and k > 1:
                measures.append(measure(f"recall@{k}", found.recalls[k], np.minimum(1.0, k / np.maximum(size, 1))))
        measures += self._whole_ranking(measure, found)
        guess = np.where(wrong > 0, right / (right + 1), np.nan)
        measures.append(measure("mean_percentile_rank", found.percentiles, guess))
        guess = np.array([metrics.chance_median_rank(int(w), int(r)) for w, r in zip(wrong, right, strict=True)])
        measures.append(measure("median_rank", found.ranks.astype(np.float64), guess, is_rank=True))
        if self.paired_languages and direction == "text_to_image":
            measures.append(self._language_difference(found.percentiles, self.paired_languages))
        return measures

    def _whole_ranking(self, measure: Callable[..., Measure], found: Ranks) -> Iterator[Measure]:
        """MRR, and where queries have several right answers R-precision and mAP@R; none for a group baseline."""
        wrong, right = found.num_wrong, found.num_positive
        if not found.top:
            return
        guess = [metrics.chance_reciprocal_rank(int(w), int(r)) for w, r in zip(wrong, right, strict=True)]
        size = int((wrong + right).max(initial=0))
        yield measure("mrr", metrics.reciprocal_ranks(found.ranks, size), np.array(guess))
        if np.isfinite(found.r_precisions).any():
            guess = [
                metrics.chance_average_precision(int(w + r), int(r), int(r)) for w, r in zip(wrong, right, strict=True)
            ]
            yield measure("r_precision", found.r_precisions, right / np.maximum(wrong + right, 1))
            yield measure("map@r", found.map_at_r, np.array(guess))

    def _language_difference(self, percentiles: np.ndarray, languages: tuple[str, str]) -> Measure:
        """Percentile rank in the first language less that in the second, per picture with a caption in both."""
        reached: dict[tuple[int, str], list[float]] = {}
        offset = 0
        for gallery in self.galleries:
            for text, owners in enumerate(gallery.owners):
                for owner in owners:
                    key = gallery.positions[owner], gallery.languages[text]
                    reached.setdefault(key, []).append(float(percentiles[offset + text]))
            offset += len(gallery.texts)
        first, second = languages
        both = sorted({p for p, _ in reached if (p, first) in reached and (p, second) in reached})
        return Measure(
            metric=f"text_to_image/mean_percentile_rank_{first}_minus_{second}",
            queries=Queries(np.array([self.pictures.works[p] for p in both]), masks(page=[""] * len(both))),
            values=np.array([np.mean(reached[p, first]) - np.mean(reached[p, second]) for p in both]),
            chance=np.zeros(len(both)),
            is_share=False,
        )

    def _rows(self, direction: Direction, gallery: Gallery, side: Side, found: Ranks) -> Iterator[dict[str, Any]]:
        keys = [self.pictures.keys[position] for position in gallery.positions]
        from_text = direction == "text_to_image"
        columns = keys if from_text else [keys[owners[0]] for owners in gallery.owners]
        percentiles = found.percentiles
        for query in np.flatnonzero(found.num_positive > 0):
            right = side.positives[query]
            owner = gallery.owners[query][0] if from_text else query
            yield sample_row(
                key=keys[owner],
                work_group=side.works[query],
                source=self.pictures.records[side.positions[query]].source,
                language=side.languages[query],
                query=gallery.texts[query] if from_text else gallery.texts[right[0]],
                query_kind="text" if from_text else "image",
                rank=int(found.ranks[query]),
                num_gallery=len(columns),
                percentile=float(percentiles[query]) if np.isfinite(percentiles[query]) else None,
                correct=bool(found.ranks[query] == 1),
                score=float(found.best[query]),
                top_keys=[columns[column] for column in found.top[query]],
                top_scores=[float(score) for score in found.top_scores[query]],
                positive_keys=list(dict.fromkeys(columns[column] for column in right[:NUM_TOP])),
            )
