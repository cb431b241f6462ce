"""Encode pictures with a model, and what every way of applying it shares: prompts, softmax, safe CSV."""

import csv
import io
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from iconoclip.errors import EvaluationError
from iconoclip.files import write_text
from iconoclip.provenance import utc_now

from .apply_pictures import BrokenPictureError, Pictures

logger = logging.getLogger(__name__)

PROGRESS_EVERY_S = 10.0

EmbedTexts = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Encoded:
    """What the model made of the pictures: ``image_ND`` float32 rows of length 1 for ``positions`` of ``pictures``."""

    pictures: Pictures
    positions: tuple[int, ...]
    image_ND: np.ndarray  # noqa: N815 (the shape)
    broken: tuple[tuple[str, str], ...]
    model: str
    model_sha256: str
    scale: float
    date: str


def encode(name: str, pictures: Pictures) -> tuple[Encoded, EmbedTexts]:
    """Load the model and encode every picture that can be read, with progress every few seconds."""
    from iconoclip import embed, models

    model = models.load(name)
    device = models.best_device()
    sha256 = model.weights_sha256
    broken: dict[int, str] = {}
    progress = _Progress(len(pictures))

    def read(position: int) -> bytes:
        progress.step()
        try:
            image = pictures.read(position)
        except BrokenPictureError as error:
            broken[position] = str(error)
            image = Image.new("RGB", (8, 8))  # keeps the place in its batch; the row is dropped below
        file = io.BytesIO()
        image.save(file, "BMP")  # lossless and quick: the embedding decodes it again
        return file.getvalue()

    image_ND = embed.embed_images(model, read, len(pictures), device=device)
    keep = tuple(position for position in range(len(pictures)) if position not in broken)
    if not keep:
        first = next(iter(broken.values()))
        raise EvaluationError(f"none of the {len(pictures):,} pictures can be read; the first: {first}")
    encoded = Encoded(
        pictures=pictures,
        positions=keep,
        image_ND=image_ND[list(keep)],
        broken=(*((pictures.ids[position], broken[position]) for position in sorted(broken)), *pictures.skipped),
        model=name,
        model_sha256=sha256,
        scale=float(model.module.logit_scale.detach().exp()),  # type: ignore[operator]
        date=utc_now(),
    )
    return encoded, lambda texts: embed.embed_texts(model, texts, device=device)


def nearest_pictures(encoded: Encoded, text_D: np.ndarray, k: int) -> list[tuple[int, float]]:
    """The ``k`` rows of ``image_ND`` nearest to a text, best first, with their cosine; of equal ones the earlier."""
    cosine_N = encoded.image_ND @ text_D
    return [(int(row), float(cosine_N[row])) for row in np.argsort(-cosine_N, kind="stable")[:k]]


class _Progress:
    """Say every few seconds how far the encoding is; quiet when it is quick."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.started = self.said = time.monotonic()

    def step(self) -> None:
        """Count one picture (from any thread; a lost count only shifts the message)."""
        self.done += 1
        now = time.monotonic()
        if now - self.said >= PROGRESS_EVERY_S:
            self.said = now
            rate = self.done / (now - self.started)
            left = (self.total - self.done) / rate
            logger.info("%s/%s pictures, %.1f img/s, %.0f s left", f"{self.done:,}", f"{self.total:,}", rate, left)


def embed_prompts(prompts: dict[str, tuple[str, ...]], embed: EmbedTexts) -> np.ndarray:
    """One row of length 1 per label: the mean of its prompts' unit rows, set to length 1 (Radford 2021, 3.1.4)."""
    rows = []
    text_PD = embed([prompt for texts in prompts.values() for prompt in texts])
    start = 0
    for texts in prompts.values():
        mean = text_PD[start : start + len(texts)].mean(axis=0)
        rows.append(mean / np.linalg.norm(mean))
        start += len(texts)
    return np.stack(rows)


def softmax(logits_NL: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, in float64."""
    shifted = np.asarray(logits_NL, dtype=np.float64)
    shifted = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write UTF-8 CSV, atomically. Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(columns)
    table.writerows([_cell(value) for value in row] for row in rows)
    write_text(path, file.getvalue())


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.6f}"
    text = str(value)
    # OWASP, "CSV Injection": these characters open a formula in Excel, LibreOffice and Google Sheets.
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not isinstance(value, int) else text
