"""What an evaluation measures beside its scores: trust in labels, what training had seen, contested words and skew.

One object goes through the run: ``benchmark(...)`` before a benchmark's tasks, ``task(...)`` after each, ``write(out)``
at the end.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from iconoclip.files import write_text

from .benchmarks.base import Prepared
from .bias_run import caption_texts, model_rows, prompt_texts, share_rows, term_rows
from .bias_terms import Term, read_terms
from .config import EvalConfig
from .contamination import Leaks, TrainingPictures, find_leaks, seen_by, seen_works, training_sets
from .contamination_clean import evaluate_clean
from .contamination_embedding import EmbeddingSearch
from .contestants import Contestant
from .data import EvalData
from .kept import KeptBenchmarks
from .results import ComparisonRow, Context, Evaluated
from .selective_certificate import certificate_path, keep_certificates
from .selective_run import measure_task
from .tasks.base import Embedder, Scores, Task

_log = logging.getLogger(__name__)


@dataclass
class Beside:
    """Rows that are gathered while an evaluation runs.

    ``clean`` is what all questions say without the pictures that training saw, as far as they were looked for.
    """

    config: EvalConfig
    data: EvalData
    contestants: Sequence[Contestant]
    kept: KeptBenchmarks
    clean: Evaluated = field(default_factory=Evaluated)
    _trust: list[dict[str, Any]] = field(default_factory=list)
    _leaks: dict[str, Leaks] = field(default_factory=dict)
    _leak_rows: list[dict[str, Any]] = field(default_factory=list)
    _bias: list[dict[str, Any]] = field(default_factory=list)

    def benchmark(self, name: str, ready: Prepared) -> None:
        """Compare a benchmark's pictures with the training pictures that are known, and look at its captions."""
        self._look_at_captions(name, ready)
        leaks, train_sets = self._find(name, ready)
        self._leaks[name] = leaks
        works = {leak.work for leak in leaks.leaks}
        by: dict[str, set[str]] = {how: set() for how in leaks.compared}
        for leak in leaks.leaks:
            by[leak.how].add(leak.key)
        self._leak_rows.append(
            {
                "benchmark": name,
                "benchmark_revision": ready.pictures.revision,
                "n": len(ready.pictures),
                "seen": len(leaks.keys),
                "seen_works": len(works),
                "by": {how: len(keys) for how, keys in by.items()},
                "train_pictures": leaks.num_train,
                "train_sets": train_sets,
                "notes": list(leaks.notes),
                "leaks": [asdict(leak) for leak in leaks.leaks],
            }
        )
        if leaks.leaks:
            _log.warning("%s: %d of %d pictures were seen in training", name, len(leaks.keys), len(ready.pictures))

    def task(
        self,
        name: str,
        ready: Prepared,
        task: Task,
        scores: Mapping[str, Scores],
        context: Context,
        evaluated: Evaluated,
        embedders: Mapping[str, Embedder],
        refused: dict[str, str],
    ) -> None:
        """Measure what belongs to one task, after its rows are in ``evaluated``."""
        scored = [contestant for contestant in self.contestants if contestant.label not in refused]
        seen = seen_works(ready.pictures, self._leaks[name])
        self._trust += measure_task(task, scored, embedders, self.config, name, seen_works=seen)
        self._bias += term_rows(prompt_texts(task), self._terms, benchmark=name, where=f"prompts of {task.name}")
        known = {model: outcome for model, outcome in scores.items() if model not in refused}
        self._bias += model_rows(task, ready.pictures, known, benchmark=name, seed=self.config.seed)
        whole, leaks = evaluated.of(name, task.name), self._leaks[name]
        if leaks.compared:
            whole = evaluate_clean(task, ready.pictures, leaks, scores, context, whole, refused)
        else:
            whole.results = []  # nothing was looked for, so nothing is called clean
        self.clean.add(whole)

    def clean_comparisons(self) -> list[ComparisonRow]:
        """Comparisons on the clean queries, corrected among those of all questions."""
        return self.clean.corrected()

    def has_seen(self, benchmark: str) -> bool:
        """Whether training saw pictures of a benchmark."""
        return bool(self._leaks[benchmark].leaks)

    def write(self, out: Path) -> None:
        """Write ``selective.jsonl``, ``contamination.jsonl`` and ``bias.jsonl``, and remove earlier certificates."""
        written = {"selective": self._trust, "contamination": self._leak_rows, "bias": self._bias}
        for name, rows in written.items():
            lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
            write_text(out / f"{name}.jsonl", "".join(f"{line}\n" for line in lines))
        made = [row for row in self._trust if not row["why_not"]]
        named = ({name: row[name] for name in ("model", "benchmark", "task")} for row in made)
        keep_certificates(out, {certificate_path(out, **names) for names in named})

    def _look_at_captions(self, name: str, ready: Prepared) -> None:
        train = self.data.records("train") if "train" in self.data.splits else []
        if not self._bias and train:
            self._bias += term_rows(caption_texts(train), self._terms, benchmark="", where="captions of train/")
        self._bias += term_rows(
            caption_texts(ready.pictures.records), self._terms, benchmark=name, where=f"captions of {name}"
        )
        self._bias += share_rows(ready.pictures, train, benchmark=name, seed=self.config.seed)

    @cached_property
    def _terms(self) -> list[Term]:
        return read_terms(self.config.contested_terms)

    @cached_property
    def _training(self) -> list[TrainingPictures]:
        check = self.config.contamination
        trained_on = {name for contestant in self.contestants for name in contestant.trained_on}
        return training_sets(self.config.shards, check.train, trained_on) if check.by else []

    @cached_property
    def _search(self) -> EmbeddingSearch | None:
        check = self.config.contamination
        if "embedding" not in check.by or check.model is None:
            return None
        return EmbeddingSearch(check.model, min_cosine=check.min_cosine, seed=self.config.seed)

    def _find(self, name: str, ready: Prepared) -> tuple[Leaks, list[str]]:
        if self.config.from_cache:
            return self.kept.leaks(name, ready.pictures)
        found, names = self._look(ready), [each.name for each in self._training]
        self.kept.keep_leaks(name, ready.pictures, found, names)
        return found, names

    def _look(self, ready: Prepared) -> Leaks:
        check = self.config.contamination
        found = find_leaks(ready.pictures, self._training, self.data, by=check.by, max_distance=check.max_distance)
        if self._search is None or not self._training:
            return found
        seen = [seen_by(ready.pictures, each, self.data) for each in self._training]
        leaks, why_not = self._search.find(ready.pictures, self._training, seen)
        if why_not:
            return Leaks(found.leaks, found.compared, found.num_train, (why_not,))
        known = {(leak.key, leak.train_key) for leak in found.leaks}
        new = tuple(leak for leak in leaks if (leak.key, leak.train_key) not in known)
        return Leaks((*found.leaks, *new), (*found.compared, "embedding"), found.num_train)
