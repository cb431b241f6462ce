"""Image to image: find another view of the same work, or another impression of the same plate, in a collection.

The picture itself is never in its gallery. Looking for works, nor is a near-duplicate of it: finding the same
photograph is no feat. Impressions of one plate are near-duplicates by nature and are what is looked for.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from iconoclip import metrics

from ..baselines import colour_and_shape, descriptor_similarity
from ..data import Pictures
from ._slices import picture_slices
from .base import NUM_TOP, Embedder, Measure, Need, Queries, Scores, masks, round_similarity, sample_row


@dataclass(frozen=True)
class ImageRetrieval:
    """Another picture of the same work or plate; ``groups`` are (fold, positions) that are ranked among themselves.

    ``plates`` names the plate of each picture of the benchmark, ``""`` where it is not known; without it works are
    looked for.
    """

    name: str
    pictures: Pictures
    groups: tuple[tuple[int | None, tuple[int, ...]], ...]
    ks: tuple[int, ...] = (1, 5)
    primary: str = "image_to_image/hit_rate@1"
    language: str = ""
    plates: tuple[str, ...] = ()

    @property
    def prompts(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def zero_shot_prompts(self) -> dict[str, tuple[str, ...]]:
        """None."""
        return {}

    @property
    def texts_by_language(self) -> dict[str, tuple[str, ...]]:
        """None."""
        return {}

    def needs(self) -> list[Need]:
        """Each group, of the run that left its fold out."""
        return [Need(fold, positions) for fold, positions in self.groups]

    def score(self, embedder: Embedder) -> Scores:
        """Rank each group's pictures by cosine."""
        similarities = []
        for fold, positions in self.groups:
            images = embedder.images(fold, positions)
            similarities.append(round_similarity(images @ images.T))
        return self._score(similarities)

    def baselines(self) -> dict[str, Scores]:
        """Ranking by colour and shape; it sees the same gallery, the other views of the work included."""
        similarities = []
        for _, positions in self.groups:
            descriptors = colour_and_shape(self.pictures, positions)
            similarities.append(round_similarity(descriptor_similarity(descriptors, descriptors)))
        return {"colour_and_shape": Scores(self._score(similarities).measures)}

    @cached_property
    def _relations(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Per group: allowed and right answers, bool [N, N]."""
        found = []
        for _, positions in self.groups:
            is_other = ~np.eye(len(positions), dtype=bool)
            if self.plates:
                plates = np.array([self.plates[p] for p in positions])
                found.append((is_other, is_other & (plates[:, None] == plates[None]) & (plates != "")[:, None]))
                continue
            works = np.array([self.pictures.works[p] for p in positions])
            copies = np.array([self.pictures.records[p].dup_group or self.pictures.keys[p] for p in positions])
            allowed = (copies[:, None] != copies[None]) & is_other
            found.append((allowed, allowed & (works[:, None] == works[None])))
        return found

    def _score(self, similarities: list[np.ndarray]) -> Scores:
        ranks, right, wrong, rows = [], [], [], []
        r_precisions, map_at_r = [], []
        for (_, positions), similarity, (allowed, positive) in zip(
            self.groups, similarities, self._relations, strict=True
        ):
            masked = np.where(allowed, similarity, -np.inf)
            queries = np.flatnonzero(positive.any(axis=1))
            # Pictures that are not allowed must not tie: they are right answers' and wrong answers' neighbours no more.
            rank = metrics.first_positive_ranks(masked[queries], positive[queries]) if len(queries) else queries
            ranks.append(rank)
            r_precisions.append(metrics.r_precisions(masked[queries], positive[queries]))
            map_at_r.append(metrics.average_precisions_at_r(masked[queries], positive[queries]))
            right.append(positive[queries].sum(axis=1))
            wrong.append(allowed[queries].sum(axis=1) - right[-1])
            rows += self._rows(positions, queries, masked, positive, rank)
        counts = np.concatenate(right), np.concatenate(wrong)
        precisions = np.concatenate(r_precisions), np.concatenate(map_at_r)
        return Scores(self._measures(np.concatenate(ranks), *counts, *precisions), rows)

    def _measures(
        self, ranks: np.ndarray, right: np.ndarray, wrong: np.ndarray, r_precisions: np.ndarray, map_at_r: np.ndarray
    ) -> tuple[Measure, ...]:
        asked = [
            positions[place]
            for (_, positions), (_, positive) in zip(self.groups, self._relations, strict=True)
            for place in np.flatnonzero(positive.any(axis=1))
        ]
        units = [self._unit(position) for position in asked]
        queries = Queries(np.array(units), masks(**picture_slices(self.pictures, asked)))
        found = []
        for k in self.ks:
            name = f"image_to_image/hit_rate@{k}"
            chance = [metrics.chance_hit_rate(int(w + r), int(r), k) for w, r in zip(wrong, right, strict=True)]
            hits = (ranks <= k).astype(np.float64)
            found.append(Measure(name, queries, hits, np.array(chance), is_primary=name == self.primary))
        percentiles = metrics.percentile_ranks(ranks, wrong)
        sizes = list(zip(wrong.tolist(), right.tolist(), strict=True))
        guess = np.array([metrics.chance_reciprocal_rank(w, r) for w, r in sizes])
        reciprocal = metrics.reciprocal_ranks(ranks, int((wrong + right).max(initial=0)))
        found.append(Measure("image_to_image/mrr", queries, reciprocal, guess))
        if (right > 1).any():
            guess = np.array([metrics.chance_average_precision(w + r, r, r) for w, r in sizes])
            found.append(Measure("image_to_image/r_precision", queries, r_precisions, right / (wrong + right)))
            found.append(Measure("image_to_image/map@r", queries, map_at_r, guess))
        by_chance = np.where(wrong > 0, right / (right + 1), np.nan)
        found.append(Measure("image_to_image/mean_percentile_rank", queries, percentiles, by_chance))
        return tuple(found)

    def _unit(self, position: int) -> str:
        """What is drawn at once: all queries about one plate, or about one work."""
        return self.plates[position] if self.plates else self.pictures.works[position]

    def _rows(
        self,
        positions: tuple[int, ...],
        queries: np.ndarray,
        masked: np.ndarray,
        positive: np.ndarray,
        ranks: np.ndarray,
    ) -> list[dict]:
        keys = [self.pictures.keys[position] for position in positions]
        rows = []
        for place, rank in zip(queries, ranks, strict=True):
            allowed = int(np.isfinite(masked[place]).sum())
            top = np.argsort(-masked[place], kind="stable")[: min(NUM_TOP, allowed)]
            num_wrong = allowed - int(positive[place].sum())
            percentile = metrics.percentile_ranks(np.array([rank]), np.array([num_wrong]))[0]
            rows.append(
                sample_row(
                    key=keys[place],
                    work_group=self._unit(positions[place]),
                    source=self.pictures.records[positions[place]].source,
                    query_kind="image",
                    rank=int(rank),
                    num_gallery=allowed,
                    percentile=None if np.isnan(percentile) else float(percentile),
                    correct=bool(rank == 1),
                    score=float(masked[place][positive[place]].max()),
                    top_keys=[keys[i] for i in top],
                    top_scores=[float(masked[place][i]) for i in top],
                    positive_keys=[keys[i] for i in np.flatnonzero(positive[place])[:NUM_TOP]],
                )
            )
        return rows
