"""An institution's own files: pictures with a table (CSV, TSV, JSON, Parquet, XLSX, XML), or a folder alone.

Without ``table`` the rows are the pictures of ``folder``, with the columns ``file``, ``stem``, ``parent`` and ``text``
(the content of a ``.txt`` of the same name). ``join`` adds other tables, ``each`` makes a record of each value of a
list; ``data_prep.mapping`` says how rows become fields. docs/configuration.md has it all with examples.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from iconoclip.dates import read_years
from iconoclip.errors import SourceError
from iconoclip.languages import language_code
from iconoclip.records import Caption, Record, RejectReason

from ..captions import clean_text, comparable, is_empty_of_meaning
from ..fetch.pictures import is_web_address, remote_picture
from ..local_files import LocalPicture, list_pictures
from ..local_rights import RightsRules
from ..mapping import CaptionRule, CaptionText, DropRule, PathText, RowRule, Text, TextRule, check_columns, fill
from ..paths import find, parse_path
from ..tables import Row, Table, TableRules, open_table
from ..tables_join import JoinRules, cells_of, join_tables
from .base import Assumption, Drop, Harvest, Item, Picture, Source, Surroundings

_STAGE = "source"


class LocalSource(TableRules, Source):
    """Tables and a folder of pictures on this machine.

    An ``image`` that is a web address is asked for there (``fetch``); one that ends in ``/info.json`` is a IIIF image
    service and asked for at the size that is stored.
    """

    kind: Literal["local"] = "local"  # type: ignore[assignment]  # frozen, so narrowing is safe
    folder: str = ""
    join: dict[str, JoinRules] = {}
    each: PathText = ""
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
    subjects: Text | None = None
    iconclass: Text | None = None
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
        if not self.table and self.reading_options():
            raise ValueError(f"{', '.join(self.reading_options())} say how a table is read, but there is no `table`")
        if self.use != "evaluate" and self.work_from is None:
            raise ValueError(
                "work_from is missing: say which column (or regular expression on one) names the work, so that two "
                "pictures of one work never lie on both sides of the split; '{file}' where each picture is its own"
            )
        codes = [self.language, *(rule.lang for rule in self.captions if rule.lang and "{" not in rule.lang)]
        unknown = [code for code in codes if language_code(code) is None]
        if unknown:
            raise ValueError(f"no language code: {', '.join(unknown)}; write en, fr, nl, de ... per collection")
        for name, rule in self._rules().items() if not self.each else ():
            adrift = [column for column in rule.columns() if column.startswith(".")]
            if adrift:
                raise ValueError(f"{name}: '{{{adrift[0]}}}' starts at a value of `each`, but there is no `each`")
        return self

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """Rights that are assumed, for the card."""
        return self.rights.assume

    def harvest(self, name: str, around: Surroundings) -> Harvest:
        """Rows of the table in its order, or pictures of the folder by name."""
        root = around.root
        folder = root / self.folder if self.folder else (root / self.table).parent
        table = open_table(root, self) if self.table else list_pictures(folder)
        where = f"{table.name} (collection {name})"
        table = join_tables(root, table, self.join, where=where)
        check_columns(self._rules(), table.columns, where=where, rows=cells_of(table.rows), each=self.each)
        if not folder.is_dir():
            raise SourceError(f"{folder}: no such folder; is `root` right?")
        rows = self._spread(table)
        mine = [row for row in rows if row.problem or all(rule.holds(row.cells, row.here) for rule in self.where)]
        return Harvest(self._items(name, folder, mine, around.size_px), num_outside=len(rows) - len(mine))

    def _rules(self) -> dict[str, TextRule | RowRule]:
        rules: dict[str, TextRule | RowRule] = {}
        for field in type(self).model_fields:
            value = getattr(self, field)
            if isinstance(value, TextRule):
                rules[field] = value
        for field, several in (("captions", self.captions), ("where", self.where), ("drop", self.drop)):
            rules |= {f"{field}.{position}": rule for position, rule in enumerate(several)}
        for position, rule in enumerate(self.captions):
            if rule.lang:
                rules[f"captions.{position}.lang"] = TextRule(value=rule.lang, each=rule.scope)
        return rules | self.rights.rules()

    def _spread(self, table: Table) -> list[Row]:
        """A row per value of ``each``; one without a value where there is none."""
        if not self.each:
            return table.rows
        path = parse_path(self.each)
        spread = [(row, find(row.cells, path) or [None]) for row in table.rows]
        return [replace(row, here=value) for row, values in spread for value in values]

    def _items(self, name: str, folder: Path, rows: list[Row], size_px: int) -> Iterator[Item]:
        repeated = self._repeated_captions(rows)
        resolved = folder.resolve()
        for row in rows:
            yield self._item(name, folder, resolved, row, repeated, size_px)

    def _repeated_captions(self, rows: list[Row]) -> list[frozenset[str]]:
        """Per caption rule, the texts that occur in more than one row."""
        found = []
        for rule in self.captions:
            seen: dict[str, int] = {}
            for row in rows if rule.repeated == "drop" else ():
                for text in {comparable(clean_text(text)) for text in rule.texts(row.cells, row.here)}:
                    seen[text] = seen.get(text, 0) + 1
            found.append(frozenset(text for text, count in seen.items() if text and count > 1))
        return found

    def _item(
        self, name: str, folder: Path, resolved: Path, row: Row, repeated: list[frozenset[str]], size_px: int
    ) -> Item:
        image = self.image.text(row.cells, row.here)
        captions, drop = self._captions(row, repeated)
        record = self._record(name, row, image, captions)
        turn = _number(self._text(self.turn, row)) or 0
        picture: Picture | None = None
        if is_web_address(image):
            picture = remote_picture(image, size_px=size_px, turn_deg=turn % 360)
            record = replace(record, image_url=record.image_url or image)
        elif image:
            picture = LocalPicture(root=str(resolved), path=str(folder / image), turn_deg=turn % 360)
        return Item(
            record=record,
            picture=picture,
            work=self._text(self.work_from, row) or record.id,
            drop=self._row_problem(row, record, image, turn) or drop,
        )

    def _text(self, rule: TextRule | None, row: Row) -> str:
        return clean_text(rule.text(row.cells, row.here)) if rule is not None else ""

    def _record(self, name: str, row: Row, image: str, captions: tuple[Caption, ...]) -> Record:
        def text(rule: TextRule | None) -> str:
            return self._text(rule, row)

        date_text = text(self.date)
        first_year, last_year = read_years(date_text)
        subjects = self.subjects.texts(row.cells, row.here) if self.subjects else ()
        return Record(
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
            subjects=tuple(map(clean_text, subjects)),
            iconclass=self.iconclass.texts(row.cells, row.here) if self.iconclass else (),
            technique=text(self.technique),
            object_type=text(self.object_type),
            rights=self.rights.state(row.cells, row.here),
            attribution=text(self.attribution),
            orig_width=_number(text(self.orig_width)),
            orig_height=_number(text(self.orig_height)),
        )

    def _row_problem(self, row: Row, record: Record, image: str, turn: int) -> Drop | None:
        if row.problem or row.unjoined:
            return Drop(_STAGE, RejectReason.ROW_INVALID, f"{row.place}: {row.problem or row.unjoined}")
        for rule in self.drop:
            if rule.holds(row.cells, row.here):
                return Drop(_STAGE, RejectReason.NOT_SELECTED, rule.why)
        if not record.id:
            return Drop(_STAGE, RejectReason.ID_MISSING, row.place)
        if not record.institution:
            return Drop(_STAGE, RejectReason.ROW_INVALID, f"{row.place}: institution is empty")
        if not image:
            return Drop(_STAGE, RejectReason.IMAGE_MISSING, f"{row.place} names no picture")
        if turn % 90:
            return Drop(_STAGE, RejectReason.ROW_INVALID, f"{row.place}: turn by {turn} degrees, not by 90s")
        return None

    def _captions(self, row: Row, repeated: list[frozenset[str]]) -> tuple[tuple[Caption, ...], Drop | None]:
        """Captions of all rules, each text once in a language, and why there is none, or none that is required."""
        captions: dict[tuple[str, str], Caption] = {}
        first: Drop | None = None
        for rule, common in zip(self.captions, repeated, strict=True):
            found, problem = self._captions_of(rule, row, common)
            for caption in found:
                captions.setdefault((caption.lang, comparable(caption.text)), caption)
            if rule.required and problem is not None and not found:
                return tuple(captions.values()), problem
            first = first or problem
        return tuple(captions.values()), None if captions else first

    def _captions_of(self, rule: CaptionRule, row: Row, common: frozenset[str]) -> tuple[list[Caption], Drop | None]:
        captions: list[Caption] = []
        first: Drop | None = None
        texts = [(clean_text(text), start) for text, start in rule.values(row.cells, row.here)]
        for text, start in texts or [("", None)]:
            problem = self._caption_problem(rule, text, common)
            if problem is None:
                lang = fill(rule.lang, row.cells, start) if rule.lang else ""
                code = language_code(lang or self.language) or "und"
                captions.append(Caption(text, code, rule.source_name, rule.level, rule.machine))
            first = first or problem
        return captions, first

    def _caption_problem(self, rule: CaptionRule, text: str, common: frozenset[str]) -> Drop | None:
        if comparable(text) in common:
            detail = f"{rule.source_name}: {text!r} stands at several pictures"
            return Drop(_STAGE, RejectReason.CAPTION_REPEATED, detail)
        if not text or rule.is_stopped(text):
            detail = f"{rule.source_name}: {text!r}" if text else rule.source_name
            return Drop(_STAGE, RejectReason.CAPTION_EMPTY, detail)
        if self.use != "evaluate" and is_empty_of_meaning(text):
            return Drop(_STAGE, RejectReason.CAPTION_EMPTY, f"{rule.source_name}: {text!r} names nothing")
        return None


def _number(text: str) -> int | None:
    try:
        number = int(float(text))
    except (ValueError, OverflowError):
        return None
    return number if -(2**31) <= number < 2**31 else None
