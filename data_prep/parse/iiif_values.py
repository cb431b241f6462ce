"""Values of IIIF documents of any version: ``@id`` or ``id``, strings, language maps, labels in several languages."""

import re
from typing import Any

from .iiif_labels import FIELDS
from .json import Object, as_list, as_object, as_text, objects
from .parsed import Text
from .text import name_lines, plain_text
from .urls import service_url, web_url
from .xml import read_language


def id_of(value: Any) -> str:
    """``@id`` or ``id`` of an object, a string as it is, else ``""``."""
    if isinstance(value, list):
        return next((found for each in value if (found := id_of(each))), "")
    return as_text(value.get("@id") or value.get("id")) if isinstance(value, dict) else as_text(value)


def type_of(value: Any) -> str:
    """Type without its prefix: ``sc:Manifest`` and ``Manifest`` are both ``Manifest``."""
    kind = as_text(value.get("@type") or value.get("type")) if isinstance(value, dict) else ""
    return re.split(r"[:#/]", kind)[-1]


def texts_of(value: Any, source: str = "") -> tuple[Text, ...]:
    """Texts of a string, a list, ``{"@value": .., "@language": ..}`` or a language map, without HTML."""
    found: dict[str, Text] = {}
    for text, lang in raw_texts(value):
        if plain := plain_text(text):
            found.setdefault(plain, Text(plain, lang, source))  # the BnF repeats French texts under "en"
    return tuple(found.values())


def raw_texts(value: Any, lang: str = "") -> list[tuple[str, str]]:
    """The same with their HTML, for rights that hide in anchors."""
    if isinstance(value, list):
        return [pair for each in value for pair in raw_texts(each, lang)]
    if isinstance(value, dict):
        if "@value" in value or "value" in value:
            inner = value.get("@value", value.get("value"))
            stated = read_language(as_text(value.get("@language") or value.get("language"))) or lang
            return raw_texts(inner, stated)
        return [
            pair
            for key, each in value.items()
            if not key.startswith("@")
            for pair in raw_texts(each, read_language(key))
        ]
    text = as_text(value)
    return [(text, lang)] if text else []


def metadata_fields(value: Any, source: str) -> dict[str, list[Text]]:
    """Texts of a ``metadata`` list by the field their label means (see the table); raw HTML of rights is kept.

    A label in several languages counts by the first that is known. Values without a known label are left out. Titles
    and descriptions are kept in all languages, of everything else the first that is stated.
    """
    found: dict[str, list[Text]] = {}
    for pair in objects(value):
        labels = [text for text, _ in raw_texts(pair.get("label"))]
        field = _field_of(labels)
        if not field:
            continue
        label, raw = f"{source}:{labels[0]}", raw_texts(pair.get("value"))
        if field == "rights":
            texts = [Text(text, lang, label) for text, lang in raw]
        elif field == "creator":
            texts = _in_one_language([Text(name, lang, label) for text, lang in raw for name in name_lines(text)])
        else:
            texts = list(texts_of(pair.get("value"), label))
            texts = texts if field in ("title", "description") else _in_one_language(texts)
        found.setdefault(field, []).extend(texts)
    return found


def _field_of(labels: list[str]) -> str:
    names = [re.sub(r"[\s:]+$|\s+(?=/)|(?<=/)\s+", "", plain_text(label)).casefold() for label in labels]
    bare = [re.sub(r"\s*\([^()]*\)$", "", name) for name in names]  # "Subject (Topic)", "Object ID (OID)"
    return next((FIELDS[name] for name in (*names, *bare) if name in FIELDS), "")


def _in_one_language(texts: list[Text]) -> list[Text]:
    first = next((text.lang for text in texts if text.lang), "")
    return [text for text in texts if text.lang in ("", first)]


def image_service(value: Any) -> Object:
    """The newest image service of a resource (search and login are others); ``{}`` if there is none."""
    found: list[Object] = []
    for each in _services(value):
        about = " ".join(
            [type_of(each), *(as_text(text) for text in as_list(each.get("profile"))), as_text(each.get("@context"))]
        ).lower()
        if any(word in about for word in ("auth", "search", "cookie", "token", "physdim", "annex", "autocomplete")):
            continue
        # some services say nothing but their address
        if "image" in about or "compliance" in about or "level" in about or not about.strip():
            found.append(each)
    return max(found, key=lambda each: type_of(each) == "ImageService3", default={})


def _services(value: Any) -> list[Object]:
    return [
        each if isinstance(each, dict) else {"@id": each} for each in as_list(value) if isinstance(each, dict | str)
    ]


def service_address(resource: Object) -> str:
    """Base address of the image service of a resource."""
    return service_url(id_of(image_service(resource.get("service") or resource.get("services"))))


def links_of(value: Any) -> list[str]:
    """Addresses of a ``seeAlso``, ``related``, ``homepage`` or ``rendering`` of any shape."""
    return [url for each in as_list(value) if (url := web_url(id_of(each)))]


def page_of(value: Any, *, only_html: bool = False) -> str:
    """Address of the web page among them: one that is said to be HTML, else one that is not said to be data."""
    candidates = [(each, web_url(id_of(each))) for each in as_list(value)]
    pages = [(as_text(as_object(each).get("format")), url) for each, url in candidates if url]
    html = [url for form, url in pages if "html" in form]
    return next(iter([*html, *(url for form, url in pages if not form and not only_html)]), "")
