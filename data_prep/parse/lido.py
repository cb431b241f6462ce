"""Read LIDO 1.0 and 1.1, with the habits of German, Finnish, Flemish and American museums.

Elements are found by local name, for Finna leaves the namespace out. A record may have a descriptive section per
language, or labels in several languages side by side; the text of a section that states no language is in the
section's. What a coin's two sides show goes to the pictures of those sides. Source: https://lido-schema.org
"""

import re
from dataclasses import replace

from .lido_events import date_of, makers_of, making_events, place_of, technique_of, years_of
from .lido_resources import credit_of, has_sides, manifest_of, read_views, statements_of
from .lido_terms import SIDES, Side, best_text, is_alternative, label_of, side_of
from .parsed import Parsed, ParseError, ParseReason, Text, unique, unique_texts
from .text import iconclass_of, is_notation, is_procedural, plain_text
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

_SERIES = re.compile(r"serie|reihe|sarja|reeks|collection title", re.I)
# Kinds of description that do not say what is seen: provenance, who struck the coin, who wrote the text, literature
_NO_DESCRIPTION = re.compile(
    r"proven|herkunft|münzstand|minting|urheber|quelle|source|literatur|bibliogra|kirjallisuus|exhibition|ausstellung"
    r"|näyttely|acquisition|erwerb|credit|copyright|rechte|rights|restaur|conservat|konserv|zustand|condition",
    re.I,
)
# Classifications by which a collection is ordered or a coin is valued
_NO_TYPE = re.compile(r"europeana|sammlung|collection|nominal|alloy|authenticity|bestand", re.I)
_FORMER = re.compile(r"lido01019|former|ehemalig|früher|vorbesitz", re.I)
# Finnish museums write their keywords into one term: "signeeraus, maisema, luonto"
_WORD_LIST = re.compile(r"[^\W\d_][\w -]{0,38}(?:, [^\W\d_][\w -]{0,38}){2,}")
_SENTENCE_WORDS = 12
_CAPTION_WORDS = 3


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
    sections = [(each, language_of(each)) for each in all_of(record, "descriptiveMetadata")]
    administration = all_of(record, "administrativeMetadata")
    making = [(event, language) for each, language in sections for event in making_events(each)]
    titles = [found for each, language in sections for found in _titles(each, language)]
    sides: dict[Side, tuple[Text, ...]] = {side: _side_texts(sections, side) for side in SIDES}
    both = [text for texts in sides.values() for text in texts]
    makers, others = makers_of(sections)
    parsed = Parsed(
        id=identifier
        or first_text(record, "lidoRecID")
        or first_text(record, "administrativeMetadata/recordWrap/recordID"),
        format="lido",
        titles=unique_texts([text for text in titles if text.level == "object"]),
        series=unique_texts([text for text in titles if text.level == "series"]),
        descriptions=unique_texts([*_descriptions(sections), *(() if has_sides(administration) else both)]),
        creators=makers,
        contributors=others,
        dates=unique([date_of(event, language) for event, language in making]),
        places=unique([place_of(event, language) for event, language in making]),
        types=unique([term for each, language in sections for term in _types(each, language)]),
        techniques=unique([technique_of(each, language) for each, language in sections]),
        subjects=unique([term for each, language in sections for term in _subjects(each, language)]),
        iconclass=unique([notation for each, _ in sections for notation in _iconclass(each)]),
        rights=tuple(dict.fromkeys(statement for each in administration for statement in statements_of(each))),
        attribution=credit_of(administration),
        institution=_institution(record),
        metadata_language=next((language for _, language in sections if language), ""),
        landing_page=_landing_page(record, administration),
        manifest=manifest_of(administration),
        identifiers=unique(
            [
                *(text_of(each) for each in all_of(record, "objectPublishedID")),
                *(text_of(each) for part, _ in sections for each in descendants(part, "workID")),
            ]
        ),
        views=read_views(administration, sides),
    )
    years = [year for event, _ in making for year in years_of(event)]
    return replace(parsed, year_min=min(years), year_max=max(years)) if years else parsed


def _titles(description: Element, language: str) -> list[Text]:
    """Preferred titles before alternative ones; those of a series are of its level."""
    found = []
    for title_set in all_of(description, "objectIdentificationWrap/titleWrap/titleSet"):
        level = "series" if _SERIES.search(attribute(title_set, "type")) else "object"
        for each in children(title_set, "appellationValue"):
            text = Text(plain_text(text_of(each)), language_of(each) or language, "lido:titleSet", level)
            found.append((is_alternative(each), text))
    return [text for _, text in sorted(found, key=lambda item: item[0])]


def _descriptions(sections: list[tuple[Element, str]]) -> tuple[Text, ...]:
    """What is said of the object: notes, and the sentences that some museums put among the subjects."""
    found = []
    for section, language in sections:
        for text, kind in _notes(section, language):
            if side_of(kind) is None and side_of(text.text) is None and not _NO_DESCRIPTION.search(kind):
                found.append(text)
        for subject_set in _subject_sets(section):
            sentences = [each for each in _subject_texts(subject_set, language) if _is_sentence(each)]
            shown = plain_text(first_text(subject_set, "displaySubject"))
            whole = shown if sentences and _is_sentence(shown) else " ".join(sentences)
            found.append(Text(whole, language, "lido:subject"))
    return unique_texts([text for text in found if not is_procedural(text.text)])


def _notes(section: Element, language: str) -> list[tuple[Text, str]]:
    """(note, its kind) of the object."""
    found = []
    for each in all_of(section, "objectIdentificationWrap/objectDescriptionWrap/objectDescriptionSet"):
        for value in children(each, "descriptiveNoteValue"):
            text = Text(plain_text(text_of(value)), language_of(value) or language, "lido:objectDescription")
            found.append((text, attribute(each, "type")))
    return found


def _side_texts(sections: list[tuple[Element, str]], side: Side) -> tuple[Text, ...]:
    """What is seen on one side: notes on it, and around its inscriptions; not the inscriptions themselves."""
    found = []
    for section, language in sections:
        for note, kind in _notes(section, language):
            if side in (side_of(kind), side_of(note.text)):
                found.append(note)
        for each in all_of(section, "objectIdentificationWrap/inscriptionsWrap/inscriptions"):
            if side_of(attribute(each, "type")) == side:
                for value in all_of(each, "inscriptionDescription/descriptiveNoteValue"):
                    text = plain_text(text_of(value))
                    found.append(Text(text, language_of(value) or language, "lido:inscriptionDescription"))
    return unique_texts([text for text in found if len(text.text.split()) >= _CAPTION_WORDS])


def _types(description: Element, language: str) -> list[str]:
    paths = ("objectWorkTypeWrap/objectWorkType", "classificationWrap/classification")
    elements = [each for path in paths for each in all_of(description, f"objectClassificationWrap/{path}")]
    terms = [label_of(each, language) for each in elements if not _NO_TYPE.search(attribute(each, "type"))]
    # DDB and Europeana write their own type of medium ("IMAGE") as one more classification
    return [term for term in terms if term and not term.isupper()]


def _subject_sets(description: Element) -> list[Element]:
    return all_of(description, "objectRelationWrap/subjectWrap/subjectSet")


def _is_iconclass(element: Element) -> bool:
    return any("iconclass" in value.lower() for each in element.iter() for value in map(str, each.attrib.values()))


def _subjects(description: Element, language: str) -> list[str]:
    found = []
    for subject_set in _subject_sets(description):
        texts = _subject_texts(subject_set, language)
        if not texts and not _is_iconclass(subject_set):
            texts = [plain_text(first_text(subject_set, "displaySubject"))]
        for text in texts:
            if not _is_sentence(text):
                found += text.split(", ") if _WORD_LIST.fullmatch(text) else [text]
    return found


def _subject_texts(subject_set: Element, language: str) -> list[str]:
    """Concepts, persons, places, events and dates of one set; notations are none."""
    found = []
    for each in (each for subject in all_of(subject_set, "subject") for each in children(subject)):
        kind = local_name(each)
        if kind == "subjectConcept":
            terms = [term for term in descendants(each, "term") if attribute(term, "addedSearchTerm") != "yes"]
            labels = [*terms, *descendants(each, "prefLabel")]
            named = [label for label in labels if not _notation(text_of(label))]
            is_prose = any(map(_is_sentence, map(text_of, named)))
            found += [text_of(label) for label in named] if is_prose else [best_text(named, language)]
        elif kind in ("subjectActor", "subjectPlace", "subjectEvent", "subjectObject"):
            found.append(_name_or_display(each, language))
        elif kind == "subjectDate":
            found.append(first_text(each, "displayDate"))
    return [text for text in found if text]


def _is_sentence(text: str) -> bool:
    return len(text.split()) >= _SENTENCE_WORDS and "." in text


def _name_or_display(element: Element, language: str) -> str:
    values = [*descendants(element, "appellationValue"), *descendants(element, "term")]
    shown = [each for each in element.iter() if local_name(each).startswith("display")]
    return best_text(values, language) or best_text(shown, language)


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


def _institution(record: Element) -> str:
    """Who has the object now, else who wrote the record."""
    sets = all_of(record, "descriptiveMetadata/objectIdentificationWrap/repositoryWrap/repositorySet")
    current = [each for each in sets if not _FORMER.search(attribute(each, "type"))]
    names = [first_text(each, "repositoryName/legalBodyName/appellationValue") for each in current]
    source = "administrativeMetadata/recordWrap/recordSource/legalBodyName/appellationValue"
    return next((name for name in names if name), "") or first_text(record, source)


def _landing_page(record: Element, administration: list[Element]) -> str:
    """A page for people before the record's identifier; an address that gives XML comes last."""
    links = [each for part in administration for each in descendants(part, "recordInfoLink")]
    pages = [text_of(each) for each in links if "xml" not in attribute(each, "formatResource").lower()]
    pages += [text_of(each) for each in all_of(record, "objectPublishedID")]
    return next((url for link in [*pages, *map(text_of, links)] if (url := web_url(link))), "")
