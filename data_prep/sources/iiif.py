"""IIIF Presentation 2, 3 and mixtures: objects by their manifests, listed, in collections, searched for or streamed.

Work is the object, page is the canvas (``id#number``). What vanished from a collection is gone after ``--update``:
it is walked again, and manifests that have not changed are not sent again (ETag). A stream of changes (Change Discovery
1.0) is read back to the last run. gallica.bnf.fr is never asked: its manifests and pictures are at openapi.bnf.fr.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from urllib.parse import quote

from pydantic import model_validator

from iconoclip.errors import SourceError

from ..harvest.sweep import Sweep
from ..mapping import Pattern
from ..parse.iiif import parse_manifest
from ..parse.iiif_collection import parse_collection
from ..parse.iiif_values import type_of
from ..parse.json import as_object, parse_json
from ..parse.urls import is_closed, open_gallica, web_url
from ._documents import read_list
from ._iiif_walks import ChangeWalk, Choice, CollectionWalk, effects_of, name_of, read_changes
from .base import Document, Harvest, Surroundings
from .web import Entry, WebSource

_SEARCH_ACCEPT = "application/ld+json, application/json;q=0.9"
_REFUSED = "not an address that is ever asked for (http and https only; gallica.bnf.fr refuses programs)"


class IiifSource(WebSource):
    """Objects of ``manifests`` (addresses, or a text file of them; with ``template`` identifiers), of ``collections``
    with all collections inside them, of a ``search`` (Bodleian's JSON-LD), or of the stream ``changes``.

    ``only`` is found in the address or title of each manifest that is asked for, ``skip`` in that of no manifest and no
    collection. ``accept`` asks servers that know both for one version, e.g.
    ``application/ld+json;profile="http://iiif.io/api/presentation/3/context.json"``.
    """

    kind: Literal["iiif"] = "iiif"  # type: ignore[assignment]  # frozen, so narrowing is safe
    manifests: tuple[str, ...] | str = ()
    template: str = ""
    collections: tuple[str, ...] = ()
    search: str = ""
    changes: str = ""
    accept: str = ""
    only: Pattern = ""
    skip: Pattern = ""

    _request_fields: ClassVar[tuple[str, ...]] = (
        "manifests", "template", "collections", "search", "changes", "accept", "only", "skip",
    )  # fmt: skip

    @model_validator(mode="after")
    def _has_place(self) -> Self:
        lists = [self.manifests, self.collections, self.search]
        if self.template and ("{id}" not in self.template or not self.manifests):
            raise ValueError("template makes addresses of `manifests`: https://host/path/{id}/manifest.json")
        if sum((any(map(bool, lists)), bool(self.changes), bool(self.files))) != 1:
            raise ValueError(
                "give `manifests`, `collections` or `search` (also together), or `changes`, a stream of changes, or "
                "`files`, saved manifests"
            )
        for url in (*self.collections, self.search, self.changes, *self.addresses()):
            if url and (problem := _find_problem(url)):
                raise ValueError(problem)
        return self

    def settled(self, root: Path) -> Self:
        """With the content of the text file in place of its name: a longer list is another harvest.

        Raises:
            SourceError: there is no such file, or no address in it.
        """
        if not isinstance(self.manifests, str) or not self.manifests:
            return self
        path = root / self.manifests
        source = self.model_copy(update={"manifests": read_list(path, field="manifests")})
        for url in source.addresses():
            if problem := _find_problem(url):
                raise SourceError(f"{path}: {problem}")
        return source

    def addresses(self) -> list[str]:
        """Addresses of the ``manifests``, Gallica's rewritten, each once."""
        entries = () if isinstance(self.manifests, str) else self.manifests
        urls = [self.template.replace("{id}", quote(each, safe="/:")) if self.template else each for each in entries]
        return list(dict.fromkeys(map(open_gallica, urls)))

    async def walk(self, sweep: Sweep) -> AsyncGenerator[Document, None]:
        """Lists, then collections, then the search; or the stream."""
        choice = Choice(self.only, self.skip)
        list_accept = _SEARCH_ACCEPT if self.search else self.accept
        walk = CollectionWalk(sweep, choice, accept=self.accept, list_accept=list_accept)
        walks = [walk.ask(self.addresses()), *map(walk.walk, self.collections)]
        walks += [walk.walk(self.search)] if self.search else []
        walks += [ChangeWalk(sweep, choice, self.changes).walk(walk)] if self.changes else []
        for each in walks:
            async with aclosing(each) as documents:
                async for document in documents:
                    yield document
        walk.check_complete()

    def read(self, document: Document) -> Iterator[Entry]:
        """The object of a manifest; of lists what is refused, and of changes what is gone."""
        value = parse_json(document.read())
        if document.kind in ("stream", "changes"):
            yield from self._read_deletions(document)
        elif type_of(as_object(value)) == "Collection" or document.kind == "collection":
            yield from _read_list(value, document)
        else:
            parsed = parse_manifest(value, url=document.url)
            yield Entry(name_of(parsed.id if document.kind == "file" else document.url), parsed)

    def harvest(self, name: str, around: Surroundings) -> Harvest:
        """As everywhere, but pages of a stream come before the manifests that were asked for because of them."""
        if self.changes:
            around = replace(around, documents=_pages_first(around.documents))
        return super().harvest(name, around)

    def _read_deletions(self, document: Document) -> Iterator[Entry]:
        last: dict[str, bool] = {}
        for activity in read_changes(document.read()).activities:
            for url, is_live in effects_of(activity):
                last[url] = is_live
        choice = Choice(self.only, self.skip)
        for url, is_live in last.items():
            if not is_live and choice.takes(url):
                yield Entry(name_of(url), deleted=True)


def _find_problem(url: str) -> str:
    if not web_url(url):
        return f"{url[:100]!r} is no http(s) address; for identifiers add `template: https://host/{{id}}/manifest.json`"
    if is_closed(url):
        return f"{url}: gallica.bnf.fr refuses programs; ask openapi.bnf.fr, or oai.bnf.fr with `kind: oai_pmh`"
    return ""


def _read_list(value: Any, document: Document) -> Iterator[Entry]:
    """A collection gives no objects; members whose addresses are never asked for are counted."""
    if document.kind == "manifest":
        yield Entry(name_of(document.url), problem=f"{document.url}: a collection; name it under `collections`")
    for address in parse_collection(value, url=document.url).refused:
        yield Entry(address, problem=f"{address[:200]}: {_REFUSED}")


def _pages_first(documents: Iterable[Document]) -> Iterator[Document]:
    """Documents sweep by sweep (each begins with its stream): what is gone, then what is there."""
    sweep: list[Document] = []
    for document in documents:
        if document.kind == "stream":
            yield from sorted(sweep, key=_is_manifest)
            sweep = []
        sweep.append(document)
    yield from sorted(sweep, key=_is_manifest)


def _is_manifest(document: Document) -> bool:
    return document.kind not in ("stream", "changes")
