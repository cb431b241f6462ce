"""METS with ALTO: digitised books, newspapers and portfolios, page by page or illustration by illustration.

Folders and zips (``files: "sbb/**/*.xml"``; pictures and ALTO beside the METS, as in zips of the Data Foundry, OCR-D's
folders) or addresses (``documents``). ``pages: {role: illustration|map}`` takes pages that the structMap calls so.
``crops`` makes a record of each illustration that ALTO marks, with the text right below as its caption; its identifier
is ``id#page-box``, the box by its ALTO ``ID`` where that is unique on the page.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from iconoclip.config import Config
from iconoclip.files import sha256_json
from iconoclip.records import RejectReason

from ..fetch.challenge import root_name
from ..fetch.pictures import RemotePicture
from ..harvest.sweep import Ask, Sweep
from ..local_files import LocalPicture
from ..mapping import Cells
from ..mets_folders import LayoutError, Layouts, MetsDocument, ZippedPicture
from ..parse.alto import AltoPage, parse_alto
from ..parse.alto import Box as AltoBox
from ..parse.mets import parse_mets
from ..parse.parsed import Parsed, ParseError, ParseReason, Text, View
from ..parse.urls import web_url
from ..parse.xml import descendants, parse_xml, read_language
from ._documents import DocumentsSource
from .base import Document, Drop, Harvest, Item, Picture, Surroundings
from .web import Entry

_STAGE = "source"
_ACCEPT = "application/xml, text/xml;q=0.9, */*;q=0.5"
_MAX_DEPTH = 4  # multi-volume work, volume, part
_MAX_SIZE_PX = 8192


class CropsRule(Config):
    """Which boxes of ALTO become records, by the share of the page that they cover, and with which caption.

    ``cut: server`` asks IIIF services for the part alone; ``here`` asks for the whole page and cuts it here, once for
    all of its boxes (of plain files always). ``graphics`` takes ``GraphicalElement`` beside ``Illustration``.
    """

    min_share: float = Field(default=0.02, ge=0, lt=1)
    max_share: float = Field(default=0.95, gt=0, le=1)
    caption: Literal["nearest_text_below", "none"] = "nearest_text_below"
    graphics: bool = True
    cut: Literal["server", "here"] = "server"

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.min_share >= self.max_share:
            raise ValueError(f"min_share {self.min_share:g} is not below max_share {self.max_share:g}")
        return self

    def boxes(self, page: AltoPage) -> list[tuple[str, AltoBox]]:
        """(name, box) of a page, in the order of the file."""
        every = [*page.illustrations, *(page.graphics if self.graphics else ())]
        names = Counter(box.id for box in every)
        named = [(box.id if box.id and names[box.id] == 1 else f"box{n}", box) for n, box in enumerate(every, 1)]
        return [each for each in named if each[1].shares and self.min_share <= each[1].area_share <= self.max_share]


class MetsAltoSource(DocumentsSource):
    """``groups`` names the file groups (``USE``) to take pictures from, first choice first: ``[MAX, DEFAULT]``.

    ``volumes`` goes on to the METS of the volumes that the METS of a multi-volume work or a periodical names.
    """

    kind: Literal["mets_alto"] = "mets_alto"  # type: ignore[assignment]  # frozen, so narrowing is safe
    groups: tuple[str, ...] = ()
    crops: CropsRule | None = None
    volumes: bool = True

    @property
    def harvest_id(self) -> str:
        """Named by what is asked for: with crops also the ALTO of the wanted pages."""
        facts = {"documents": self.addresses(), "volumes": self.volumes}
        if self.crops is not None:
            facts["alto_of"] = self.pages.to_json()
        return f"{self.kind}-{sha256_json(facts)[:24]}"

    async def walk(self, sweep: Sweep) -> AsyncGenerator[Document, None]:
        """Every METS, each followed by the ALTO of its wanted pages where crops are wanted; then the volumes."""
        addresses, seen = self.addresses(), set[str]()
        for _ in range(_MAX_DEPTH):
            following: list[str] = []
            seen |= set(addresses)
            asks = [Ask(url, "mets", "xml", _ACCEPT) for url in addresses]
            async with aclosing(sweep.ask_all(asks)) as documents:
                async for document in documents:
                    yield document
                    for parsed in self._look_into(document):
                        following += parsed.links if self.volumes and not parsed.views else ()
                        async with aclosing(sweep.ask_all(self._alto_asks(parsed))) as altos:
                            async for alto in altos:
                                yield alto
            addresses = [url for url in dict.fromkeys(following) if url not in seen]

    def read(self, document: Document) -> Iterator[Entry]:
        """The objects of a METS (one, as a rule); files that only accompany it hold none."""
        data = document.read()
        if root_name(data[:8192]).lower() in ("alto", "pcgts"):
            return
        xml = parse_xml(data)
        found = list(descendants(xml.root, "mets"))
        if not found:
            raise ParseError(ParseReason.UNKNOWN_FORMAT, f"no <mets> in it; the root element is <{root_name(data)}>")
        if xml.truncated:
            raise ParseError(ParseReason.TRUNCATED, f"the end of the document is missing: {xml.problem}")
        for element in found:
            parsed = parse_mets(element, groups=self.groups)
            parsed = replace(parsed, id=parsed.id or document.url)
            if self.files:  # two files about one object are both counted
                yield Entry(document.url, parsed)
            else:
                yield Entry(parsed.id, replace(parsed, views=tuple(_at(view, document.url) for view in parsed.views)))

    def count(self, document: Document) -> int:
        """Records to come of a document: pages, or boxes where crops are wanted."""
        if document.kind == "alto":
            try:
                return (
                    sum(len(self._boxes(page)) for page in parse_alto(document.read())) if not document.problem else 0
                )
            except ParseError:
                return 0
        entries = list(self._entries(document))
        pages = [self.pages.choose(entry.parsed.views) for entry in entries if entry.parsed is not None]
        if self.crops is None:
            return sum(max(1, len(views)) for views in pages) + len(entries) - len(pages)
        return len(entries) - sum(any(view.layout for view in views) for views in pages)

    def choose(self, views: tuple[View, ...], parsed: Parsed, document: Document) -> tuple[View, ...]:
        """The wanted pages, or their illustrations."""
        pages = self.pages.choose(views)
        if self.crops is None:
            return pages
        assert isinstance(document, MetsDocument)
        return tuple(part for page in pages if page.layout for part in self._cut(page, parsed, document))

    def _items(
        self, name: str, around: Surroundings, documents: Iterable[Document], harvest: Harvest
    ) -> Iterator[Item]:
        layouts = Layouts(around.root, is_local=bool(self.files))
        return super()._items(name, around, layouts.attach(documents), harvest)

    def _entries(self, document: Document) -> Iterator[Entry]:
        return iter(()) if document.kind == "alto" else super()._entries(document)

    def _look_into(self, document: Document) -> list[Parsed]:
        return [entry.parsed for entry in self._entries(document) if entry.parsed is not None]

    def _alto_asks(self, parsed: Parsed) -> list[Ask]:
        pages = self.pages.choose(parsed.views) if self.crops else ()
        addresses = dict.fromkeys(page.layout for page in pages if web_url(page.layout))
        return [Ask(url, "alto", "xml", _ACCEPT) for url in addresses]

    def _boxes(self, page: AltoPage) -> list[tuple[str, AltoBox]]:
        return self.crops.boxes(page) if self.crops else []

    def _cut(self, page: View, parsed: Parsed, document: MetsDocument) -> Iterator[View]:
        try:
            layouts = parse_alto(document.layout(page.layout))
        except (ParseError, LayoutError) as error:
            yield replace(page, problem=f"the layout of page {page.number}, {page.layout}: {error}")
            return
        for layout in layouts[:1]:  # a file of a page has one
            for name, box in self._boxes(layout):
                texts = self._caption(layout, box, parsed) or page.texts
                yield replace(page, part=name, box=box.shares, texts=texts, width=None, height=None)

    def _caption(self, layout: AltoPage, box: AltoBox, parsed: Parsed) -> tuple[Text, ...]:
        assert self.crops is not None
        if self.crops.caption == "none" or not box.caption:
            return ()
        of_object = parsed.languages[0] if len(parsed.languages) == 1 else ""
        return (Text(box.caption, read_language(layout.language) or of_object, "alto", "page"),)

    def _find_drop(
        self, parsed: Parsed, views: tuple[View, ...], chosen: tuple[View, ...], cells: Cells
    ) -> Drop | None:
        pages = self.pages.choose(views)
        drop = super()._find_drop(parsed, views, chosen or pages, cells)
        if drop is not None or chosen or self.crops is None:
            return drop
        if not any(page.layout for page in pages):
            return Drop(
                _STAGE, RejectReason.NOT_SELECTED, f"the METS names no ALTO for its {len(pages):,} wanted pages"
            )
        shares = f"{100 * self.crops.min_share:g} to {100 * self.crops.max_share:g} %"
        detail = f"no illustration of {shares} of the page on its {len(pages):,} wanted pages"
        return Drop(_STAGE, RejectReason.NOT_SELECTED, detail)

    def _picture(self, view: View, document: Document, around: Surroundings) -> Picture | None:
        if view.path and isinstance(document, MetsDocument) and document.archive:
            return ZippedPicture(str(document.archive), document.beside(view.path), box=view.box)
        picture = super()._picture(view, document, around)
        if view.box is None or self.crops is None:
            return picture
        if isinstance(picture, LocalPicture):
            return replace(picture, box=view.box)
        if not isinstance(picture, RemotePicture):
            return picture
        request = picture.request
        if request.service is None:
            return replace(picture, box=view.box)
        if self.crops.cut == "server":
            return replace(picture, request=replace(request, box=view.box))
        # The page is asked for so large that the smallest box of it has the wanted size; one page serves all its boxes.
        size_px = min(_MAX_SIZE_PX, round(request.size_px / max(self.crops.min_share, 0.01) ** 0.5))
        return replace(picture, request=replace(request, size_px=size_px), box=view.box)


def _at(view: View, url: str) -> View:
    """Paths beside a document that came from an address are addresses."""
    layout = web_url(view.layout, base=url) if view.layout else ""
    return (
        replace(view, url=web_url(view.path, base=url), path="", layout=layout)
        if view.path
        else replace(view, layout=layout)
    )
