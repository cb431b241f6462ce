"""Read what leads to manifests: IIIF collections (2, 3, hybrids), Change Discovery streams, and a few search answers.

Collections list members under ``manifests``, ``collections``, ``members`` or ``items``, as objects or bare addresses;
members of a collection that stands whole inside another one are among the links of the outer one.
Change Discovery pages are read backwards from ``last`` through ``prev`` until the time of the last run
(https://iiif.io/api/discovery/1.0/).
"""

from dataclasses import dataclass
from typing import Any, Literal

from .iiif import statements_of
from .iiif_values import id_of, metadata_fields, texts_of, type_of
from .json import Object, as_list, as_object, as_text, objects, strings
from .parsed import ParseError, ParseReason, Statement, Text, unique
from .urls import is_closed, open_gallica, web_url

LinkKind = Literal["manifest", "collection", "item"]


@dataclass(frozen=True, slots=True)
class Link:
    """A member of a collection: its address (Gallica's rewritten), what it is, its title, the address as ``stated``."""

    url: str
    kind: LinkKind
    titles: tuple[Text, ...] = ()
    stated: str = ""


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection, or one page of it; ``next_page`` is ``""`` on the last.

    ``refused`` are members whose addresses are never opened (``file:``, gallica.bnf.fr).
    """

    id: str
    titles: tuple[Text, ...]
    links: tuple[Link, ...]
    refused: tuple[str, ...] = ()
    rights: tuple[Statement, ...] = ()
    next_page: str = ""
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """One change: ``create``, ``update``, ``delete``, ``move``, ``add`` or ``remove`` of a manifest, or ``refresh``.

    A refresh has no ``url``: what the stream says behind it was all said before it (1.0, 2.1.5).
    """

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
    if not _lists(collection) and type_of(collection) != "Collection":
        raise ParseError(ParseReason.UNKNOWN_FORMAT, "no list of members in the collection")
    links: dict[str, Link] = {}
    refused: list[str] = []
    for link in _links(collection):
        if link.url and not is_closed(link.url):
            links.setdefault(link.url, link)
        else:
            refused.append(link.url or link.stated)
    view = as_object(collection.get("view"))
    following = id_of(collection.get("next") or view.get("next") or collection.get("first"))
    total = collection.get("total") or collection.get("totalItems")
    return Collection(
        id=id_of(collection) or url,
        titles=texts_of(collection.get("label") or collection.get("title"), "label"),
        links=tuple(links.values()),
        refused=unique([each for each in refused if ":" in each]),
        rights=statements_of(collection, metadata_fields(collection.get("metadata"), "metadata"), "dataset"),
        next_page=web_url(following),
        total=total if isinstance(total, int) and not isinstance(total, bool) else None,
    )


def _lists(collection: Object) -> list[str]:
    return [name for name in ("manifests", "collections", "members", "member", "items") if name in collection]


def _links(collection: Object) -> list[Link]:
    found: list[Link] = []
    for name in _lists(collection):
        for each in as_list(collection.get(name)):
            is_whole = isinstance(each, dict) and not (each.get("first") or each.get("next"))
            inside = _links(each) if is_whole and _kind(each, name) == "collection" else []
            found += inside or [_link(each, name)]
    return [link for link in found if link.stated]


def _link(value: Any, list_name: str) -> Link:
    if isinstance(value, dict) and isinstance(
        value.get("manifest"), dict | str
    ):  # Bodleian: the manifest of a found object
        shown = as_object(value.get("displayFields"))
        titles = texts_of(shown.get("title") or value.get("label"), "displayFields:title")
        return _made(id_of(value["manifest"]), "manifest", titles)
    kind = _kind(value, list_name)
    titles = texts_of(value.get("label"), "label") if isinstance(value, dict) else ()
    return _made(id_of(value), kind, titles) if kind else Link("", "item")


def _kind(value: Any, list_name: str) -> LinkKind | None:
    """What a member is, by its type or else by its list; None for what is neither manifest nor collection."""
    stated = type_of(value) if isinstance(value, dict) else ""
    if stated in ("Canvas", "Range", "Sequence", "Layer", "AnnotationList", "AnnotationPage", "Annotation"):
        return None
    by_list: dict[str, LinkKind] = {"manifests": "manifest", "collections": "collection"}
    by_type: dict[str, LinkKind] = {"Manifest": "manifest", "Collection": "collection"}
    return by_type.get(stated) or by_list.get(list_name, "item")


def _made(address: str, kind: LinkKind, titles: tuple[Text, ...]) -> Link:
    return Link(open_gallica(web_url(address)), kind, titles, stated=address)


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
    changed, kind = item.get("object"), type_of(item).lower()
    url = open_gallica(web_url(id_of(changed)))
    if not url and kind != "refresh":
        return None
    times = [text for name in ("endTime", "published", "startTime") for text in strings(item.get(name))]
    return Activity(
        kind=kind,
        url=url,
        object_type=type_of(changed) if isinstance(changed, dict) else "",
        end_time=next(iter(times), ""),
        target=open_gallica(web_url(id_of(item.get("target")))) if as_text(id_of(item.get("target"))) else "",
    )
