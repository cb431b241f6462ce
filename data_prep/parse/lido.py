"""Read LIDO 1.0 and 1.1, with the habits of German, Finnish, Flemish and American museums.

Elements are found by local name, for Finna leaves the namespace out. What was made, when, where and by whom is that of
the events of creation and production, not of exhibitions or acquisitions; the photographer of a reproduction is no
creator. Source: https://lido-schema.org, http://terminology.lido-schema.org/lido00004 (event types).
"""

import re
from dataclasses import replace

from .lido_resources import read_views, statements_of
from .parsed import Creator, Parsed, ParseError, ParseReason, Text, unique, unique_texts
from .text import iconclass_of, is_notation, is_procedural, plain_text, split_name
from .urls import web_url
from .xml import (
    Element,
    all_of,
    attribute,
    children,
    descendants,
    first_of,
    first_text,
    language_of,
    local_name,
    text_of,
)

# lido00007 production, lido00012 creation, lido00224 designing, lido00030 commissioning is none
_MAKING = re.compile(
    r"lido000(?:07|12)\b|lido00(?:224|228)\b|eventType/(?:production|creation|designing)|300054713|\bproduction\b|\bcreation\b"
    r"|designing|herstellung|entwurf|schöpfung|ausführung|valmistus|suunnittelu|vervaardiging|production|création|produzione"
    r"|creación|tillverkning|fremstilling|\bkuvaus\b|photographing|fotografieren|aufnahme\b",
    re.I,
)
_PHOTOGRAPHING = re.compile(r"\bkuvaus\b|photographing|fotografieren|aufnahme\b", re.I)


def parse_lido(element: Element, *, identifier: str = "") -> list[Parsed]:
    """Read a ``lido`` element or a ``lidoWrap`` of them; ``identifier`` is that of the envelope of a single one.

    Raises:
        ParseError: there is no record in it.
    """
    records = [
        each for each in descendants(element, "lido") if first_of(each, "descriptiveMetadata", "lidoRecID") is not None
    ]
    if not records:
        raise ParseError(ParseReason.NO_RECORD, f"no lido:lido in <{local_name(element)}>")
    return [_read_record(each, identifier if len(records) == 1 else "") for each in records]


def _read_record(record: Element, identifier: str) -> Parsed:
    descriptions = all_of(record, "descriptiveMetadata")
    administration = all_of(record, "administrativeMetadata")
    making = [event for each in descriptions for event in _making_events(each)]
    parsed = Parsed(
        id=identifier
        or first_text(record, "lidoRecID")
        or first_text(record, "administrativeMetadata/recordWrap/recordID"),
        format="lido",
        titles=unique_texts([text for each in descriptions for text in _titles(each)]),
        descriptions=unique_texts([text for each in descriptions for text in _descriptions(each)]),
        creators=tuple(dict.fromkeys(name for event in making for name in _actors(event) if name.name)),
        dates=unique([_date(event) for event in making]),
        places=unique([_place(event) for event in making]),
        types=unique([term for each in descriptions for term in _types(each)]),
        techniques=unique([term for event in making for term in _techniques(event)]),
        subjects=unique([term for each in descriptions for term in _subjects(each)]),
        iconclass=unique([notation for each in descriptions for notation in _iconclass(each)]),
        rights=tuple(dict.fromkeys(statement for each in administration for statement in statements_of(each))),
        attribution=next((text for each in administration for text in _credits(each)), ""),
        institution=_institution(record),
        metadata_language=next((code for each in descriptions if (code := language_of(each))), ""),
        landing_page=_landing_page(record, administration),
        identifiers=unique(
            [
                *(text_of(each) for each in all_of(record, "objectPublishedID")),
                *(text_of(each) for part in descriptions for each in descendants(part, "workID")),
            ]
        ),
        views=read_views(administration),
    )
    years = [year for event in making for year in _years(event)]
    return replace(parsed, year_min=min(years), year_max=max(years)) if years else parsed


def _titles(description: Element) -> list[Text]:
    """Preferred titles before alternative ones; the language is the value's or the one of the section around it."""
    found = []
    for each in all_of(description, "objectIdentificationWrap/titleWrap/titleSet/appellationValue"):
        alternative = attribute(each, "pref") in ("alternate", "alternative") or attribute(each, "pref").endswith(
            "lido00170"
        )
        found.append((alternative, Text(plain_text(text_of(each)), language_of(each), "lido:titleSet")))
    return [text for _, text in sorted(found, key=lambda item: item[0])]


def _descriptions(description: Element) -> list[Text]:
    path = "objectIdentificationWrap/objectDescriptionWrap/objectDescriptionSet/descriptiveNoteValue"
    found = [
        Text(plain_text(text_of(each)), language_of(each), "lido:objectDescription")
        for each in all_of(description, path)
    ]
    return [text for text in found if not is_procedural(text.text)]


def _making_events(description: Element) -> list[Element]:
    events = all_of(description, "eventWrap/eventSet/event")
    kinds = [(event, text_of(first_of(event, "eventType")) + _about(first_of(event, "eventType"))) for event in events]
    making = [event for event, kind in kinds if _MAKING.search(kind) and not _PHOTOGRAPHING.search(kind)]
    return making or [event for event, kind in kinds if _MAKING.search(kind)]


def _about(element: Element | None) -> str:
    return " ".join(attribute(each, "about") for each in element.iter()) if element is not None else ""


def _actors(event: Element) -> list[Creator]:
    found = []
    for each in all_of(event, "eventActor"):
        inner = next(children(each, "actorInRole"), each)
        names = [
            (
                attribute(value, "pref") not in ("preferred", "") and not attribute(value, "pref").endswith("169"),
                text_of(value),
            )
            for value in all_of(inner, "actor/nameActorSet/appellationValue")
        ]
        name = next((text for _, text in sorted(names, key=lambda item: item[0]) if text), "")
        role = _term(first_of(inner, "roleActor"))
        life = [
            first_text(inner, "actor/vitalDatesActor/earliestDate"),
            first_text(inner, "actor/vitalDatesActor/latestDate"),
        ]
        if name:
            creator = split_name(name)
            dates = creator.dates or ("-".join(life) if any(life) else "")
            found.append(Creator(creator.name, role or creator.role, dates))
        elif text := first_text(each, "displayActorInRole"):
            found.append(split_name(text))
    return found


def _term(element: Element | None) -> str:
    """First term that is meant to be shown; a SKOS label where there is no term."""
    if element is None:
        return ""
    terms = [each for each in descendants(element, "term") if attribute(each, "addedSearchTerm") != "yes"]
    labels = [*terms, *descendants(element, "prefLabel")]
    return next((text for each in labels if (text := plain_text(text_of(each)))), "")


def _date(event: Element) -> str:
    shown = first_text(event, "eventDate/displayDate")
    first, last = (_year_text(event, name) for name in ("earliestDate", "latestDate"))
    return shown or (first if first == last or not last else f"{first}-{last}") or _term(first_of(event, "periodName"))


def _year_text(event: Element, name: str) -> str:
    text = first_text(event, f"eventDate/date/{name}")
    return "" if text.strip("0-") == "" else text


def _years(event: Element) -> list[int]:
    found = []
    for name in ("earliestDate", "latestDate"):
        match = re.match(r"(-?\d{1,4})(?:\D|$)", _year_text(event, name))
        if match and int(match[1]):
            found.append(int(match[1]))
    return found


def _place(event: Element) -> str:
    for each in all_of(event, "eventPlace"):
        if text := first_text(each, "displayPlace", "place/namePlaceSet/appellationValue"):
            return plain_text(text)
    return ""


def _types(description: Element) -> list[str]:
    paths = ("objectWorkTypeWrap/objectWorkType", "classificationWrap/classification")
    elements = [each for path in paths for each in all_of(description, f"objectClassificationWrap/{path}")]
    # DDB and Europeana write their own type of medium ("IMAGE") as one more classification
    return [term for each in elements if (term := _term(each)) and not term.isupper()]


def _techniques(event: Element) -> list[str]:
    shown = [plain_text(text_of(each)) for each in all_of(event, "eventMaterialsTech/displayMaterialsTech")]
    return [text for text in shown if text] or [
        _term(each) for each in all_of(event, "eventMaterialsTech/materialsTech/termMaterialsTech")
    ]


def _subject_sets(description: Element) -> list[Element]:
    return all_of(description, "objectRelationWrap/subjectWrap/subjectSet")


def _is_iconclass(element: Element) -> bool:
    return any("iconclass" in value.lower() for each in element.iter() for value in map(str, each.attrib.values()))


def _subjects(description: Element) -> list[str]:
    found = []
    for subject_set in _subject_sets(description):
        for subject in all_of(subject_set, "subject"):
            for each in children(subject):
                kind = local_name(each)
                if kind == "subjectConcept":
                    term = _term(each)
                    found.append("" if _notation(term) else term)
                elif kind in ("subjectActor", "subjectPlace", "subjectEvent", "subjectObject"):
                    found.append(_name_or_display(each))
                elif kind == "subjectDate":
                    found.append(first_text(each, "displayDate"))
    return found


def _name_or_display(element: Element) -> str:
    values = [*descendants(element, "appellationValue"), *descendants(element, "term")]
    shown = [each for each in element.iter() if local_name(each).startswith("display")]
    return next((plain_text(text) for each in [*values, *shown] if (text := text_of(each))), "")


def _iconclass(description: Element) -> list[str]:
    found = []
    for subject_set in _subject_sets(description):
        for each in descendants(subject_set, "Concept"):
            found.append(iconclass_of(attribute(each, "about")))
        for each in descendants(subject_set, "conceptID"):
            text = text_of(each)
            found.append(iconclass_of(text))
            if "iconclass" in attribute(each, "source").lower():
                found.append(_notation(text))  # "23 D 42", "57 A 9 :" in records of the 1990s
        for subject in all_of(subject_set, "subject") if _is_iconclass(subject_set) else ():
            for term in descendants(subject, "term"):
                parts = text_of(term).split()  # several notations, or one with blanks in it
                several = all(re.match(r"\d\d?[A-Z]", part) for part in parts)
                found += [_notation(part) for part in (parts if several else [text_of(term)])]
    return found


def _notation(text: str) -> str:
    bare = re.sub(r"\s+(?![^()]*\))", "", text).rstrip(":")
    return bare if is_notation(bare) else ""


def _credits(administration: Element) -> list[str]:
    return [text for each in descendants(administration, "creditLine") if (text := plain_text(text_of(each)))]


def _institution(record: Element) -> str:
    path = "objectIdentificationWrap/repositoryWrap/repositorySet/repositoryName/legalBodyName/appellationValue"
    return first_text(
        record,
        f"descriptiveMetadata/{path}",
        "administrativeMetadata/recordWrap/recordSource/legalBodyName/appellationValue",
    )


def _landing_page(record: Element, administration: list[Element]) -> str:
    links = [text_of(each) for part in administration for each in descendants(part, "recordInfoLink")]
    links += [text_of(each) for each in all_of(record, "objectPublishedID")]
    return next((url for link in links if (url := web_url(link))), "")
