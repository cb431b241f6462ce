"""Walks that lead to manifests: down the tree of a collection, and backwards through a stream of changes.

Both are plain loops over what was answered, so that an interrupted one can be run again from its beginning. Sources:
https://iiif.io/api/presentation/3.0/#51-collection, https://iiif.io/api/discovery/1.0/#35-activity-streams-processing-algorithm
"""

import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from ..fetch.answers import FailReason
from ..harvest.document import StoredDocument
from ..harvest.sweep import Ask, AskError, Sweep
from ..parse.iiif_collection import Activity, ChangePage, Collection, Link, parse_changes, parse_collection
from ..parse.iiif_values import type_of
from ..parse.json import as_object, parse_json
from ..parse.parsed import ParseError, ParseReason

_MAX_DEPTH = 32
_READ_TRIES = 3
_PASSING = frozenset({ParseReason.EMPTY, ParseReason.TRUNCATED, ParseReason.BROKEN_JSON, ParseReason.HTML_PAGE})
_LIVE = frozenset({"create", "update", "add"})
_GONE = frozenset({"delete", "remove"})
_MARGIN = timedelta(minutes=10)  # clocks differ, and an activity is published a little after its time


@dataclass(frozen=True, slots=True)
class Choice:
    """Which members of a list are asked for: ``skip`` is found in the address or title of none, ``only`` in each."""

    only: str = ""
    skip: str = ""

    def takes(self, url: str, title: str = "", *, is_manifest: bool = True) -> bool:
        """Say whether it is wanted; ``only`` speaks of manifests."""
        text = f"{url} {title}".strip()
        if self.skip and re.search(self.skip, text):
            return False
        return not (self.only and is_manifest) or re.search(self.only, text) is not None


def name_of(url: str) -> str:
    """The address as an identity: streams and collections of one library mix http and https."""
    return re.sub(r"^http:", "https:", url.partition("#")[0])


@dataclass(frozen=True, slots=True)
class _Place:
    """A collection that is still to be read, how deep it lies, and whether it is a further page of another one."""

    url: str
    depth: int = 0
    is_next_page: bool = False


class CollectionWalk:
    """Walks collections to their manifests, each once; ``accept`` asks for manifests, ``list_accept`` for lists."""

    def __init__(self, sweep: Sweep, choice: Choice, *, accept: str = "", list_accept: str = "") -> None:
        self._sweep, self._choice = sweep, choice
        self._accept = {"collection": list_accept}
        self._default_accept = accept
        self._seen: set[str] = set()
        self._lost: list[tuple[str, str]] = []

    async def walk(self, root: str) -> AsyncGenerator[StoredDocument, None]:
        """Pages and manifests of the collection ``root``; parts that are gone for good become records with a reason.

        Raises:
            AskError: the collection does not answer.
        """
        places = [_Place(root)]
        while places:
            place = places.pop()
            if name_of(place.url) in self._seen:
                continue  # a cycle, or a collection that names itself
            self._seen.add(name_of(place.url))
            part, document = await self._read_place(place)
            if document is not None:
                yield document
            if part is not None:
                places += reversed(self._below(part, place))
                async with aclosing(self._take(part, places, place.depth + 1)) as manifests:
                    async for manifest in manifests:
                        yield manifest

    async def ask(self, urls: Iterable[str]) -> AsyncGenerator[StoredDocument, None]:
        """Manifests at addresses, each once."""
        links = (Link(url, "manifest") for url in urls if self._choice.takes(url))
        async with aclosing(self._ask_all(links)) as documents:
            async for _, document in documents:
                yield document

    def check_complete(self) -> None:
        """To be called after all walks.

        Raises:
            AskError: parts of a collection did not come, but may when they are asked for again.
        """
        if self._lost:
            url, problem = self._lost[0]
            more = f" (and {len(self._lost) - 1:,} more parts)" if len(self._lost) > 1 else ""
            raise AskError(url, f"{problem}{more}; or `skip` it")

    def _ask(self, url: str, kind: str) -> Ask:
        return Ask(url, kind, "json", self._accept.get(kind, self._default_accept))

    def _below(self, page: Collection, place: _Place) -> list[_Place]:
        """The next page, then the collections inside this one, in order."""
        inside = [
            _Place(link.url, place.depth + 1)
            for link in page.links
            if link.kind == "collection" and self._choice.takes(link.url, _title(link), is_manifest=False)
        ]
        is_news = any(name_of(link.url) not in self._seen for link in page.links)
        if not page.next_page or (place.is_next_page and not is_news):  # some servers have a next page for ever
            return inside
        return [_Place(page.next_page, place.depth, is_next_page=True), *inside]

    async def _take(self, page: Collection, places: list[_Place], depth: int) -> AsyncGenerator[StoredDocument, None]:
        """Manifests of a page; a member whose kind was not stated and that is a collection is read next."""
        links = [
            link for link in page.links if link.kind != "collection" and self._choice.takes(link.url, _title(link))
        ]
        async with aclosing(self._ask_all(links)) as documents:
            async for link, document in documents:
                if link.kind == "item" and _is_collection(document):
                    self._seen.discard(name_of(link.url))
                    places.append(_Place(link.url, depth))
                else:
                    yield document

    async def _ask_all(self, links: Iterable[Link]) -> AsyncGenerator[tuple[Link, StoredDocument], None]:
        fresh = []
        for link in links:
            if name_of(link.url) not in self._seen:
                self._seen.add(name_of(link.url))
                fresh.append(link)
        async with aclosing(self._sweep.ask_all(self._ask(link.url, link.kind) for link in fresh)) as documents:
            position = 0
            async for document in documents:
                yield fresh[position], document
                position += 1

    async def _read_place(self, place: _Place) -> tuple[Collection | None, StoredDocument | None]:
        """A collection and its document; no document where asking later may help."""
        url, ask = place.url, self._ask(place.url, "collection")
        if place.depth == 0 and not place.is_next_page:
            return await self._sweep.read(ask, partial(_read_collection, url=url))
        if place.depth > _MAX_DEPTH:
            self._lost.append((url, f"{place.depth} collections inside each other"))
            return None, None
        for _ in range(_READ_TRIES):
            document = await self._ask_one(ask)
            if document.problem:
                if _is_passing(document.problem):
                    self._sweep.forget([ask])
                    self._lost.append((url, document.problem))
                    return None, None
                return None, document
            try:
                return _read_collection(document.read(), url=url), document
            except ParseError as error:
                if error.reason not in _PASSING:
                    return None, document
            self._sweep.forget([ask])
        return None, await self._ask_one(ask)

    async def _ask_one(self, ask: Ask) -> StoredDocument:
        async with aclosing(self._sweep.ask_all([ask])) as documents:
            async for document in documents:
                return document
        raise AssertionError


def _read_collection(data: bytes, *, url: str) -> Collection:
    return parse_collection(parse_json(data), url=url)


def _is_collection(document: StoredDocument) -> bool:
    if document.problem:
        return False
    try:
        return type_of(as_object(parse_json(document.read()))) == "Collection"
    except ParseError:
        return False


def _is_passing(problem: str) -> bool:
    """Whether asking later may help; a refusal, a robots.txt and an unsafe address stay what they are."""
    reason = FailReason(problem.partition(":")[0])
    return not (reason.is_final or reason.is_opt_out or reason in (FailReason.UNSAFE_URL, FailReason.REDIRECT))


def _title(link: Link) -> str:
    return link.titles[0].text if link.titles else ""


class ChangeWalk:
    """Reads a stream of changes from its newest page backwards, as far as the last run or a refresh."""

    def __init__(self, sweep: Sweep, choice: Choice, stream: str) -> None:
        self._sweep, self._choice, self._stream = sweep, choice, stream
        self._handled: set[str] = set()
        self._is_only_deletions = False

    async def walk(self, walk: CollectionWalk) -> AsyncGenerator[StoredDocument, None]:
        """The stream, its pages, and the manifests that are there after all changes, asked for through ``walk``.

        Raises:
            AskError: the stream or a page of it does not answer, or is none.
        """
        stream, document = await self._sweep.read(Ask(self._stream, "stream", "json"), read_changes)
        yield document
        url, seen = stream.last, set[str]()
        if not url and not stream.activities:
            raise AskError(self._stream, "names no last page, so nobody can read it from its end")
        page, since = stream, ""
        while True:
            if url:
                seen.add(url)
                page, document = await self._sweep.read(Ask(url, "changes", "json"), read_changes)
                yield document
            if not since:
                since = self._begin(page)
            wanted, is_last = self._read_back(page, since)
            async with aclosing(walk.ask(wanted)) as manifests:
                async for manifest in manifests:
                    yield manifest
            url = page.previous
            if is_last or not url or url in seen:
                return

    def _begin(self, newest: ChangePage) -> str:
        """Where to stop: the last run, if activities have times; else the whole stream is read and replaces all."""
        if not self._sweep.since or not any(activity.end_time for activity in newest.activities):
            return "the beginning"
        self._sweep.be_delta()
        return self._sweep.since

    def _read_back(self, page: ChangePage, since: str) -> tuple[list[str], bool]:
        """Manifests of a page to ask for, newest first, and whether older pages are of no interest."""
        start = _read_time(since)
        wanted: list[str] = []
        for activity in reversed(page.activities):
            time = _read_time(activity.end_time)
            if start and time and time < start - _MARGIN:
                return wanted, True
            if activity.kind == "refresh":
                if start is None:
                    return wanted, True
                self._is_only_deletions = True
            for url, is_live in effects_of(activity):
                if name_of(url) in self._handled:
                    continue
                self._handled.add(name_of(url))
                if is_live and not self._is_only_deletions and self._choice.takes(url):
                    wanted.append(url)
        return wanted, False


def read_changes(data: bytes) -> ChangePage:
    """A page of a stream, or the stream."""
    return parse_changes(parse_json(data))


def effects_of(activity: Activity) -> Iterator[tuple[str, bool]]:
    """(manifest, whether it is there afterwards) for a change; nothing for changes of other things."""
    if activity.object_type not in ("", "Manifest"):
        return
    if activity.kind == "move":
        yield activity.url, False
        if activity.target:
            yield activity.target, True
    elif activity.kind in _LIVE | _GONE:
        yield activity.url, activity.kind in _LIVE


def _read_time(stamp: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
