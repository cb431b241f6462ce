"""Read what leads to manifests: IIIF collections (2, 3, hybrids), Change Discovery streams, and a few search answers.

Collections list members under ``manifests``, ``collections``, ``members`` or ``items``, as objects or bare addresses.
Change Discovery pages are read backwards from ``last`` through ``prev`` until the time of the last run
(https://iiif.io/api/discovery/1.0/).
"""

from dataclasses import dataclass
from typing import Any, Literal

from .iiif import statements_of
from .iiif_values import id_of, metadata_fields, texts_of, type_of
from .json import Object, as_list, as_object, as_text, objects, strings
from .parsed import ParseError, ParseReason, Statement, Text
from .urls import open_gallica, web_url

LinkKind = Literal["manifest", "collection", "item"]


@dataclass(frozen=True, slots=True)
class Link:
    """A member of a collection: its address (Gallica's rewritten), what it is, and its title."""

    url: str
    kind: LinkKind
    titles: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection, or one page of it; ``next_page`` is ``""`` on the last."""

    id: str
    titles: tuple[Text, ...]
    links: tuple[Link, ...]
    rights: tuple[Statement, ...] = ()
    next_page: str = ""
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """One change: ``create``, ``update``, ``delete``, ``move``, ``add``, ``remove`` or ``refresh`` of a manifest."""

    kind: str
    url: str
    object_type: str
    end_time: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class ChangePage:
    """A stream (``first``, ``last``, ``total``) or a page of it (``activities``, ``previous``, ``next_page``)."""

    activities: tuple[Activity, ...] = ()
    previous: str = ""
    next_page: str = ""
    first: str = ""
    last: str = ""
    total: int | None = None


def parse_collection(value: Any, *, url: str = "") -> Collection:
    """Read a collection of any version, or Bodleian's search answer (``member``).

    Raises:
        ParseError: it has no list of members.
    """
    collection = as_object(value)
    lists = [name for name in ("manifests", "collections", "members", "member", "items") if name in collection]
    if not lists and type_of(collection) != "Collection":
        raise ParseError(ParseReason.UNKNOWN_FORMAT, "no list of members in the collection")
    links: dict[str, Link] = {}
    for name in lists:
        for each in as_list(collection.get(name)):
            link = _link(each, name)
            if link is not None:
                links.setdefault(link.url, link)
    total = collection.get("total") or collection.get("totalItems")
    return Collection(
        id=id_of(collection) or url,
        titles=texts_of(collection.get("label") or collection.get("title"), "label"),
        links=tuple(links.values()),
        rights=statements_of(collection, metadata_fields(collection.get("metadata"), "metadata"), "dataset"),
        next_page=web_url(id_of(collection.get("next") or collection.get("first"))),
        total=total if isinstance(total, int) and not isinstance(total, bool) else None,
    )


def _link(value: Any, list_name: str) -> Link | None:
    if isinstance(value, dict) and isinstance(
        value.get("manifest"), dict | str
    ):  # Bodleian: the manifest of a found object
        shown = as_object(value.get("displayFields"))
        titles = texts_of(shown.get("title") or value.get("label"), "displayFields:title")
        return _made(id_of(value["manifest"]), "manifest", titles)
    kind = type_of(value) if isinstance(value, dict) else ""
    by_list: dict[str, LinkKind] = {"manifests": "manifest", "collections": "collection"}
    by_type: dict[str, LinkKind] = {"Manifest": "manifest", "Collection": "collection"}
    titles = texts_of(value.get("label"), "label") if isinstance(value, dict) else ()
    return _made(id_of(value), by_type.get(kind) or by_list.get(list_name, "item"), titles)


def _made(address: str, kind: LinkKind, titles: tuple[Text, ...]) -> Link | None:
    url = open_gallica(web_url(address))
    return Link(url, kind, titles) if url else None


def parse_changes(value: Any) -> ChangePage:
    """Read an ``OrderedCollection`` or ``OrderedCollectionPage`` of IIIF Change Discovery.

    Raises:
        ParseError: it is neither.
    """
    page = as_object(value)
    if type_of(page) not in ("OrderedCollection", "OrderedCollectionPage"):
        raise ParseError(ParseReason.UNKNOWN_FORMAT, f"a {type_of(page) or 'value without a type'} is no change stream")
    total = page.get("totalItems")
    found = [_activity(each) for each in objects(page.get("orderedItems"))]
    return ChangePage(
        activities=tuple(activity for activity in found if activity is not None),
        previous=web_url(id_of(page.get("prev"))),
        next_page=web_url(id_of(page.get("next"))),
        first=web_url(id_of(page.get("first"))),
        last=web_url(id_of(page.get("last"))),
        total=total if isinstance(total, int) and not isinstance(total, bool) else None,
    )


def _activity(item: Object) -> Activity | None:
    changed = item.get("object")
    url = open_gallica(web_url(id_of(changed)))
    if not url:
        return None
    times = [text for name in ("endTime", "published", "startTime") for text in strings(item.get(name))]
    return Activity(
        kind=type_of(item).lower(),
        url=url,
        object_type=type_of(changed) if isinstance(changed, dict) else "",
        end_time=next(iter(times), ""),
        target=open_gallica(web_url(id_of(item.get("target")))) if as_text(id_of(item.get("target"))) else "",
    )
