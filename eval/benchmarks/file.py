"""A benchmark of one's own: a YAML of ``iconoclip benchmark new``, or a folder as CLIP_benchmark or the Hub have it.

``{kind: file, path: prints/benchmark.yaml}``; ``path`` may also be a folder in CLIP_benchmark's layout, or its address
``https://huggingface.co/datasets/ORG/NAME/tree/BRANCH`` (also ``hf-hub:ORG/NAME``).
"""

import logging
import re
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from iconoclip.errors import EvaluationError, IconoclipError
from iconoclip.files import sha256_json
from iconoclip.process import import_libraries

from .base import FilesBenchmark, Prepared

if TYPE_CHECKING:
    from iconoclip.records import Record

    from ..benchmark_files import BenchmarkFile
    from ..benchmark_read import Item
    from ..data import EvalData, Pictures, Store
    from ..tasks.base import Task


_log = logging.getLogger(__name__)


class FromFile(FilesBenchmark):
    """What a benchmark file asks: zero-shot in each of its languages, probes, or retrieval both ways.

    ``languages`` chooses among those of the file. Pictures that cannot be decoded are counted and left out.
    """

    title: ClassVar[str] = "A benchmark of one's own"
    description: ClassVar[str] = "What the file says; see `path`."
    licence: ClassVar[str] = "as the file says"
    citation: ClassVar[str] = "as the file says"
    free_baselines: ClassVar[tuple[str, ...]] = ("largest class", "colour and shape", "most frequent labels")
    run_on_real_data: ClassVar[bool] = True

    kind: Literal["file"]
    path: str = ""
    languages: list[str] = []
    probes: bool = True

    @property
    def shown_name(self) -> str:
        """``name``, else the file's name, or that of its folder where it is ``benchmark.yaml``."""
        if self.name or not self.path:
            return self.name or self.kind_name
        parts = re.sub(r"/(tree|resolve)/[^/]*/?$", "", self.path.rstrip("/")).split("/")
        known = parts[-2] if parts[-1] in ("benchmark.yaml", "benchmark.yml") and len(parts) > 1 else parts[-1]
        return re.sub(r"[^a-z0-9]+", "_", re.sub(r"\.ya?ml$", "", known).casefold()).strip("_") or self.kind_name

    @property
    def hub_dataset_id(self) -> str:
        """``ORG/NAME`` where ``path`` is an address on the Hub."""
        from ..benchmark_open import hub_name

        return hub_name(self.path)

    @cached_property
    def opened(self) -> "tuple[BenchmarkFile, Path]":
        """The benchmark and the folder of its data.

        Raises:
            EvaluationError: it is not there.
        """
        from ..benchmark_open import open_benchmark

        if not self.path:
            raise EvaluationError("benchmark file: `path` is missing, the YAML that `iconoclip benchmark new` wrote")
        return open_benchmark(self.path, root=self.root)

    @property
    def written_sha256(self) -> str:
        """Hash of the benchmark's own file; where it lies and which revision it names is left out."""
        try:
            file, _ = self.opened
        except IconoclipError:
            return ""
        return sha256_json(file.model_dump(mode="json", exclude={"root", "revision"}))

    def prepare(self, data: "EvalData") -> Prepared:
        """Read the tested pictures and set up what the file asks."""
        file, home = self.opened
        pictures, items, facts = self._gather(file, home)
        tasks = self._retrieval(pictures, file) if file.task == "retrieval" else self._labels(pictures, items, file)
        facts |= {"title": file.title, "description": file.description or "Its file does not describe it."}
        facts |= _weaknesses(file, items)
        facts |= {"licence": file.licence or "not stated", "citation": file.citation or "not stated"}
        return Prepared(pictures, tuple(tasks), facts=facts)

    def _gather(self, file: "BenchmarkFile", home: Path) -> "tuple[Pictures, list[Item], dict[str, Any]]":
        from dataclasses import replace

        from ..benchmark_pictures import look_through
        from ..benchmark_read import read_items
        from ._files import check_left_out, gather

        read = read_items(file, home)
        tested = read.of_split(file.split)
        looks = look_through(
            read.store,
            [item.place for item in tested],
            describe=file.task == "classification",  # only the free baselines of single labels ask for it
            meanwhile=import_libraries,
        )
        num_tested = len(tested)
        tested = [item for item in tested if not looks[item.place].broken]
        num_broken = num_tested - len(tested)
        if num_broken:
            check_left_out(self, len(tested), Counter({"broken or missing": num_broken}))
        if file.task != "retrieval":
            tested = [item for item in tested if item.labels]
        if not tested:
            splits = ", ".join(sorted({item.split for item in read.items})) or "none"
            raise EvaluationError(f"{self.path}: no pictures to test in split {file.split!r}; splits there: {splits}")
        place = {item.id: item for item in tested}
        if len(place) < len(tested):
            twice = next(item for item in tested if place[item.id] is not item)
            raise EvaluationError(f"{self.path}: two pictures have the id {twice.id!r}, see {twice.where}")
        records = [_record(item, file) for item in tested]
        chosen = self.model_copy(update={"root": home, "revision": self.revision or file.revision})
        places = [item.place for item in tested]
        store = _Tested(read.store, places, frozenset(place for place in places if not looks[place].is_plain))
        pictures, facts = gather(
            chosen,
            records,
            store,
            digest=lambda number: (looks[places[number]].sha256, ""),
            answers=[[sorted(item.labels), sorted(item.captions), item.work] for item in tested],
        )
        if file.rights_class in ("public_domain", "open", "open_conditions"):
            pictures = replace(pictures, not_passed_on=frozenset())
        colours = (looks[places[number]].colours for _, number in pictures.places)
        pictures.descriptors.update({position: each for position, each in enumerate(colours) if each is not None})
        left_out = {"broken or missing": num_broken, "rows without a picture": len(read.problems)}
        facts["left_out"] = {why: count for why, count in left_out.items() if count}
        return pictures, [place[record.id] for record in pictures.records], facts

    def _labels(self, pictures: "Pictures", items: "list[Item]", file: "BenchmarkFile") -> "list[Task]":
        classes = tuple(file.classes)
        unknown = sorted({label for item in items for label in item.labels} - set(classes))
        if unknown:
            raise EvaluationError(
                f"{self.path}: {len(unknown)} labels are no class, such as {unknown[0]!r}; add them to `classes`"
            )
        found = [self._zero_shot(pictures, items, file, language) for language in self._languages(file)]
        if self.probes and file.task == "classification":
            found += self._probes(pictures, items, classes)
        return found

    def _zero_shot(self, pictures: "Pictures", items: "list[Item]", file: "BenchmarkFile", language: str) -> "Task":
        from ..prompts import fill_templates
        from ..tasks.classification import Classification
        from ..tasks.multilabel import MultiLabel

        classes = tuple(file.classes)
        place = {label: number for number, label in enumerate(classes)}
        names = [file.classes[label][language] for label in classes]
        shared: dict[str, Any] = {
            "name": f"zero_shot_{language}",
            "pictures": pictures,
            "positions": tuple(range(len(pictures))),
            "classes": classes,
            "class_prompts": fill_templates(names, file.templates[language]),
            "language": language,
        }
        if file.task == "multilabel":
            labels = tuple(tuple(sorted(place[label] for label in item.labels)) for item in items)
            return MultiLabel(labels=labels, **shared, **_levels(classes, items))
        several = next((item for item in items if len(item.labels) > 1), None)
        if several is not None:
            raise EvaluationError(
                f"{self.path}: {several.where} has {len(several.labels)} labels ({', '.join(several.labels)}); "
                "write `task: multilabel`, or leave one"
            )
        return Classification(labels=tuple(place[item.labels[0]] for item in items), **shared)

    def _probes(self, pictures: "Pictures", items: "list[Item]", classes: tuple[str, ...]) -> "list[Task]":
        from ..tasks.probe import Probe

        labels = tuple(classes.index(item.labels[0]) for item in items)
        positions = tuple(range(len(pictures)))
        if len(set(labels)) < 2:
            return []
        return [
            Probe("nearest_neighbour", pictures, positions, labels, classes, "nearest", primary=""),
            Probe("linear_probe", pictures, positions, labels, classes, "linear"),
        ]

    def _retrieval(self, pictures: "Pictures", file: "BenchmarkFile") -> "list[Task]":
        from ..tasks.retrieval import Retrieval
        from ._galleries import build_galleries

        known = sorted({caption.lang for record in pictures.records for caption in record.captions})
        choice = "each_language" if len(known) > 1 else "all"
        galleries = build_galleries(pictures, choice=choice, languages=self.languages)
        if not galleries:
            raise EvaluationError(f"{self.path}: no captions in {', '.join(self.languages) or 'any language'}")
        return [Retrieval(pictures, galleries)]

    def _languages(self, file: "BenchmarkFile") -> list[str]:
        missing = [language for language in self.languages if language not in file.templates]
        if missing:
            raise EvaluationError(
                f"{self.path}: no templates in {', '.join(missing)}; it has {', '.join(file.templates)}"
            )
        return self.languages or file.languages


def _weaknesses(file: "BenchmarkFile", items: "list[Item]") -> dict[str, Any]:
    """What `iconoclip benchmark validate` calls a mistake and figures can still be had for; also said in the log."""
    from ..benchmark_files import same_texts

    there = {label for item in items for label in item.labels}
    empty = [label for label in file.classes if label not in there] if file.task != "retrieval" else []
    found: dict[str, Any] = {"classes_without_a_picture": empty}
    alike = [f"{', '.join(labels)} ({text!r}, {language})" for language, text, labels in same_texts(file)]
    found["classes_with_the_same_text"] = alike
    found = {name: names for name, names in found.items() if names}
    for name, names in found.items():
        _log.warning("%s: %s: %s", file.name, name.replace("_", " "), "; ".join(names))
    return found


class _Tested:
    """The store seen from the tested items, position i is the place of item i; every picture as all programs see it.

    ``not_plain`` are the places of the pictures that have to be written anew for that.
    """

    def __init__(self, store: "Store", places: list[int], not_plain: frozenset[int]) -> None:
        self._store, self._places, self._not_plain = store, places, not_plain

    def image_bytes(self, position: int) -> bytes:
        """Encoded picture."""
        from ..benchmark_pictures import plain_picture

        place = self._places[position]
        data = self._store.image_bytes(place)
        return plain_picture(data)[0] if place in self._not_plain else data

    def text(self, position: int) -> str:
        """None: captions lie in the records."""
        return ""


def _record(item: "Item", file: "BenchmarkFile") -> "Record":
    from iconoclip.dates import read_years
    from iconoclip.records import Caption, Record

    date = item.about.get("date", "")
    year_min, year_max = read_years(date)
    label = item.labels[0] if item.labels and file.task == "classification" else ""
    return Record(
        id=item.id,
        source=file.name,
        institution=item.about.get("institution", file.title),
        captions=tuple(Caption(text, language, "caption", "page") for text, language in item.captions),
        date_text=date,
        year_min=year_min,
        year_max=year_max,
        technique=item.about.get("technique", ""),
        object_type=item.about.get("object_type", label),
        rights_class=file.rights_class,
        work_group=f"{file.name}:{item.work}" if item.work else "",
    )


def _levels(classes: tuple[str, ...], items: "list[Item]") -> dict[str, Any]:
    """Paths and closures for hierarchical figures where all classes are Iconclass notations."""
    from iconoclip import iconclass

    try:
        paths = {label: iconclass.parse(label).path for label in classes}
    except iconclass.InvalidNotationError:
        return {}
    truths = tuple(frozenset(level for label in item.labels for level in paths[label]) for item in items)
    return {"paths": tuple(paths.values()), "truths": truths}
