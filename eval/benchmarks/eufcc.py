"""EUFCC-340K: types, materials, classifications and subjects of museum objects from Europeana, by new splits.

``{kind: eufcc, root: EUFCC-340K}`` is github.com/cesc47/EUFCC-340K with its ``data/*.csv``, and the pictures where its
``downloader.py`` puts them (``EUROPEANA/images/<id>.jpg``) or in ``images/``.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import Field

from iconoclip.errors import EvaluationError

from .base import FilesBenchmark, KnownResult, Prepared

if TYPE_CHECKING:
    from iconoclip.records import Record

    from ..data import EvalData, Pictures
    from ..tasks.base import Task

Facet = Literal["objectTypes", "materials", "classifications", "subjects"]
_SALT = "eufcc"
_TASK_NAMES = {
    "objectTypes": "object_types",
    "materials": "materials",
    "classifications": "classifications",
    "subjects": "subjects",
}
_DELETED = "ELIMINAR"  # "to be deleted", left in the published trees
_PAPER = "arXiv 2406.02380, table of the splits before 22 March 2026, which leaked"


def _known(model: str, ident: Sequence[float], unseen: Sequence[float]) -> tuple[KnownResult, ...]:
    return tuple(
        KnownResult(model, metric, value, _PAPER, split, "all facets together")
        for split, row in (("in distribution", ident), ("unseen providers", unseen))
        for metric, value in zip(("r_precision", "hit_rate@1", "hit_rate@10", "mean_label_rank"), row, strict=True)
    )


@dataclass(frozen=True)
class _Row:
    """One record with its labels by facet; a label is its path from the top.

    ``cells`` are those of all facets as they are written, also of facets that are not asked.
    """

    record: "Record"
    labels: dict[str, tuple[tuple[str, ...], ...]]
    cells: list[str]


class Eufcc(FilesBenchmark):
    """Rank the labels of each facet, for objects of known providers and of providers that were never seen.

    The published splits leaked and were replaced, so new ones are made from contents: all of a provider's objects are
    unseen when the hash of its name lies below ``unseen_share``; of the others a picture is tested when the hash of its
    content lies below ``test_share``. Labels are those that at least ``min_pictures`` of the other pictures have, in
    Catalan as published. Europeana's addresses rot: what is missing is counted.
    """

    title = "EUFCC-340K: facets of museum objects"
    description = (
        "Objects of 358 providers on Europeana with labels in four hierarchical facets aligned to the AAT, in Catalan. "
        "Zero-shot ranking of a facet's labels, for known and for unseen providers."
    )
    licence = "no licence stated for the annotations; pictures open for reuse, by provider"
    citation = "EUFCC-340K, 2024, arXiv 2406.02380; github.com/cesc47/EUFCC-340K"
    chance = "right labels over labels of the facet; printed beside each figure"
    free_baselines = ("most frequent labels",)
    known_results = (
        *_known("CLIP, zero-shot", (0.35, 0.37, 0.66, 66.7), (0.20, 0.20, 0.46, 143.4)),
        *_known("CLIP, fine-tuned, one tag", (0.64, 0.71, 0.94, 13.2), (0.74, 0.75, 0.90, 9.6)),
        *_known("CLIP, fine-tuned, one tag and prompt", (0.70, 0.76, 0.93, 14.1), (0.69, 0.72, 0.91, 10.1)),
        *_known("ConvNeXt, multi-label", (0.76, 0.83, 0.99, 4.8), (0.67, 0.70, 0.89, 27.7)),
    )

    kind: Literal["eufcc"]
    facets: list[Facet] = Field(default=["objectTypes", "materials"], min_length=1)
    test_share: float = Field(default=0.02, gt=0, le=1)
    unseen_share: float = Field(default=0.05, ge=0, lt=1)
    min_pictures: int = Field(default=10, ge=1)

    def prepare(self, data: "EvalData") -> Prepared:
        """Read all rows, split them by content, and rank each facet's labels on both parts."""
        from ._files import Folder, gather, need_root

        root = need_root(self, "github.com/cesc47/EUFCC-340K")
        rows = self._read(root)
        own = root / "EUROPEANA" / "images"
        folder = own if own.is_dir() else root / "images"
        store = Folder([folder / f"{row.record.id}.jpg" for row in rows])
        pictures, facts = gather(self, [row.record for row in rows], store, answers=[row.cells for row in rows])
        labels_of = {row.record.id: row.labels for row in rows}
        parts = [self._part(record) for record in pictures.records]
        facts["pictures_by_part"] = dict(sorted(Counter(parts).items()))
        tasks: list[Task] = []
        for facet in self.facets:
            labels = [labels_of[record.id].get(facet, ()) for record in pictures.records]
            found, counts = self._tasks(facet, pictures, parts, labels)
            tasks += found
            facts[f"labels_of_{_TASK_NAMES[facet]}"] = counts
        if not tasks:
            raise EvaluationError(f"{root}: no facet has two labels with {self.min_pictures} pictures; lower it")
        return Prepared(pictures, tuple(tasks), facts=facts)

    def _tasks(
        self, facet: str, pictures: "Pictures", parts: Sequence[str], labels: Sequence[Sequence[tuple[str, ...]]]
    ) -> tuple[list["Task"], int]:
        """One task a part of the data, and the number of labels."""
        from ..prompts import TEMPLATES, fill_templates
        from ..tasks.multilabel import MultiLabel, group_labels

        known = [i for i, part in enumerate(parts) if part == "known"] or range(len(parts))
        counts = Counter(path for i in known for path in set(labels[i]))
        members = [path for path, count in sorted(counts.items()) if count >= self.min_pictures]
        if len(members) < 2:
            return [], len(members)
        found = []
        for part in ("test", "unseen"):
            positions = tuple(i for i, each in enumerate(parts) if each == part and labels[i])
            if not positions:
                continue
            mine, truths = group_labels([labels[i] for i in positions], [[path] for path in members])
            found.append(
                MultiLabel(
                    name=f"{_TASK_NAMES[facet]}_{'of_unseen_providers' if part == 'unseen' else 'in_distribution'}",
                    pictures=pictures,
                    positions=positions,
                    labels=mine,
                    classes=tuple(path[-1].rpartition(" | ")[2] for path in members),
                    class_prompts=fill_templates(
                        [path[-1].rpartition(" | ")[2] for path in members], TEMPLATES["ca"][:1]
                    ),
                    language="ca",
                    paths=tuple(members),
                    truths=truths,
                    primary="r_precision",
                )
            )
        return found, len(members)

    def _part(self, record: "Record") -> str:
        from iconoclip.records import unit_hash

        if unit_hash(record.institution, f"{_SALT}:provider") < self.unseen_share:
            return "unseen"
        return "test" if unit_hash(record.sha256, _SALT) < self.test_share else "known"

    def _read(self, root: Path) -> list[_Row]:
        """Rows of all published CSV files, each object once."""
        from iconoclip.records import Record

        paths = sorted((root / "data").glob("*.csv"))
        if not paths:
            raise EvaluationError(f"{root}: no data/*.csv; is this EUFCC-340K?")
        found: dict[str, _Row] = {}
        for path in paths:
            with path.open(encoding="utf-8", newline="") as file:
                rows = csv.DictReader(file)
                wanted = ("idInSource", "repository.keeper", *(f"{facet}.hierarchy" for facet in self.facets))
                missing = [name for name in wanted if name not in (rows.fieldnames or ())]
                if missing:
                    raise EvaluationError(f"{path}: no column {', '.join(missing)}; is it a file of EUFCC-340K?")
                for row in rows:
                    labels = {facet: read_labels(row[f"{facet}.hierarchy"]) for facet in self.facets}
                    types = labels.get("objectTypes") or ()
                    record = Record(
                        id=row["idInSource"],
                        source=self.kind_name,
                        institution=row["repository.keeper"],
                        object_type=types[0][0] if types else "",
                    )
                    cells = [row.get(f"{facet}.hierarchy") or "" for facet in get_args(Facet)]
                    found.setdefault(record.id, _Row(record, labels, cells))
        return list(found.values())


def read_labels(cell: str) -> tuple[tuple[str, ...], ...]:
    """Labels of a cell as paths of distinct nodes: ``a | b $ c`` gives (a, a | b) and (c,).

    Names repeat under other parents, so that a node is its whole way down; marks of the editors are taken off.
    """
    found = []
    for label in cell.split(" $ "):
        names = [name.strip().lstrip("*") for name in label.split(" | ") if name.strip() and name.strip() != _DELETED]
        if names:
            found.append(tuple(" | ".join(names[: end + 1]) for end in range(len(names))))
    return tuple(dict.fromkeys(found))
