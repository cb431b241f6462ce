"""Certificates: what may be promised of one model's labels, as a file for apply or any cataloguing system.

``certificates/MODEL--BENCHMARK--TASK.json`` in a results folder holds the classes with their prompts, the fitted scale
and the certified thresholds. It is valid for these weights, classes and prompts, and pictures like those measured on.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from iconoclip.errors import EvaluationError
from iconoclip.files import write_json

from .config import slug
from .selective import Promise

FOLDER = "certificates"
_VERSION = 1


@dataclass(frozen=True)
class Certificate:
    """What was promised of one model's labels: for these weights, classes and prompts, and pictures like those."""

    model: str
    weights_sha256: str
    benchmark: str
    benchmark_revision: str
    task: str
    language: str
    classes: tuple[str, ...]
    class_prompts: tuple[tuple[str, ...], ...]
    scale: float
    promises: tuple[Promise, ...]
    created: str = ""
    version: int = _VERSION

    def promise(self, precision: float) -> Promise:
        """The least strict promise that covers ``precision``.

        Raises:
            EvaluationError: none was asked for, or none could be certified.
        """
        fitting = [promise for promise in self.promises if promise.precision >= precision]
        where = f"{self.benchmark}, {self.task}, {self.model}"
        if not fitting:
            listed = ", ".join(f"{promise.precision:g}" for promise in self.promises)
            raise EvaluationError(
                f"{where}: no promise of {precision:g} was tried, only {listed}; ask for one of these"
            )
        kept = [promise for promise in fitting if promise.threshold is not None]
        if not kept:
            why = min(fitting, key=lambda promise: promise.precision).why_not
            raise EvaluationError(
                f"{where}: {precision:g} cannot be promised ({why}); ask for less, or evaluate on more works"
            )
        return min(kept, key=lambda promise: promise.precision)


def certificate_path(out: Path, *, model: str, benchmark: str, task: str) -> Path:
    """Where the results folder ``out`` has the certificate of a model's labels in a task."""
    return out / FOLDER / f"{slug(model)}--{benchmark}--{task}.json"


def write_certificate(out: Path, certificate: Certificate) -> Path:
    """Write a certificate into the results folder ``out``; return its path."""
    path = certificate_path(out, model=certificate.model, benchmark=certificate.benchmark, task=certificate.task)
    write_json(path, asdict(certificate))
    return path


def keep_certificates(out: Path, kept: Collection[Path]) -> None:
    """Remove those that an earlier evaluation left in ``out``: what it measured is no longer what stands there."""
    for path in (out / FOLDER).glob("*--*--*.json"):
        if path not in kept:
            path.unlink()


def read_certificate(path: Path) -> Certificate:
    """Read a certificate.

    Raises:
        EvaluationError: it is none, or of a newer version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        version = data["version"]
        if version > _VERSION:
            raise EvaluationError(f"{path}: version {version}, this iconoclip reads up to {_VERSION}; update iconoclip")
        promises = tuple(promise_from(row) for row in data.pop("promises"))
        prompts = tuple(tuple(prompts) for prompts in data.pop("class_prompts"))
        return Certificate(**(data | {"classes": tuple(data["classes"])}), class_prompts=prompts, promises=promises)
    except OSError as error:
        raise EvaluationError(f"{path}: {error.strerror}; name a results folder or one of its certificates") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(f"{path}: not a certificate of ours ({error!r}); run `iconoclip eval` again") from None


def promise_from(row: dict[str, Any]) -> Promise:
    """A promise from its JSON values, whose levels are texts."""
    by_depth = row["coverage_by_depth"]
    values: dict[str, Any] = dict(row)
    values["coverage_by_depth"] = by_depth and {int(depth): share for depth, share in by_depth.items()}
    return Promise(**values)


def find_certificate(source: Path, weights_sha256: str) -> Certificate:
    """The certificate for these weights: ``source`` itself, or the only one in the results folder ``source``.

    Raises:
        EvaluationError: there is none, several, or one for other weights.
    """
    if source.is_file():
        found = read_certificate(source)
        if found.weights_sha256 != weights_sha256:
            raise EvaluationError(
                f"{source}: certified for weights {found.weights_sha256[:12]}, the model has {weights_sha256[:12]}; "
                "a promise holds for the weights it was measured with"
            )
        return found
    paths = sorted((source / FOLDER).glob("*.json"))
    if not paths:
        raise EvaluationError(
            f"{source}: no certificates/ in it; name the `out` of an `iconoclip eval` with a zero-shot classification"
        )
    fitting = [path for path in paths if read_certificate(path).weights_sha256 == weights_sha256]
    if not fitting:
        raise EvaluationError(
            f"{source}: {len(paths)} certificates, none for weights {weights_sha256[:12]}; evaluate this model"
        )
    if len(fitting) > 1:
        listed = ", ".join(path.name for path in fitting)
        raise EvaluationError(f"{source}: several certificates fit this model ({listed}); name one of the files")
    return read_certificate(fitting[0])
