"""A folder of pictures with a table (CSV, TSV, JSON, JSON Lines, Parquet, XLSX), or a folder alone.

Without ``table`` the rows are the pictures of ``folder``, with the columns ``file``, ``stem``, ``parent`` and ``text``
(the content of a ``.txt`` of the same name). ``data_prep.mapping`` says how columns become fields.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from iconoclip.config import Config
from iconoclip.errors import SourceError
from iconoclip.languages import language_code
from iconoclip.records import Caption, Record, RejectReason, Rights, RightsPart

from ..captions import clean_text, comparable, is_empty_of_meaning
from ..dates import read_years
from ..mapping import CaptionText, DropRule, RowRule, Text, TextRule, Texts, check_columns
from ..rights import read_statement
from ..tables import Row, read_table
from .base import Assumption, Drop, Harvest, Item, PictureError, Source

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".jp2", ".gif", ".bmp"})
MAX_PICTURE_BYTES = 2 * 1024**3

_STAGE = "source"


class RightsRule(Config):
    """One statement: what it says, who said it and where it can be read."""

    value: Text
    asserted_by: Text
    source_url: Text
    territory: str = ""
    seen_at: str = ""


class RightsRules(Config):
    """Rights of the work, its picture and the text about it; ``all`` states picture and text at once."""

    work: RightsRule | None = None
    image: RightsRule | None = None
    text: RightsRule | None = None
    all: RightsRule | None = None
    assume: tuple[Assumption, ...] = ()

    def parts(self) -> list[tuple[RightsPart, RightsRule]]:
        """(part of a record, rule) of everything that is stated."""
        both: list[tuple[RightsPart, RightsRule | None]] = [
            ("work", self.work), ("image", self.image or self.all), ("metadata", self.text or self.all),
        ]  # fmt: skip
        return [(part, rule) for part, rule in both if rule is not None]


class LocalSource(Source):
    """A table and a folder of pictures on this machine."""

    kind: Literal["local"] = "local"  # type: ignore[assignment]  # frozen, so narrowing is safe
    table: str = ""
    folder: str = ""
    encoding: str = ""
    delimiter: str = Field(default="", max_length=1)
    sheet: str = ""
    institution: Text
    language: str
    rights: RightsRules = RightsRules()
    where: tuple[RowRule, ...] = ()
    drop: tuple[DropRule, ...] = ()
    id: Text | None = None
    image: Text = TextRule(value="{file}")
    turn: Text | None = None
    work_from: Text | None = None
    captions: tuple[CaptionText, ...] = Field(min_length=1)
    title: Text | None = None
    creator: Text | None = None
    creator_role: Text | None = None
    date: Text | None = None
    year_min: Text | None = None
    year_max: Text | None = None
    place: Text | None = None
    subjects: Texts | None = None
    iconclass: Texts | None = None
    technique: Text | None = None
    object_type: Text | None = None
    page_url: Text | None = None
    image_url: Text | None = None
    iiif_service: Text | None = None
    manifest: Text | None = None
    canvas: Text | None = None
    attribution: Text | None = None
    orig_width: Text | None = None
    orig_height: Text | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.table and not self.folder:
            raise ValueError("give `table`, `folder` or both")
        if self.use != "evaluate" and self.work_from is None:
            raise ValueError(
                "work_from is missing: say which column (or regular expression on one) names the work, so that two "
                "pictures of one work never lie on both sides of the split; '{file}' where each picture is its own"
            )
        codes = [self.language, *(rule.lang for rule in self.captions if rule.lang and "{" not in rule.lang)]
        unknown = [code for code in codes if language_code(code) is None]
        if unknown:
            raise ValueError(f"no language code: {', '.join(unknown)}; write en, fr, nl, de ... per collection")
        return self

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """Rights that are assumed, for the card."""
        return self.rights.assume

    def harvest(self, *, name: str, root: Path) -> Harvest:
        """Rows of the table in its order, or pictures of the folder by name."""
        if self.table:
            path = root / self.table
            columns, rows = read_table(path, encoding=self.encoding, delimiter=self.delimiter, sheet=self.sheet)
            folder = root / self.folder if self.folder else path.parent
        else:
            path = folder = root / self.folder
            columns, rows = _read_folder(folder)
        check_columns(self._rules(), columns, where=f"{path} (collection {name})")
        if not folder.is_dir():
            raise SourceError(f"{folder}: no such folder; is `root` right?")
        harvest = Harvest(iter(()))
        harvest.items = self._items(name, folder, list(rows), harvest)
        return harvest

    def _rules(self) -> dict[str, TextRule | RowRule]:
        rules: dict[str, TextRule | RowRule] = {}
        for field in type(self).model_fields:
            value = getattr(self, field)
            if isinstance(value, TextRule):
                rules[field] = value
        for field, several in (("captions", self.captions), ("where", self.where), ("drop", self.drop)):
            rules |= {f"{field}.{position}": rule for position, rule in enumerate(several)}
        rules |= {f"captions.{n}.lang": TextRule(value=rule.lang) for n, rule in enumerate(self.captions) if rule.lang}
        for part, rule in self.rights.parts():
            for field in ("value", "asserted_by", "source_url"):
                rules[f"rights.{part}.{field}"] = getattr(rule, field)
        return rules

    def _items(self, name: str, folder: Path, rows: list[Row], harvest: Harvest) -> Iterator[Item]:
        mine = [row for row in rows if row.problem or all(rule.holds(row.cells) for rule in self.where)]
        harvest.num_outside = len(rows) - len(mine)
        repeated = self._repeated_captions(mine)
        resolved = folder.resolve()
        for row in mine:
            yield self._item(name, folder, resolved, row, repeated)

    def _repeated_captions(self, rows: list[Row]) -> list[frozenset[str]]:
        """Per caption rule, the texts that occur more than once."""
        found = []
        for rule in self.captions:
            seen: dict[str, int] = {}
            for row in rows if rule.repeated == "drop" else ():
                text = comparable(clean_text(rule.text(row.cells)))
                seen[text] = seen.get(text, 0) + 1
            found.append(frozenset(text for text, count in seen.items() if text and count > 1))
        return found

    def _item(self, name: str, folder: Path, resolved: Path, row: Row, repeated: list[frozenset[str]]) -> Item:
        def text(rule: TextRule | None) -> str:
            return clean_text(rule.text(row.cells)) if rule is not None else ""

        image = self.image.text(row.cells)
        date_text = text(self.date)
        first_year, last_year = read_years(date_text)
        captions, drop = self._captions(row, repeated)
        record = Record(
            id=text(self.id) if self.id else image,
            source=name,
            institution=text(self.institution),
            page_url=text(self.page_url),
            image_url=text(self.image_url),
            iiif_service=text(self.iiif_service),
            manifest=text(self.manifest),
            canvas=text(self.canvas),
            title=text(self.title),
            captions=captions,
            creator=text(self.creator),
            creator_role=text(self.creator_role),
            date_text=date_text,
            year_min=_number(text(self.year_min)) if self.year_min else first_year,
            year_max=_number(text(self.year_max)) if self.year_max else last_year,
            place=text(self.place),
            subjects=tuple(map(clean_text, self.subjects.texts(row.cells))) if self.subjects else (),
            iconclass=self.iconclass.texts(row.cells) if self.iconclass else (),
            technique=text(self.technique),
            object_type=text(self.object_type),
            rights=self._rights(row),
            attribution=text(self.attribution),
            orig_width=_number(text(self.orig_width)),
            orig_height=_number(text(self.orig_height)),
        )
        turn = _number(text(self.turn)) or 0
        picture = LocalPicture(root=str(resolved), path=str(folder / image), turn_deg=turn % 360) if image else None
        return Item(
            record=record,
            picture=picture,
            work=text(self.work_from) or record.id,
            drop=self._row_problem(row, record, image, turn) or drop,
        )

    def _row_problem(self, row: Row, record: Record, image: str, turn: int) -> Drop | None:
        if row.problem:
            return Drop(_STAGE, RejectReason.ROW_INVALID, f"row {row.number}: {row.problem}")
        for rule in self.drop:
            if rule.holds(row.cells):
                return Drop(_STAGE, RejectReason.NOT_SELECTED, rule.why)
        if not record.id:
            return Drop(_STAGE, RejectReason.ID_MISSING, f"row {row.number}")
        if not record.institution:
            return Drop(_STAGE, RejectReason.ROW_INVALID, f"row {row.number}: institution is empty")
        if not image:
            return Drop(_STAGE, RejectReason.IMAGE_MISSING, f"row {row.number} names no picture")
        if turn % 90:
            return Drop(_STAGE, RejectReason.ROW_INVALID, f"row {row.number}: turn by {turn} degrees, not by 90s")
        return None

    def _captions(self, row: Row, repeated: list[frozenset[str]]) -> tuple[tuple[Caption, ...], Drop | None]:
        captions: dict[tuple[str, str], Caption] = {}
        drop = None
        for rule, common in zip(self.captions, repeated, strict=True):
            text = clean_text(rule.text(row.cells))
            problem = None
            if comparable(text) in common:
                problem = RejectReason.CAPTION_REPEATED, f"{rule.source_name}: {text!r} stands at several pictures"
            elif not text or any(TextRule(value="{x}", find=stop).text({"x": text}) for stop in rule.stop):
                problem = RejectReason.CAPTION_EMPTY, f"{rule.source_name}: {text!r}" if text else rule.source_name
            elif self.use != "evaluate" and is_empty_of_meaning(text):
                problem = RejectReason.CAPTION_EMPTY, f"{rule.source_name}: {text!r} names nothing"
            if problem is None:
                lang = self._language(rule.lang, row)
                captions.setdefault(
                    (lang, comparable(text)), Caption(text, lang, rule.source_name, rule.level, rule.machine)
                )
            elif rule.required or drop is None:
                drop = Drop(_STAGE, *problem)
                if rule.required:
                    return tuple(captions.values()), drop
        return tuple(captions.values()), None if captions else drop

    def _language(self, lang: str, row: Row) -> str:
        text = TextRule(value=lang).text(row.cells) if lang else ""
        return language_code(text or self.language) or "und"

    def _rights(self, row: Row) -> tuple[Rights, ...]:
        stated = []
        for part, rule in self.rights.parts():
            raw = clean_text(rule.value.text(row.cells)) or rule.value.text(row.cells)
            if raw:
                stated.append(
                    Rights(
                        part=part,
                        uri=read_statement(rule.value.text(row.cells)).uri,
                        raw=raw,
                        asserted_by=clean_text(rule.asserted_by.text(row.cells)),
                        source_url=rule.source_url.text(row.cells),
                        territory=rule.territory,
                        seen_at=rule.seen_at,
                    )
                )
        known = {rights.part for rights in stated}
        for each in self.rights.assume:
            part: RightsPart = "metadata" if each.part == "text" else each.part
            if part not in known:
                uri = read_statement(each.statement).uri
                stated.append(Rights(part=part, uri=uri, raw=each.statement, asserted_by=f"assumed: {each.reason}"))
        return tuple(stated)


@dataclass(frozen=True, slots=True)
class LocalPicture:
    """A file under ``root`` (resolved); a path or link that leads out of it is refused."""

    root: str
    path: str
    turn_deg: int = 0
    is_file_hash_meaningful: bool = True

    def fingerprint(self) -> str:
        """Path under the root, size in bytes and time of the file; ``missing`` when there is none."""
        try:
            stat = Path(self.path).stat()
        except (OSError, ValueError):
            return f"{self.path}|missing"
        return f"{self.path}|{stat.st_size}|{stat.st_mtime_ns}|{self.turn_deg}"

    def read(self) -> bytes:
        """Bytes of the file, whichever way (NFC or NFD, slash or backslash) its name is written."""
        root = Path(self.root)
        if "\0" in self.path:
            raise PictureError(RejectReason.IMAGE_MISSING, f"{self.path!r}: no file name")
        names = (self.path, *(unicodedata.normalize(form, self.path) for form in ("NFC", "NFD")))
        for name in dict.fromkeys((*names, self.path.replace("\\", "/"))):
            path = Path(name)
            resolved = path.resolve()
            if not resolved.is_relative_to(root):
                raise PictureError(RejectReason.IMAGE_OUTSIDE_ROOT, f"{name}: leads out of {root}")
            if resolved.is_file():
                return self._read_file(resolved)
        raise PictureError(RejectReason.IMAGE_MISSING, f"{self.path}: no such file")

    def _read_file(self, path: Path) -> bytes:
        size = path.stat().st_size
        if size > MAX_PICTURE_BYTES:
            raise PictureError(RejectReason.IMAGE_TOO_LARGE, f"{path}: {size / 1e9:.1f} GB")
        try:
            return path.read_bytes()
        except OSError as error:
            raise PictureError(RejectReason.IMAGE_BROKEN, f"{path}: {error.strerror}") from None


def _read_folder(folder: Path) -> tuple[list[str], Iterator[Row]]:
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder; is `root` right?")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise SourceError(f"{folder}: holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))})")

    def rows() -> Iterator[Row]:
        for number, path in enumerate(paths, 1):
            name = path.relative_to(folder)
            beside = path.with_suffix(".txt")
            text = beside.read_text(encoding="utf-8", errors="replace") if beside.is_file() else ""
            parent = "" if name.parent == Path() else name.parent.as_posix()
            yield Row(number, {"file": name.as_posix(), "stem": path.stem, "parent": parent, "text": text})

    return ["file", "stem", "parent", "text"], rows()


def _number(text: str) -> int | None:
    try:
        number = int(float(text))
    except (ValueError, OverflowError):
        return None
    return number if -(2**31) <= number < 2**31 else None
