"""Read MODS 3 as SBB Berlin, SLUB, the National Library of Norway and the Royal Danish Library write it.

A ``relatedItem`` is never mixed into the object: ``host`` and ``series`` become the series, ``otherFormat`` may name
the picture (Copenhagen). Dates of the digitisation are left out. The cataloguer's language is that of
``languageOfCataloging`` for pictures; titles of texts are transcribed, so they are in the language of the text.
"""

import re

from .parsed import Creator, Parsed, Statement, Text, View, number_views, unique, unique_texts
from .statements import meaning_of, statement
from .text import iconclass_of, is_notation, is_procedural, plain_text, split_name
from .urls import image_service_of, image_url, is_picture, service_url, web_url
from .xml import (
    Element,
    all_of,
    attribute,
    children,
    descendants,
    first_text,
    language_of,
    local_name,
    read_language,
    text_of,
)

# MARC relator codes and words of those who made neither the picture nor the text
_NO_MAKERS = frozenset({
    "fnd", "asn", "own", "fmo", "dnr", "dte", "col", "rcp", "dpc", "pat", "spn", "hst", "his", "prv", "aus", "ctb",
    "oth", "pbl", "bsl", "prt", "edt", "funder", "associated name", "owner", "former owner", "depicted", "recipient",
    "publisher", "printer", "editor", "drucker", "verleger", "mitwirkender", "beiträger", "widmungsempfänger",
})  # fmt: skip
_HEADING_ID = re.compile(r"(?:sh|sj|n[abor]?|fst)[0-9]{8,}")  # of the Library of Congress, in the place of its heading
_NOTE_TYPES = ("content", "situation", "description", "summary", "caption", "bildunterschrift", "note")


def parse_mods(mods: Element, *, identifier: str = "") -> Parsed:
    """Read one ``mods`` element; ``identifier`` is that of its envelope."""
    pages = [text_of(each) for each in all_of(mods, "location/url") if attribute(each, "access") != "raw object"]
    identifiers = _identifiers(mods)
    languages = unique([read_language(text_of(each)) for each in all_of(mods, "language/languageTerm")])
    years = _years(mods)
    return Parsed(
        id=identifier or next(iter(identifiers), ""),
        format="mods",
        titles=unique_texts([text for each in all_of(mods, "titleInfo") for text in _titles(each)]),
        descriptions=_descriptions(mods),
        creators=tuple(dict.fromkeys(name for name, is_maker in _names(mods) if is_maker)),
        contributors=tuple(dict.fromkeys(name for name, is_maker in _names(mods) if not is_maker)),
        dates=years,
        places=_places(mods),
        types=unique(
            [plain_text(text_of(each)) for name in ("genre", "typeOfResource") for each in _genres(mods, name)]
        ),
        techniques=unique([text_of(each) for each in all_of(mods, "physicalDescription/form")]),
        subjects=_subjects(mods),
        iconclass=_iconclass(mods),
        series=unique_texts(
            [
                Text(text.text, text.lang, "mods:relatedItem", "series")
                for each in all_of(mods, "relatedItem")
                if attribute(each, "type") in ("host", "series")
                for info in all_of(each, "titleInfo")
                for text in _titles(info)
            ]
        ),
        rights=rights_of(mods),
        institution=_institution(mods),
        languages=languages,
        metadata_language=_metadata_language(mods, languages),
        landing_page=next(
            (url for each in [*pages, *identifiers] if (url := web_url(each)) and not is_picture(url)), ""
        ),
        identifiers=identifiers,
        views=_views(mods),
    )


def rights_of(element: Element) -> tuple[Statement, ...]:
    """Access conditions at any depth: ``use and reproduction`` is about the picture, free words stay as they are."""
    found = []
    for each in descendants(element, "accessCondition"):
        kind, href = attribute(each, "type"), attribute(each, "href")
        status = next((attribute(inner, "copyright.status") for inner in descendants(each, "copyright")), "")
        raw = text_of(each) if len(each) == 0 else ""
        if kind.endswith(" note"):
            continue
        # Copenhagen: <cdl:copyright copyright.status="copyrighted"> about the work, without words
        if status:
            found.append(Statement(_STATUS.get(status, status), "", "work", "record", "mods:accessCondition/copyright"))
        elif href.startswith("http") and meaning_of(href).uri:
            found.append(statement(href, "image", "record", f"mods:accessCondition[{kind}]"))
        elif raw and kind != "pligtaflevering" and not (kind == "restriction on access" and _OPEN_ACCESS.search(raw)):
            found.append(statement(raw, "image", "record", f"mods:accessCondition[{kind}]"))
    return tuple(dict.fromkeys(found))


_OPEN_ACCESS = re.compile(r"open access|freier? zugang|frei zugänglich|unrestricted|libre accès|public access", re.I)
_STATUS = {
    "copyrighted": "In copyright (copyrighted)",
    "pd": "Public domain (pd)",
    "pd_usfed": "Public domain (pd_usfed)",
    "unknown": "Copyright status unknown",
}


def _titles(info: Element) -> list[Text]:
    """Titles of one titleInfo: article, title, subtitle and part in one; a second title is another one."""
    kind = attribute(info, "type")
    source = f"mods:titleInfo[{kind}]" if kind else "mods:titleInfo"
    sub, article = first_text(info, "subTitle"), first_text(info, "nonSort")
    part = ", ".join(text for name in ("partNumber", "partName") if (text := first_text(info, name)))
    found = []
    for each in children(info, "title"):
        text = " ".join(filter(None, (article, text_of(each))))
        text = f"{text} : {sub}" if sub and text else text or sub
        text = f"{text}. {part}" if part and text else text
        if text := plain_text(text):
            found.append(Text(text, language_of(each), source))
    return found


def _identifiers(mods: Element) -> tuple[str, ...]:
    records = [text_of(each) for each in all_of(mods, "recordInfo/recordIdentifier")]
    own = {attribute(each, "type"): text_of(each) for each in reversed(all_of(mods, "identifier"))}
    best = [own.get(kind, "") for kind in ("uri", "urn", "purl", "doi", "handle", "ark")]
    return unique([*records, *best, *reversed(own.values())])


def _descriptions(mods: Element) -> tuple[Text, ...]:
    found = [Text(plain_text(text_of(each)), language_of(each), "mods:abstract") for each in all_of(mods, "abstract")]
    for each in all_of(mods, "note"):
        text, kind = plain_text(text_of(each)), attribute(each, "type").lower()
        # Notes hold call numbers and sizes as well ("DP021659", "87 x 56 mm"): three words at least make a sentence.
        if kind in _NOTE_TYPES and sum(word.isalpha() and len(word) > 1 for word in text.replace(",", "").split()) >= 3:
            found.append(Text(text, language_of(each), f"mods:note[{kind}]"))
    return unique_texts([text for text in found if not is_procedural(text.text)])


def _names(mods: Element) -> list[tuple[Creator, bool]]:
    found = []
    for each in all_of(mods, "name"):
        roles = [text_of(term) for term in all_of(each, "role/roleTerm")]
        creator = name_of(each)
        if creator.name:
            is_maker = not any(role.lower() in _NO_MAKERS for role in roles)
            written = next((role for role in roles if len(role) > 3), next(iter(roles), ""))
            found.append((Creator(creator.name, written, creator.dates), is_maker))
    return found


def name_of(name: Element) -> Creator:
    """``Family, Given`` with dates from a MODS name; its display form where there are no parts."""
    parts = {}
    for each in children(name, "namePart"):
        parts.setdefault(attribute(each, "type"), text_of(each))
    full = ", ".join(part for part in (parts.get("family", ""), parts.get("given", "")) if part.strip(". "))
    text = full or first_text(name, "displayForm") or parts.get("", "") or first_text(name, "affiliation")
    if full or parts.get("date"):
        return Creator(plain_text(text), dates=parts.get("date", ""))
    return split_name(text)


def _years(mods: Element) -> tuple[str, ...]:
    found = []
    for info in all_of(mods, "originInfo"):
        is_copy = (
            attribute(info, "eventType").lower().startswith("digit") or attribute(info, "altRepGroup") == "surrogate"
        )
        if is_copy or all_of(info, "dateCaptured"):
            continue
        for name in ("dateCreated", "dateIssued", "dateOther", "copyrightDate"):
            dates = all_of(info, name)
            points = {attribute(each, "point"): text_of(each) for each in dates}
            if "start" in points and "end" in points:
                found.append(f"{points['start']}-{points['end']}")
            else:
                found += [text_of(each) for each in sorted(dates, key=lambda each: attribute(each, "encoding") != "")]
    return unique(found)


def _genres(mods: Element, name: str) -> list[Element]:
    return [each for each in all_of(mods, name) if attribute(each, "type") != "Categories"]


def _places(mods: Element) -> tuple[str, ...]:
    # Where it was made or published, not where it was digitised
    infos = [
        each for each in all_of(mods, "originInfo") if not attribute(each, "eventType").lower().startswith("digit")
    ]
    return unique(
        [
            text_of(each)
            for info in infos
            for each in all_of(info, "place/placeTerm")
            if attribute(each, "type") != "code"
        ]
    )


def _subjects(mods: Element) -> tuple[str, ...]:
    found = []
    for subject in all_of(mods, "subject"):
        for each in children(subject):
            kind = local_name(each)
            if kind == "name":
                found.append(name_of(each).name)
            elif kind == "hierarchicalGeographic":
                found.append(", ".join(dict.fromkeys(text for part in children(each) if (text := text_of(part)))))
            elif kind == "titleInfo":
                found += [text.text for text in _titles(each)]
            elif kind in ("topic", "geographic", "temporal", "genre", "occupation"):
                found.append(plain_text(text_of(each)))
    return unique([text for text in found if not _HEADING_ID.fullmatch(text)])


def _iconclass(mods: Element) -> tuple[str, ...]:
    found = []
    for path in ("subject", "subject/topic", "classification"):
        for each in all_of(mods, path):
            found.append(iconclass_of(attribute(each, "valueURI")))
            if "iconclass" in attribute(each, "authority").lower():
                word = text_of(each).split(" ")[0]
                found.append(word if is_notation(word) else "")
    return unique(found)


def _institution(mods: Element) -> str:
    for each in all_of(mods, "location/physicalLocation"):
        return attribute(each, "displayLabel") or text_of(each)
    return ""


def _metadata_language(mods: Element, languages: tuple[str, ...]) -> str:
    kinds = {text_of(each).lower() for each in all_of(mods, "typeOfResource")}
    if "text" in kinds and len(languages) == 1:
        return languages[0] if languages[0] not in ("mul", "zxx") else ""
    terms = all_of(mods, "recordInfo/languageOfCataloging/languageTerm")
    return next((code for each in terms if (code := read_language(text_of(each)))), "")


def _views(mods: Element) -> tuple[View, ...]:
    found = [text_of(each) for each in all_of(mods, "location/url") if attribute(each, "access") == "raw object"]
    for item in all_of(mods, "relatedItem"):
        if attribute(item, "type") == "otherFormat":
            found += [
                text_of(each)
                for each in all_of(item, "identifier")
                if attribute(each, "displayLabel") in ("image", "iiif")
            ]
    found += [
        text_of(each) for each in all_of(mods, "identifier") if attribute(each, "displayLabel") in ("image", "iiif")
    ]
    urls = [each for each in found if web_url(each) and is_picture(web_url(each))]
    return number_views([View(url=image_url(each), iiif_service=service_url(image_service_of(each))) for each in urls])
