"""Retrieval on held-out pairs while training: the same figures as the evaluation reports, on fewer pictures."""

from dataclasses import dataclass

import numpy as np

from iconoclip.errors import ConfigError
from iconoclip.metrics import first_positive_ranks, hit_rate_at_k
from iconoclip.models import Model
from iconoclip.shards import ShardSet, open_shards

from .captions import usable
from .config import CaptionConfig, TrainConfig
from .embedding import SharedEmbedder
from .processes import Processes

KS = (1, 5)


@dataclass(frozen=True)
class HeldOut:
    """Held-out pictures and, for each language, the captions of those that have one.

    ``captions[language]`` is a list of (number of the picture, text).
    """

    shard_set: ShardSet
    num_pictures: int
    captions: dict[str, list[tuple[int, str]]]


def open_held_out(config: TrainConfig) -> HeldOut | None:
    """Read the captions of the validation split; None if the run has none.

    Raises:
        ConfigError: no picture there has a usable caption.
    """
    if config.validation is None:
        return None
    wanted = config.validation
    shard_set = open_shards(wanted.path, wanted.split)
    num_pictures = min(len(shard_set), wanted.max_pictures)
    captions: dict[str, list[tuple[int, str]]] = {}
    for number in range(num_pictures):
        for language, text in _texts(shard_set, number, config.captions):
            captions.setdefault(language, []).append((number, text))
    if not captions:
        raise ConfigError(f"validation: {wanted.path} ({wanted.split}): no picture has a caption the run may use")
    return HeldOut(shard_set, num_pictures, dict(sorted(captions.items())))


def _texts(shard_set: ShardSet, number: int, config: CaptionConfig) -> list[tuple[str, str]]:
    """Return the first usable caption of each language."""
    record = shard_set.record(number)
    if config.draw == "default":
        text = shard_set.text(number)
        language = next((caption.lang for caption in record.captions if caption.text == text), "und")
        return [(language, text)] if text.strip() else []
    first: dict[str, str] = {}
    for caption in usable(record.captions, config):
        first.setdefault(caption.lang, caption.text)
    return list(first.items())


def measure(model: Model, held_out: HeldOut, processes: Processes) -> dict[str, float]:
    """Hit rates of both directions, for each language and as the mean over languages; all processes share the work.

    Names are ``text_to_image/hit_rate@1`` (mean) and ``text_to_image/hit_rate@1/fr``; ``score`` is the mean of both
    directions' hit_rate@1, by which the best checkpoint is chosen. Equal captions are right for each other's pictures.

    Raises:
        Stopped: all processes have agreed to stop.
    """
    embedder = SharedEmbedder(model, processes)
    images_GD = embedder.images(held_out.shard_set.image_bytes, held_out.num_pictures)
    texts_D = embedder.texts([text for pairs in held_out.captions.values() for _, text in pairs])
    own: dict[str, float] = {}
    start = 0
    for number, (language, pairs) in enumerate(held_out.captions.items()):
        texts_QD = texts_D[start : start + len(pairs)]
        start += len(pairs)
        if number % processes.world == processes.rank:
            own |= _hit_rates(texts_QD, images_GD, language, pairs)
    figures: dict[str, float] = {}
    for part in processes.gather(own):
        figures |= part
    for direction in ("text_to_image", "image_to_text"):
        for k in KS:
            name = f"{direction}/hit_rate@{k}"
            figures[name] = float(np.mean([figures[f"{name}/{language}"] for language in held_out.captions]))
    figures["score"] = (figures["text_to_image/hit_rate@1"] + figures["image_to_text/hit_rate@1"]) / 2
    return dict(sorted(figures.items()))


def _hit_rates(
    texts_QD: np.ndarray, images_GD: np.ndarray, language: str, pairs: list[tuple[int, str]]
) -> dict[str, float]:
    """Figures of one language; its captions are searched among the pictures that have one in it."""
    similarity_QG = texts_QD @ images_GD[np.array([number for number, _ in pairs])].T
    ids = np.unique([" ".join(text.casefold().split()) for _, text in pairs], return_inverse=True)[1]
    positive_QG = ids[:, None] == ids[None, :]
    figures = {}
    for direction, similarity in (("text_to_image", similarity_QG), ("image_to_text", similarity_QG.T)):
        ranks = first_positive_ranks(similarity, positive_QG)
        for k in KS:
            figures[f"{direction}/hit_rate@{k}/{language}"] = hit_rate_at_k(ranks, k)
    return figures
