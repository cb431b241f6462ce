"""Measure how far zero-shot labels can be trusted: a row of ``selective.jsonl`` and a certificate per model."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from iconoclip.provenance import utc_now

from .config import EvalConfig
from .contestants import Contestant
from .resampling import PooledFigure, resample_pooled
from .selective import (
    CONFIDENCE,
    NUM_BINS,
    Part,
    Promise,
    augrc,
    calibration_errors,
    certify,
    fit_scale,
    fitting_part,
    label_tree,
    mass_bins,
    one_per_work,
    probabilities,
    risk_coverage,
)
from .selective_certificate import Certificate, promise_from, write_certificate
from .statistics import MIN_WORKS, interval
from .tasks.base import Embedder, Task
from .tasks.classification import Classification, class_weights

PRECISIONS = (0.8, 0.9, 0.95, 0.99)
_CURVE_POINTS = 100
_MAX_RESAMPLES = 2000


def measure_task(
    task: Task,
    contestants: Sequence[Contestant],
    embedders: Mapping[str, Embedder],
    config: EvalConfig,
    benchmark: str,
    *,
    seen_works: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Rows of ``selective.jsonl`` of one task, with certificates written; empty for anything but classification.

    ``seen_works`` are left out: what a model says of pictures that training saw promises nothing of new ones.
    """
    if not isinstance(task, Classification):
        return []
    rows = []
    for contestant in contestants:
        learnt_scale = float(contestant.model(None).module.logit_scale.detach().exp())  # type: ignore[operator]
        weights_sha256 = contestant.weights_sha256([None])
        row = measure_trust(
            task, embedders[contestant.label],
            learnt_scale=learnt_scale, resamples=min(config.resamples, _MAX_RESAMPLES), seed=config.seed,
            seen_works=seen_works,
        )  # fmt: skip
        if not row["why_not"]:
            certificate = _certificate(task, row, contestant.label, weights_sha256, benchmark)
            write_certificate(config.out, certificate)
        about = {
            "model": contestant.label,
            "weights_sha256": weights_sha256,
            "benchmark": benchmark,
            "benchmark_revision": task.pictures.revision,
            "task": task.name,
        }
        rows.append(about | row)
    return rows


def measure_trust(
    task: Classification,
    embedder: Embedder,
    *,
    learnt_scale: float,
    resamples: int,
    seed: int,
    seen_works: Collection[str] = (),
) -> dict[str, Any]:
    """Calibration, risk and coverage, and promises of one model on one task; ``why_not`` where works are too few.

    Works in ``seen_works`` are left out; ``n_seen`` counts their pictures.
    """
    sizes = [len(prompts) for prompts in task.class_prompts]
    weights_CD = class_weights(embedder.texts(None, task.prompts), sizes)
    is_new_N = np.array([task.pictures.works[position] not in seen_works for position in task.positions], dtype=bool)
    positions = [position for position, is_new in zip(task.positions, is_new_N, strict=True) if is_new]
    works = [task.pictures.works[position] for position in positions]
    keys = [task.pictures.keys[position] for position in positions]
    labels_N, fits_N = np.array(task.labels)[is_new_N], fitting_part(works)
    counts = {
        "n_fitted": int(fits_N.sum()),
        "n": int((~fits_N).sum()),
        "works_fitted": len({work for work, fits in zip(works, fits_N, strict=True) if fits}),
        "works": len({work for work, fits in zip(works, fits_N, strict=True) if not fits}),
        "n_seen": int((~is_new_N).sum()),
    }
    if min(counts["works_fitted"], counts["works"]) < MIN_WORKS:
        parts = f"{counts['works_fitted']} works to fit on and {counts['works']} to measure on"
        unseen = "of the works that training did not see, " if counts["n_seen"] else ""
        return counts | {"why_not": f"{unseen}{parts}; each part needs at least {MIN_WORKS}"}
    cosine_NC = np.asarray(embedder.images(None, positions) @ weights_CD.T, dtype=np.float64)
    scale = fit_scale(cosine_NC[fits_N], labels_N[fits_N])
    fitted, measured = (
        _part(probabilities(cosine_NC[mask], scale), labels_N[mask], _pick(works, mask), _pick(keys, mask))
        for mask in (fits_N, ~fits_N)
    )
    tree = label_tree(task.classes)
    largest = float(np.bincount(measured.labels_N[measured.units]).max() / len(measured.units))
    idle = f"{largest:.1%} of the works to measure on are of one class: calling everything so would keep it"
    promises = [
        certify(fitted, measured, tree, precision=precision)
        if largest < precision
        else Promise(precision, CONFIDENCE, None, why_not=idle)
        for precision in PRECISIONS
    ]
    raw = probabilities(cosine_NC[~fits_N], learnt_scale)
    figures = _figures(measured, raw, _pick(works, ~fits_N), resamples=resamples, seed=seed)
    return (
        counts
        | {"why_not": "", "scale_learnt": learnt_scale, "scale": scale}
        | figures
        | {"has_levels": bool((tree.depths_K > 1).any()), "promises": [asdict(promise) for promise in promises]}
    )


def _pick(values: Sequence[str], mask: np.ndarray) -> list[str]:
    return [value for value, is_in in zip(values, mask, strict=True) if is_in]


def _part(probability_NC: np.ndarray, labels_N: np.ndarray, works: Sequence[str], keys: Sequence[str]) -> Part:
    return Part(probability_NC, labels_N, one_per_work(works, keys))


def _figures(measured: Part, raw_NC: np.ndarray, works: Sequence[str], *, resamples: int, seed: int) -> dict[str, Any]:
    """Figures of the measuring part with 95 % intervals by work, and the two curves that are drawn."""
    confidence_N = measured.probability_NC.max(axis=1)
    correct_N = (measured.probability_NC.argmax(axis=1) == measured.labels_N).astype(np.float64)
    bins_N, raw_N = mass_bins(confidence_N), raw_NC.max(axis=1)
    raw_correct_N = (raw_NC.argmax(axis=1) == measured.labels_N).astype(np.float64)
    measures = {
        "accuracy": PooledFigure(_shares, (correct_N,)),
        "ece_learnt": PooledFigure(calibration_errors, (raw_N, raw_correct_N, mass_bins(raw_N))),
        "ece": PooledFigure(calibration_errors, (confidence_N, correct_N, bins_N)),
        "augrc": PooledFigure(augrc, (confidence_N, correct_N)),
    }
    found: dict[str, Any] = {"ece_bins": NUM_BINS}
    drawn_RM = resample_pooled(list(measures.values()), works, resamples=resamples, seed=seed)
    for (name, figure), drawn_R in zip(measures.items(), drawn_RM.T, strict=True):
        value = float(figure(np.ones((1, len(works))))[0])
        # Works that come twice look less calibrated than they are; the draws are taken without that bias.
        bias = float(drawn_R.mean()) - value if name.startswith("ece") else 0.0
        seen = interval(np.maximum(drawn_R - bias, 0), value, num_works=len(set(works)))
        found[name] = {"value": value, "ci_low": seen.low, "ci_high": seen.high}
    coverage, risk = risk_coverage(confidence_N, correct_N)
    chosen = np.unique(np.linspace(0, len(coverage) - 1, _CURVE_POINTS).round().astype(int))
    found["risk_coverage"] = [[round(float(coverage[i]), 5), round(float(risk[i]), 5)] for i in chosen]
    found["reliability"] = [
        {"n": int(mine.sum()), "confidence": float(confidence_N[mine].mean()), "right": float(correct_N[mine].mean())}
        for mine in (bins_N == number for number in np.unique(bins_N))
    ]
    return found


def _shares(correct_N: np.ndarray, weights_RN: np.ndarray) -> np.ndarray:
    return weights_RN @ correct_N / weights_RN.sum(axis=1)


def _certificate(
    task: Classification, row: dict[str, Any], model: str, weights_sha256: str, benchmark: str
) -> Certificate:
    return Certificate(
        model=model,
        weights_sha256=weights_sha256,
        benchmark=benchmark,
        benchmark_revision=task.pictures.revision,
        task=task.name,
        language=task.language,
        classes=tuple(task.classes),
        class_prompts=tuple(tuple(prompts) for prompts in task.class_prompts),
        scale=row["scale"],
        promises=tuple(promise_from(promise) for promise in row["promises"]),
        created=utc_now(),
    )
