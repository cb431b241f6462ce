"""A benchmark as one YAML file: whose pictures, which labels or captions, what is asked, in which languages.

``iconoclip benchmark new FOLDER`` writes one; ``benchmarks: [{kind: file, path: FILE}]`` of an evaluation reads it.
This module imports nothing heavy: ``iconoclip check`` reads these files too.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from iconoclip.config import Config
from iconoclip.files import write_text
from iconoclip.records import RightsClass

FILE_NAME = "benchmark.yaml"
BenchmarkTask = Literal["classification", "multilabel", "retrieval"]
Layout = Literal["table", "folders", "clip_benchmark", "parquet"]

_OTHER_BRACES = re.compile(r"[{}]")
_LANGUAGE_CODE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")


# Columns that say what figures are sliced by.
ABOUT = ("institution", "date", "technique", "object_type")


class Columns(Config):
    """Columns of a table, ``""`` where there is none.

    ``image`` is a path under ``root`` (in Parquet the picture itself); ``captions`` maps columns to their language,
    ``""`` where the column ``language`` tells it row by row; ``work`` groups pictures of one object; pictures without
    one are works of their own. Figures are sliced by ``institution``, by the century of ``date``, which is read as
    catalogues write it, by ``technique`` and ``object_type``.
    """

    image: str = "image"
    id: str = ""
    label: str = ""
    captions: dict[str, str] = {}
    language: str = ""
    work: str = ""
    split: str = ""
    institution: str = ""
    date: str = ""
    technique: str = ""
    object_type: str = ""


class BenchmarkFile(Config):
    """What a benchmark consists of.

    ``root`` is where the pictures lie (default: beside the file); ``layout`` how: ``table`` (CSV, TSV, XLSX or JSON
    Lines with paths), ``folders`` (one a class, or ``split/class``), ``clip_benchmark`` (tars as CLIP_benchmark has
    them) or ``parquet`` (as the Hub has them). ``classes`` gives each label its text by language, ``templates`` the
    prompts with ``{}`` for that text. ``separator`` parts several labels or captions of one cell. ``rights_class`` of
    the pictures decides whether a report may show them. ``revision`` is the content hash that the data must have.
    """

    verb: Literal["benchmark"]
    name: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str = Field(min_length=1)
    description: str = ""
    licence: str = ""
    citation: str = ""
    rights_class: RightsClass = "unknown"
    task: BenchmarkTask
    layout: Layout = "table"
    root: Path | None = None
    table: str = ""
    columns: Columns = Columns()
    separator: str = ""
    split: str = "test"
    classes: dict[str, dict[str, str]] = {}
    templates: dict[str, list[str]] = {}
    revision: str = Field(default="", pattern=r"^([0-9a-f]{12})?$")

    @property
    def languages(self) -> list[str]:
        """Languages in which classes are asked, in the order of the templates."""
        return list(self.templates)

    @field_validator("templates")
    @classmethod
    def _check_templates(cls, templates: dict[str, list[str]]) -> dict[str, list[str]]:
        for language, texts in templates.items():
            if not texts:
                raise ValueError(f"{language}: no template; write at least '{{}}'")
            for text in texts:
                if text.count("{}") != 1 or _OTHER_BRACES.search(text.replace("{}", "")):
                    raise ValueError(f"{language}: {text!r} needs one {{}} for the class and no other braces")
        return templates

    @model_validator(mode="after")
    def _fits_its_task(self) -> "BenchmarkFile":
        if self.layout == "table" and not self.table:
            raise ValueError("layout table: `table` is missing, the CSV, TSV, XLSX or JSON Lines file under `root`")
        if self.layout in ("table", "parquet"):
            if self.task == "retrieval" and not self.columns.captions:
                raise ValueError("task retrieval: `columns.captions` is missing, the columns with texts")
            if self.task != "retrieval" and not self.columns.label:
                raise ValueError(f"task {self.task}: `columns.label` is missing, the column with classes")
        if self.layout == "folders" and self.task != "classification":
            raise ValueError(f"layout folders: a folder is a class, so the task is classification, not {self.task}")
        if self.task != "retrieval":
            self._check_classes()
        return self

    def _check_classes(self) -> None:
        if len(self.classes) < 2:
            raise ValueError(f"classes: {len(self.classes)} given; a choice needs two")
        if not self.templates:
            raise ValueError("templates: none given; write such as {en: ['a picture of {}']}")
        for language in self.templates:
            without = [label for label, texts in self.classes.items() if not texts.get(language, "").strip()]
            if without:
                raise ValueError(
                    f"classes: {len(without)} without a text in {language}, such as {without[0]!r}; "
                    "give them one or drop the language from `templates`"
                )


def is_language_code(text: str) -> bool:
    """Whether a text has the form of a language's code: ``fr``, ``grc``, ``pt-BR``."""
    return _LANGUAGE_CODE.fullmatch(text) is not None


def home_of(path: Path, file: BenchmarkFile) -> Path:
    """Folder of a benchmark's data: ``root``, else the folder of its YAML file."""
    return file.root if file.root is not None else path.parent


def write_benchmark_file(path: Path, file: BenchmarkFile, *, comment: str) -> None:
    """Write a benchmark as YAML with a comment above; what is at its default stays away, texts are always quoted."""
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    values = file.model_dump(mode="json", exclude_defaults=True)
    shown = ("verb", "name", "title", "description", "licence", "citation", "rights_class", "task", "layout")
    for name in [*shown, *(name for name in values if name not in shown)]:
        value = values.get(name, getattr(file, name))
        if isinstance(value, dict) and name in ("classes", "templates", "columns"):
            lines.append(f"{name}:")
            lines += [f"  {_quoted(key)}: {_quoted(item)}" for key, item in value.items()]
        else:
            lines.append(f"{name}: {_quoted(value)}")
    write_text(path, "\n".join(lines) + "\n")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a UTF-8 CSV of texts as they are: a benchmark's captions are data, not for a spreadsheet."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(columns)
    table.writerows(rows)
    write_text(path, file.getvalue())


def _quoted(value: object) -> str:
    """JSON, which is YAML too; U+2028 and its like would end a line there."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def same_texts(file: BenchmarkFile) -> list[tuple[str, str, list[str]]]:
    """(language, text, classes) of classes that no model can tell apart, for they are called the same."""
    found = []
    for language in file.languages:
        named: dict[str, list[str]] = {}
        for label, texts in file.classes.items():
            named.setdefault(" ".join(texts[language].casefold().split()), []).append(label)
        found += [(language, text, labels) for text, labels in named.items() if len(labels) > 1]
    return found
