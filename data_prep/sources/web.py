"""Collections behind a protocol, or in dumps of it: what all such sources share.

A subclass says how to walk the server (``walk``) and how to read one answer (``read``); everything else is here: which
of several answers about an object holds, captions, rights, works, which pages are wanted, and how pictures are asked
for. ``files`` reads saved answers (a folder, ``dumps/*.xml``, ``edm/*.zip``) instead of asking anybody.
"""

import re
from abc import abstractmethod
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from iconoclip.config import Config
from iconoclip.errors import SourceError
from iconoclip.files import sha256_json
from iconoclip.languages import language_code
from iconoclip.records import Record, RejectReason, Rights, RightsPart

from ..fetch.image_sizes import ImageService
from ..fetch.images import PictureRequest
from ..fetch.pictures import RemotePicture
from ..fetch.redaction import redact
from ..mapping import Cells, DropRule, Pattern, RowRule, Text, check_columns
from ..parse.parsed import Parsed, ParseError, View
from ..parse.to_records import CAPTION_FIELDS, to_records
from ..parse.urls import image_service_of, image_url, service_url
from ..rights import read_statement
from .base import Assumption, Document, Drop, Harvest, Item, Picture, Source, Surroundings
from .local import LocalPicture

if TYPE_CHECKING:
    from ..harvest.sweep import Sweep

CaptionField = Literal["page", "title", "description", "series", "subjects"]

_STAGE = "source"
_REFUSALS = ("opted_out", "robots", "tdm", "x_robots")  # beginnings of a document's problem
_LISTS = ("subjects", "iconclass")
_CELLS = (
    "id", "title", "creator", "creator_role", "date_text", "place", "subjects", "iconclass", "technique",
    "object_type", "page_url", "image_url", "manifest", "canvas", "attribution", "institution",
)  # fmt: skip
_MORE_CELLS = ("object_id", "page", "role", "rights", "captions", "languages")


class StatedRight(Config):
    """A right that a whole data set states, where its records do not: what it says, who says it and where."""

    value: str = Field(min_length=1)
    asserted_by: str = Field(min_length=1)
    source_url: str = Field(min_length=1)
    territory: str = ""


class StatedRights(Config):
    """Rights of pictures (``image``), texts (``text``) and works of a data set, for records that say nothing."""

    work: StatedRight | None = None
    image: StatedRight | None = None
    text: StatedRight | None = None
    assume: tuple[Assumption, ...] = ()

    def to_rights(self, *, seen_on: str) -> tuple[Rights, ...]:
        """As statements of a record."""
        found = []
        parts: tuple[tuple[RightsPart, StatedRight | None], ...] = (
            ("work", self.work), ("image", self.image), ("metadata", self.text),
        )  # fmt: skip
        for part, stated in parts:
            if stated is not None:
                uri = read_statement(stated.value).uri
                found.append(
                    Rights(part, uri, stated.value, stated.asserted_by, stated.source_url, stated.territory, seen_on)
                )
        known = {right.part for right in found}
        for each in self.assume:
            part: RightsPart = "metadata" if each.part == "text" else each.part
            if part not in known:
                uri = read_statement(each.statement).uri
                found.append(Rights(part, uri, each.statement, asserted_by=f"assumed: {each.reason}"))
        return tuple(found)


class PagesRule(Config):
    """Which pictures of an object are taken: all, or those whose ``role`` or ``label`` fits, at most ``most``.

    ``skip`` is a pattern of roles and labels that are never taken (covers, colour charts, blank pages).
    """

    role: Pattern = ""
    label: Pattern = ""
    skip: Pattern = ""
    most: int | None = Field(default=None, ge=1)

    def choose(self, views: tuple[View, ...]) -> tuple[View, ...]:
        """Views in their order and with their numbers."""
        kept = [
            view
            for view in views
            if (not self.role or re.search(self.role, view.role))
            and (not self.label or re.search(self.label, view.label))
            and not (self.skip and (re.search(self.skip, view.role) or re.search(self.skip, view.label)))
        ]
        return tuple(kept[: self.most])


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of an answer under the name by which its server counts it: read, deleted, or why neither.

    ``drop`` rejects an object that was read, whatever its pictures are.
    """

    name: str
    parsed: Parsed | None = None
    problem: str = ""
    deleted: bool = False
    drop: Drop | None = None


class WebSource(Source):
    """What the configuration of every web collection may say.

    ``institution`` and ``language`` stand in where a record states none. ``captions`` chooses among page, title,
    description, series and subjects. ``where`` leaves records to others, ``drop`` rejects them: claims about
    ``{title}``, ``{object_type}``, ``{subjects}``, ``{rights}``... of a record. ``work_from`` names the work, by
    default the object. ``size_px`` is the longer side to ask for, by default that of the stored pictures; ``previews``
    lets thumbnails stand in for pictures. ``picture_from`` makes the address of the picture of a record that names none
    (``"{object_id}:image"``).
    """

    files: str = ""
    institution: str = Field(min_length=1)
    language: str = "und"
    captions: tuple[CaptionField, ...] = Field(default=CAPTION_FIELDS, min_length=1)
    rights: StatedRights = StatedRights()
    where: tuple[RowRule, ...] = ()
    drop: tuple[DropRule, ...] = ()
    work_from: Text | None = None
    pages: PagesRule = PagesRule()
    size_px: int | None = Field(default=None, ge=32, le=8192)
    previews: bool = False
    picture_from: Text | None = None

    _request_fields: ClassVar[tuple[str, ...]] = ("url",)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self._request_fields:
            if (text := str(getattr(self, name, ""))) != redact(text):
                raise ValueError(
                    f"{name} holds a key, which would stand in the manifest; name its variable in "
                    "fetch.hosts.HOST.params_from_env or headers_from_env"
                )
        if language_code(self.language) is None:
            raise ValueError(f"no language code: {self.language}; write en, fr, nl, de ... per collection")
        rules: dict[str, Text | RowRule] = {f"where.{n}": rule for n, rule in enumerate(self.where)}
        rules |= {f"drop.{n}": rule for n, rule in enumerate(self.drop)}
        named = {"work_from": self.work_from, "picture_from": self.picture_from}
        rules |= {name: rule for name, rule in named.items() if rule is not None}
        try:
            check_columns(rules, (*_CELLS, *_MORE_CELLS), where=self.kind)
        except SourceError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """Rights that are assumed, for the card."""
        return self.rights.assume

    @property
    def harvest_id(self) -> str:
        """Names the harvest by what decides its requests: other captions or rules ask nobody again."""
        facts = {name: self.to_json().get(name) for name in self._request_fields}
        return f"{self.kind}-{sha256_json(facts)[:24]}"

    def settled(self, root: Path) -> Self:
        """This source with what it refers to (a text file of addresses under ``root``) read in.

        Raises:
            SourceError: that cannot be read.
        """
        return self

    @abstractmethod
    def walk(self, sweep: "Sweep") -> AsyncGenerator[Document, None]:
        """Ask for all documents of the collection, each after the other.

        Raises:
            AskError: the collection cannot be walked to its end now.
        """

    @abstractmethod
    def read(self, document: Document) -> Iterator[Entry]:
        """Objects of one document.

        Raises:
            ParseError: it cannot be read at all.
        """

    def rights_url(self, parsed: Parsed, document: Document) -> str:
        """Where the rights of an object were read; a source whose documents are pages of a search knows better."""
        return document.url

    def count(self, document: Document) -> int:
        """Objects in a document, for ``--limit``."""
        return sum(1 for _ in self._entries(document))

    def harvest(self, name: str, around: Surroundings) -> Harvest:
        """Records of all objects: what a later document says of an object replaces what an earlier one said."""
        from ..harvest.document import find_files

        documents = find_files(around.root, self.files) if self.files else around.documents
        harvest = Harvest(iter(()))
        harvest.items = self._items(name, around, documents, harvest)
        return harvest

    def _items(
        self, name: str, around: Surroundings, documents: Iterable[Document], harvest: Harvest
    ) -> Iterator[Item]:
        objects: dict[str, list[tuple[Entry, Document]]] = {}
        for document in documents:
            fresh: dict[str, list[tuple[Entry, Document]]] = {}
            for entry in self._entries(document):
                fresh.setdefault(entry.name, []).append((entry, document))
            objects |= fresh
        for several in objects.values():
            for entry, document in several:
                for item in self._items_of(name, entry, document, around):
                    if item is None:
                        harvest.num_outside += 1
                    else:
                        yield item

    def _entries(self, document: Document) -> Iterator[Entry]:
        if document.problem:
            yield Entry(document.url, problem=document.problem)
            return
        try:
            yield from self.read(document)
        except ParseError as error:
            yield Entry(document.url, problem=f"{document.url}: {error}")
        except SourceError as error:  # a file or member that cannot be had; an answer that is lost is asked for again
            yield Entry(document.url, problem=str(error))

    def _items_of(self, name: str, entry: Entry, document: Document, around: Surroundings) -> Iterator[Item | None]:
        if entry.parsed is None or entry.deleted:
            bare = Record(id=entry.name, source=name, institution=self.institution)
            reason = RejectReason.DELETED if entry.deleted else RejectReason.ROW_INVALID
            if document.problem:
                is_refused = document.problem.partition(":")[0] in _REFUSALS
                reason = RejectReason.OPTED_OUT if is_refused else RejectReason.FETCH_FAILED
            yield Item(bare, None, drop=Drop(_STAGE, reason, entry.problem or "deleted at the source"))
            return
        parsed = entry.parsed
        views = tuple(view for view in parsed.views if self.previews or not view.preview)
        views = views or self._made_views(name, parsed, document)
        chosen = self.choose(views, parsed, document)
        if chosen:  # where none is, the object itself is rejected
            yield from [None] * (len(views) - len(self.pages.choose(views)))
        for record, view in zip(
            self._records(name, replace(parsed, views=chosen), document), chosen or (View(),), strict=True
        ):
            cells = _cells(record, parsed, view)
            if not all(rule.holds(cells) for rule in self.where):
                yield None
                continue
            drop = entry.drop or self._find_drop(parsed, views, chosen, cells)
            if drop is None and view.problem:
                drop = Drop(_STAGE, RejectReason.IMAGE_MISSING, view.problem)
            picture = None if drop else self._picture(view, document, around)
            yield Item(record, picture, self.work_from.text(cells) if self.work_from else parsed.id, drop)

    def _made_views(self, name: str, parsed: Parsed, document: Document) -> tuple[View, ...]:
        """The picture whose address ``picture_from`` makes of the record; none where it makes none."""
        if self.picture_from is None:
            return ()
        (record,) = self._records(name, replace(parsed, views=()), document)
        url = image_url(self.picture_from.text(_cells(record, parsed, View())))
        return (View(url=url, iiif_service=service_url(image_service_of(url))),) if url else ()

    def choose(self, views: tuple[View, ...], parsed: Parsed, document: Document) -> tuple[View, ...]:
        """Pictures that become records; a source may take them apart."""
        return self.pages.choose(views)

    def _records(self, name: str, parsed: Parsed, document: Document) -> list[Record]:
        return to_records(
            parsed,
            source=name,
            institution=self.institution,
            language=language_code(self.language) or "und",
            captions=self.captions,
            dataset_rights=self.rights.to_rights(seen_on=document.seen_on),
            document_url=self.rights_url(parsed, document),
            seen_at=document.seen_on,
            previews=True,
        )

    def _find_drop(
        self, parsed: Parsed, views: tuple[View, ...], chosen: tuple[View, ...], cells: Cells
    ) -> Drop | None:
        for rule in self.drop:
            if rule.holds(cells):
                return Drop(_STAGE, RejectReason.NOT_SELECTED, rule.why)
        if views and not chosen:
            return Drop(_STAGE, RejectReason.NOT_SELECTED, f"none of its {len(views):,} pictures is a wanted page")
        if not views:
            previews = sum(view.preview for view in parsed.views)
            detail = f"{previews} thumbnails only (see `previews`)" if previews else "the record names no picture"
            return Drop(_STAGE, RejectReason.IMAGE_MISSING, detail)
        return None

    def _picture(self, view: View, document: Document, around: Surroundings) -> Picture | None:
        size_px = self.size_px or around.size_px
        if view.iiif_service:
            version = 1 if "/native." in view.url else 0  # only API 1 calls the quality so
            service = ImageService(view.iiif_service, version, width=view.width or 0, height=view.height or 0)
            return RemotePicture(PictureRequest(service=service, size_px=size_px))
        if view.url:
            return RemotePicture(PictureRequest(url=view.url, size_px=size_px))
        if view.path and self.files:
            beside = (around.root / document.url.partition("!")[0]).parent / view.path
            return LocalPicture(root=str(around.root.resolve()), path=str(beside))
        return None


def _cells(record: Record, parsed: Parsed, view: View) -> Cells:
    cells = {name: getattr(record, name) for name in _CELLS if name not in _LISTS}
    cells |= {name: "; ".join(getattr(record, name)) for name in _LISTS}
    return cells | {
        "object_id": parsed.id,
        "page": view.label,
        "role": view.role,
        "rights": "; ".join(right.raw or right.uri for right in record.rights),
        "captions": "; ".join(caption.text for caption in record.captions),
        "languages": "; ".join(parsed.languages),
    }


def refused(name: str, error: ParseError) -> Entry:
    """An entry for a record that a reader refuses."""
    return Entry(name, problem=f"{name}: {error}")
