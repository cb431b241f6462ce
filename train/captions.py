"""Which caption goes with a picture in a given epoch."""

from collections.abc import Sequence

import numpy as np

from iconoclip.records import Caption

from .config import CaptionConfig
from .order import generator


def usable(captions: Sequence[Caption], config: CaptionConfig) -> list[Caption]:
    """Captions that the configuration admits, in the record's order."""
    return [
        caption
        for caption in captions
        if caption.text.strip()
        and (config.languages is None or caption.lang in config.languages)
        and (config.levels is None or caption.level in config.levels)
        and (config.machine or not caption.machine)
    ]


def draw(captions: Sequence[Caption], config: CaptionConfig, *, seed: int, epoch: int, key: str) -> Caption:
    """Choose one of ``captions`` (not empty), the same for the same (seed, epoch, key).

    Example, ``rotate`` with captions en1, en2, fr1 and a start drawn as 0: epochs 0, 1, 2, 3 give en1, fr1, en2, fr1.
    """
    languages = sorted({caption.lang for caption in captions})
    if config.draw == "rotate":
        turn = int(generator(seed, "caption", key).integers(len(languages))) + epoch
        language, number = languages[turn % len(languages)], turn // len(languages)
    else:
        rng = generator(seed, "caption", epoch, key)
        language, number = _draw_language(languages, config, rng), int(rng.integers(2**31))
    spoken = [caption for caption in captions if caption.lang == language]
    return spoken[number % len(spoken)]


def _draw_language(languages: Sequence[str], config: CaptionConfig, rng: np.random.Generator) -> str:
    if not config.weights:
        return languages[int(rng.integers(len(languages)))]
    ends = np.cumsum([config.weights.get(language, 1.0) for language in languages])
    return languages[int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))]
