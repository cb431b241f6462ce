"""Label pictures with a promise: only what is above a certified threshold gets a label, the rest stays blank.

The classes, prompts, temperature and threshold are those of a certificate that ``iconoclip eval`` wrote. ``labels.csv``
has a row per picture, ``annotations.json`` a W3C annotation per label.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from iconoclip.errors import EvaluationError
from iconoclip.files import write_json

from .apply_annotations import Annotated, annotation_page
from .apply_encoded import EmbedTexts, Encoded, embed_prompts, write_csv
from .selective import Promise, climb, give_labels, label_tree, probabilities
from .selective_certificate import Certificate, find_certificate

COLUMNS = (
    "id", "label", "level", "probability", "best_guess", "best_guess_probability", "threshold", "promised_precision",
    "confidence", "certificate", "model", "model_sha256", "date", "machine_made",
)  # fmt: skip
_SURPRISE = 0.001


@dataclass(frozen=True)
class Given:
    """Labels of the pictures, ``""`` where none is promised, with their levels and probabilities; and best guesses."""

    labels: tuple[str, ...]
    levels: tuple[int, ...]
    probability_N: np.ndarray  # noqa: N815 (the shape)
    guesses: tuple[str, ...]
    guess_probability_N: np.ndarray  # noqa: N815


def apply_certified(encoded: Encoded, embed: EmbedTexts, source: Path, *, precision: float, out: Path) -> str:
    """Write ``labels.csv`` and ``annotations.json`` to ``out``; return what was promised and how much was labelled.

    Raises:
        EvaluationError: ``source`` has no certificate for this model, or none that promises ``precision``.
    """
    certificate = find_certificate(source, encoded.model_sha256)
    promise = certificate.promise(precision)
    given = label_pictures(encoded, embed, certificate, promise)
    _write_table(encoded, given, certificate, promise, out / "labels.csv")
    write_json(out / "annotations.json", _annotations(encoded, given, promise))
    return _text(given, certificate, promise, out)


def label_pictures(encoded: Encoded, embed: EmbedTexts, certificate: Certificate, promise: Promise) -> Given:
    """Give each picture the deepest label whose calibrated probability reaches the promise's threshold."""
    if promise.threshold is None:
        raise EvaluationError(f"{certificate.task}: {promise.precision:g} is not promised: {promise.why_not}")
    prompts = {str(place): texts for place, texts in enumerate(certificate.class_prompts)}
    cosine_NC = encoded.image_ND @ embed_prompts(prompts, embed).T
    probability_NC = probabilities(cosine_NC, certificate.scale)
    tree = label_tree(certificate.classes)
    node_N, mass_N = give_labels(climb(probability_NC, tree), promise.threshold)
    best_N = probability_NC.argmax(axis=1)
    return Given(
        labels=tuple(tree.nodes[node] if node >= 0 else "" for node in node_N),
        levels=tuple(int(tree.depths_K[node]) if node >= 0 else 0 for node in node_N),
        probability_N=mass_N,
        guesses=tuple(certificate.classes[best] for best in best_N),
        guess_probability_N=probability_NC.max(axis=1),
    )


def _write_table(encoded: Encoded, given: Given, certificate: Certificate, promise: Promise, path: Path) -> None:
    name = f"{certificate.benchmark}@{certificate.benchmark_revision} {certificate.task}"
    rows = []
    for row, position in enumerate(encoded.positions):
        label, share = given.labels[row], given.probability_N[row]
        shown = (label, given.levels[row], share) if label else ("", "", "")
        guess = (given.guesses[row], given.guess_probability_N[row])
        rows.append(
            (encoded.pictures.ids[position], *shown, *guess, promise.threshold, promise.precision, promise.confidence,
             name, encoded.model, encoded.model_sha256, encoded.date, "true")
        )  # fmt: skip
    write_csv(path, COLUMNS, rows)


def _annotations(encoded: Encoded, given: Given, promise: Promise) -> dict[str, object]:
    found = [
        Annotated(
            picture=encoded.pictures.ids[position],
            record=encoded.pictures.record(position),
            label=given.labels[row],
            probability=float(given.probability_N[row]),
        )
        for row, position in enumerate(encoded.positions)
        if given.labels[row]
    ]
    return annotation_page(
        found,
        model=encoded.model,
        weights_sha256=encoded.model_sha256,
        created=encoded.date,
        promise=f"at least {promise.precision:.0%} of such labels are right, with {promise.confidence:.0%} confidence",
    )


def _text(given: Given, certificate: Certificate, promise: Promise, out: Path) -> str:
    total, labelled = len(given.labels), sum(map(bool, given.labels))
    lines = [
        f"{labelled:,} of {total:,} pictures labelled ({labelled / total:.1%}), the others left blank.",
        f"Promised: at least {promise.precision:.0%} of the labels are right, for pictures like those of "
        f"{certificate.benchmark} (revision {certificate.benchmark_revision}); a promise like this one is kept in "
        f"{promise.confidence:.0%} of measurements. Measured there: {promise.works_right} of {promise.works} works "
        f"right, {promise.coverage:.1%} of the pictures labelled.",
    ]
    if promise.coverage_by_depth and max(promise.coverage_by_depth, default=1) > 1:
        levels = Counter(level for level in given.levels if level)
        lines.append("By level: " + ", ".join(f"{level}: {count:,}" for level, count in sorted(levels.items())))
    if _is_surprising(labelled, total, promise.coverage):
        lines.append(
            f"These pictures differ from those the promise was measured on ({promise.coverage:.1%} labelled there, "
            f"{labelled / total:.1%} here): have a sample judged before you rely on it."
        )
    return "\n".join([*lines, f"wrote {out / 'labels.csv'} and {out / 'annotations.json'}"])


def _is_surprising(labelled: int, total: int, coverage: float) -> bool:
    """Whether so many or so few labels would be seen once in a thousand times if the pictures were the same kind."""
    fewer = special.bdtr(labelled, total, coverage)
    more = special.bdtrc(labelled - 1, total, coverage) if labelled else 1.0
    return 2 * min(fewer, more) < _SURPRISE
