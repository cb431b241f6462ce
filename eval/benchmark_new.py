"""Make a benchmark of a folder or a table: say what is there, write one YAML that a person then completes.

``new_benchmark(Path("scans"))`` looks at names of columns and files, and whether columns hold what their names say.
What it took for what stands at the top of the file.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_args

from iconoclip import iconclass
from iconoclip.errors import EvaluationError

from .benchmark_files import (
    ABOUT,
    FILE_NAME,
    BenchmarkFile,
    BenchmarkTask,
    Columns,
    is_language_code,
    write_benchmark_file,
)
from .benchmark_parquet import IMAGE, describe_columns, parquet_splits
from .benchmark_read import SUFFIXES, Items, read_folders, read_items, read_rows
from .benchmark_wds import describe_wds, is_wds
from .prompts import TEMPLATES

_TABLES = (".csv", ".tsv", ".xlsx", ".jsonl")
_PREFERRED = ("metadata", "items", "labels", "captions")
_NAMES = {
    "image": ("image", "file_name", "filename", "file", "path", "image_path", "img", "bild", "datei", "fichier",
              "bestand", "immagine"),
    "id": ("id", "identifier", "key", "inventory_number", "inv_nr", "inventarnummer", "inventarisnummer", "cote"),
    "label": ("label", "labels", "class", "category", "iconclass", "notation", "tags", "keywords", "subject",
              "subjects", "klasse", "classe", "categorie", "trefwoord", "schlagwort"),
    "caption": ("caption", "captions", "text", "description", "title", "titel", "titre", "titolo", "beschreibung",
                "beschrijving", "legende", "légende", "descrizione"),
    "language": ("language", "lang", "sprache", "langue", "taal", "lingua"),
    "work": ("work", "work_group", "work_id", "object_id", "object", "record_id", "group"),
    "split": ("split", "set", "partition", "subset"),
    "institution": ("institution", "museum", "library", "archive", "provider", "bibliothek", "bibliothèque",
                    "bibliotheek", "musée", "biblioteca", "museo"),
    "date": ("date", "dates", "year", "dating", "datum", "datierung", "datering", "année", "annee", "jahr", "jaar",
             "anno"),
    "technique": ("technique", "medium", "material", "technik", "techniek", "tecnica"),
    "object_type": ("object_type", "type_of_object", "objektart", "objekttyp", "objecttype", "objectsoort",
                    "type_objet", "tipo_oggetto"),
}  # fmt: skip
_OWN_WORKS = "every picture counts as a work of its own"
_SEPARATORS = (" | ", "|", " ; ", ";", " $ ")
_PLAIN = {
    "en": ("{}", "a picture of {}"), "de": ("{}", "Bild: {}"), "fr": ("{}", "image : {}"),
    "it": ("{}", "immagine: {}"), "nl": ("{}", "afbeelding: {}"), "es": ("{}", "imagen: {}"),
    "pt": ("{}", "imagem: {}"),
}  # fmt: skip


def new_benchmark(
    source: Path, *, out: Path | None = None, task: str | None = None, language: str = "en", name: str = ""
) -> str:
    """Write the YAML of a benchmark beside its data, or to ``out``; return what was seen and what to do next.

    ``language`` is that of labels and captions where nothing says another.

    Raises:
        EvaluationError: nothing is there that could be a benchmark, or the file exists.
    """
    if task not in (None, *get_args(BenchmarkTask)):
        raise EvaluationError(f"--task {task}: write one of {', '.join(get_args(BenchmarkTask))}")
    home = source if source.is_dir() else source.parent
    path = out or home / FILE_NAME
    if path.exists():
        raise EvaluationError(f"{path}: is there already; edit it, remove it, or give --out")
    values, notes = _describe(source, cast(BenchmarkTask | None, task), language)
    values |= {"name": name or _slug(home.resolve().name if source.is_dir() else source.stem)}
    values["title"] = values["name"].replace("_", " ").capitalize()
    if path.parent.resolve() != home.resolve():
        values["root"] = str(home)
    file = BenchmarkFile.validate_data({"verb": "benchmark"} | values, where=str(source))
    seen = [*_seen(file, read_items(file, home)), *notes]
    shown = "\n".join(f"  {line}" for line in seen)
    todo = "Fill in title, description, licence and citation; correct the texts of the classes and the templates."
    write_benchmark_file(path, file, comment=f"iconoclip benchmark validate {path}\n\nSeen:\n{shown}\n\n{todo}")
    return (
        f"{file.task}, {file.layout}:\n{shown}\nwrote     {path}\n"
        f"then      edit it, and run: iconoclip benchmark validate {path}"
    )


def _describe(source: Path, task: BenchmarkTask | None, language: str) -> tuple[dict[str, Any], list[str]]:
    if source.is_file():
        return _of_table(source, task, language)
    if not source.is_dir():
        raise EvaluationError(f"{source}: not there; give a folder of pictures or a table that names them")
    if is_wds(source):
        return describe_wds(source, "x").model_dump(mode="json", exclude_defaults=True), []
    if parquet_splits(source):
        return _of_parquet(source, task, language)
    tables = sorted(path for path in source.iterdir() if path.suffix.lower() in _TABLES)
    named = [path for path in tables if path.stem.casefold() in _PREFERRED]
    if len(named or tables) > 1:
        raise EvaluationError(f"{source}: several tables ({', '.join(path.name for path in tables)}); give one of them")
    if tables:
        return _of_table((named or tables)[0], task, language)
    if task not in (None, "classification"):
        raise EvaluationError(f"{source}: folders and no table; captions or several labels a picture need a table")
    items = read_folders(source)
    notes = [f"{_OWN_WORKS}; if several show one, write a table with a column `work` instead of folders"]
    return {"task": "classification", "layout": "folders", **_split(items)} | _classes(_labels(items), language), notes


def _of_table(path: Path, task: BenchmarkTask | None, language: str) -> tuple[dict[str, Any], list[str]]:
    names, rows = read_rows(path)
    home = path.parent
    image = _find(names, "image") if any(_is_picture(row, _find(names, "image"), home) for row in rows[:50]) else ""
    image = image or next((n for n in names if any(_is_picture(row, n, home) for row in rows[:50])), "")
    if not image:
        raise EvaluationError(f"{path}: no column names pictures under {home}; their paths are relative to the table")
    columns, notes = _columns(names, image, language, rows)
    cells = [row[columns.label] for row in rows] if columns.label else []
    if columns.language and len(codes := {row[columns.language] for row in rows} - {""}) == 1:
        language = codes.pop()
    task = task or _task(columns, cells, str(path))
    separator = _separator(cells) if task != "retrieval" else ""
    if task == "classification" and separator:
        task = "multilabel"
        notes.append(f"several labels in a cell, parted by {separator!r}")
    shared = {"layout": "table", "table": path.name, "columns": columns, "separator": separator}
    return _with_classes(shared, task, home, language), notes


def _of_parquet(source: Path, task: BenchmarkTask | None, language: str) -> tuple[dict[str, Any], list[str]]:
    described = describe_columns([path for paths in parquet_splits(source).values() for path in paths])
    columns, notes = _columns(list(described), IMAGE, language)
    task = task or _task(columns, [], str(source))
    return _with_classes({"layout": "parquet", "columns": columns}, task, source, language), notes


def _with_classes(shared: dict[str, Any], task: BenchmarkTask, home: Path, language: str) -> dict[str, Any]:
    """Values of a benchmark with the splits and classes that its items have."""
    values: dict[str, Any] = {**shared, "task": task}
    items = read_items(_loose(values), home)
    if task == "classification" and any(len(item.labels) > 1 for item in items.items):
        values["task"] = "multilabel"
    classes = _classes(_labels(items), language) if task != "retrieval" else {}
    values["columns"] = values["columns"].model_dump(exclude_defaults=True)
    return values | _split(items) | classes


def _loose(values: dict[str, Any]) -> BenchmarkFile:
    """A benchmark that is not complete yet, to read its items."""
    known: dict[str, Any] = {"verb": "benchmark", "name": "x", "title": "x", **values}
    return BenchmarkFile.model_construct(None, **known)


def _columns(
    names: Sequence[str], image: str, language: str, rows: Sequence[dict[str, str]] | None = None
) -> tuple[Columns, list[str]]:
    """What the columns hold, by their names; with ``rows`` also by what is in them (``None``: not looked at)."""
    values = {name: {row[name] for row in rows or ()} - {""} for name in names}
    unfit = [] if rows is None else [_unfit(role, name, values[name]) for role, name in _known_columns(names)]
    left_out = {name: note for name, note in unfit if note}
    names = [name for name in names if name not in left_out]
    found = {role: _find(names, role) for role in ("id", "label", "language", "work", "split", *ABOUT)}
    captions = {}
    for name in names:
        stem, _, suffix = name.casefold().rpartition("_")
        if name.casefold() in _NAMES["caption"]:
            captions[name] = "" if found["language"] else language
        elif stem in _NAMES["caption"] and re.fullmatch(r"[a-z]{2,3}", suffix):
            captions[name] = suffix
    notes = [f"column {name!r} is the {role}" for role, name in [("image", image), *found.items()] if name]
    notes += [f"column {name!r} is a caption, language {lang or 'by row'}" for name, lang in captions.items()]
    notes += left_out.values()
    if not found["work"]:
        notes.append(f"{_OWN_WORKS}; name a column as columns.work if several show one")
    return Columns(image=image, captions=captions, **found), notes


def _known_columns(names: Sequence[str]) -> list[tuple[str, str]]:
    """(role, column) of the columns that are known by their names and may not hold what these say."""
    roles = ("label", "caption", "language")
    return [(role, name) for name in names for role in roles if name.casefold().strip() in _NAMES[role]]


def _unfit(role: str, name: str, values: set[str]) -> tuple[str, str]:
    """The column and why it is not used after all; ``""`` where it holds what its name says."""
    if not values:
        return name, f"column {name!r} is empty and not used"
    if role == "label" and len(values) == 1:
        return name, f"column {name!r} says {min(values)!r} everywhere and is no choice of classes"
    other = sorted(value for value in values if not is_language_code(value))
    if role == "language" and other:
        return name, f"column {name!r} is not used: {other[0]!r} is no code of a language such as en or fr"
    return name, ""


def _find(names: Sequence[str], role: str) -> str:
    """Name of the column that plays a role, by its name; ``""`` if none does."""
    by_name = {name.casefold().strip(): name for name in reversed(names)}
    return next((by_name[known] for known in _NAMES[role] if known in by_name), "")


def _is_picture(row: dict[str, str], column: str, home: Path) -> bool:
    cell = row.get(column, "")
    return Path(cell).suffix.lower() in SUFFIXES and (home / cell).is_file()


def _task(columns: Columns, cells: Sequence[str], where: str) -> BenchmarkTask:
    if columns.label and (not columns.captions or len(set(cells)) <= max(2, len(cells) // 3)):
        return "classification"
    if columns.captions:
        return "retrieval"
    known = f"{', '.join(_NAMES['label'][:6])} ...; {', '.join(_NAMES['caption'][:5])} ..."
    raise EvaluationError(f"{where}: no column is known by its name as labels or captions ({known}); rename one")


def _separator(cells: Sequence[str]) -> str:
    """What parts several labels of a cell: a sign that at least a tenth of the cells has."""
    counts = {sign: sum(sign in cell for cell in cells) for sign in _SEPARATORS}
    return next((sign for sign, count in counts.items() if cells and count >= max(1, 0.1 * len(cells))), "")


def _labels(items: Items) -> list[str]:
    """Labels, the most frequent first, as most lists of classes are read."""
    counts = Counter(label for item in items.items for label in item.labels)
    return [label for label, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


def _split(items: Items) -> dict[str, str]:
    splits = sorted({item.split for item in items.items} - {""})
    if not splits or "test" in splits:
        return {}
    return {"split": next((name for name in ("val", "validation", "dev") if name in splits), splits[0])}


def _classes(labels: Sequence[str], language: str) -> dict[str, Any]:
    """Texts of the classes by language, and templates: of notations Iconclass's, of other labels themselves."""
    try:
        notations = [iconclass.parse(label) for label in labels]
    except iconclass.InvalidNotationError:
        texts = {label: {language: " ".join(re.sub(r"[_]+", " ", label).split())} for label in labels}
        return {"classes": texts, "templates": {language: list(_PLAIN.get(language, ("{}",)))}}
    found = {
        label: {
            lang: iconclass.short_form(text)
            for lang in iconclass.languages()
            if (text := iconclass.text_of(notation, lang))
        }
        for label, notation in zip(labels, notations, strict=True)
    }
    complete = [lang for lang in iconclass.languages() if all(lang in texts for texts in found.values())]
    return {"classes": found, "templates": {lang: list(TEMPLATES.get(lang, ("{}",))) for lang in complete}}


def _seen(file: BenchmarkFile, items: Items) -> list[str]:
    counts = Counter(item.split or "all" for item in items.items)
    lines = [", ".join(f"{count:,} pictures in {split}" for split, count in sorted(counts.items()))]
    if file.task == "retrieval":
        captions = Counter(language for item in items.items for _, language in item.captions)
        lines.append("captions: " + ", ".join(f"{lang} {count:,}" for lang, count in sorted(captions.items())))
    else:
        lines.append(f"{len(file.classes)} classes, asked in {', '.join(file.languages)}")
    return lines


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_") or "benchmark"
