"""Who made a LIDO object, when, where and of what: its events of creation and production.

Exhibitions, acquisitions and restorations say nothing of this, and the photographer of a reproduction is no maker.
Source: http://terminology.lido-schema.org/lido00004 (event types).
"""

import re

from .lido_terms import best_text, in_language, is_alternative, label_of
from .parsed import Creator, unique
from .text import plain_text, split_name
from .xml import Element, all_of, attribute, children, first_of, first_text, text_of

# lido00007 production, lido00012 creation, lido00224 and 228 designing; museum-digital says it in participles
_MAKING = re.compile(
    r"lido000(?:07|12)\b|lido00(?:224|228)\b|eventType/(?:production|creation|designing)|300054713|\bproduction\b|\bcreation\b"
    r"|\bdesign(?:ing)?\b|herstellung|entwurf|schöpfung|ausführung|valmistus|suunnittelu|vervaardiging|production|création|produzione"
    r"|creación|tillverkning|fremstilling|\bkuvaus\b|photographing|fotografieren|aufnahme\b|\bvorlagenerstellung"
    r"|\b(?:hergestellt|geschaffen|gezeichnet|gemalt|gedruckt|entworfen|modelliert|gegossen|geprägt|gestochen|radiert"
    r"|verfasst|geschrieben|aufgenommen)\b",
    re.I,
)
_PHOTOGRAPHING = re.compile(r"\bkuvaus\b|photographing|fotografieren|aufnahme\b|\baufgenommen\b", re.I)
# museum-digital puts materials into an event of its own: lido00003, "Event (non-specified)"
_UNSPECIFIED = re.compile(r"lido00003\b|non-specified", re.I)
# Who gave the order or the right to strike a coin is no maker.
_NO_MAKERS = re.compile(
    r"^(?:münzstand|münzherr\w*|auftraggeber\w*|besitzer\w*|vorbesitzer\w*|eigentümer\w*|sammler\w*|stifter\w*|schenker\w*"
    r"|herausgeber\w*|commissioner|patron|client|issuer|owner|collector|donor|opdrachtgever|commanditaire|tilaaja)\b",
    re.I,
)
_DOUBT = re.compile(
    r"zugeschrieben|attribu|workshop|werkstatt|werkplaats|atelier|schule|school|nachfolge|follower|navolg|umkreis|circle"
    r"|kring|entourage|\bnach\b|\bafter\b|\bnaar\b|d.après|kopie|copy|copie|manner|\bart des\b|style"
    r"|toegeschreven|pseudo",
    re.I,
)
# "Porzellanfabrik Weiden (1881 - heute)"
_ACTIVE = re.compile(r"\s*\(\d{3,4}\s*[-–]\s*(?:heute|today|present|heden|nykyään)?\)$", re.I)
_MAX_YEAR = 2100
_YEAR = re.compile(r"(-?\d{1,4})(?:$|-\d\d|T|/)|\d{1,2}[./]\d{1,2}[./](\d{3,4})$")


def making_events(description: Element) -> list[Element]:
    """Events in which the object was made; that of its photograph only where there is no other."""
    making = [event for event in _events(description) if _MAKING.search(_kind(event))]
    return [event for event in making if not _PHOTOGRAPHING.search(_kind(event))] or making


def makers_of(sections: list[tuple[Element, str]]) -> tuple[tuple[Creator, ...], tuple[Creator, ...]]:
    """Makers, and others who took part, of all (section, language): who stands in several sections is one person."""
    makers: list[Creator] = []
    others: list[Creator] = []
    for section, language in sections:
        known = {creator.name for creator in (*makers, *others)}
        found = [name for event in making_events(section) for name in _actors(event, language) if name.name]
        for creator in dict.fromkeys(each for each in found if each.name not in known):
            (others if _NO_MAKERS.match(creator.role) else makers).append(creator)
    return tuple(makers), tuple(others)


def technique_of(description: Element, language: str) -> str:
    """Materials and techniques in one text, as displayed or by their terms."""
    events = making_events(description)
    events += [event for event in _events(description) if _UNSPECIFIED.search(_kind(event))]
    sets = [each for event in events for each in all_of(event, "eventMaterialsTech")]
    sets += all_of(description, "objectIdentificationWrap/objectMaterialsTechWrap/objectMaterialsTechSet")  # LIDO 1.1
    found = []
    for each in sets:
        shown = [plain_text(text_of(text)) for text in in_language(all_of(each, "displayMaterialsTech"), language)]
        terms = [label_of(term, language) for term in all_of(each, "materialsTech/termMaterialsTech")]
        # KENOM shows the path in its thesaurus: "Nichtmetalle > Papier"
        found += [text.rpartition(" > ")[2] for text in shown or terms]
    return "; ".join(unique(found))


def date_of(event: Element, language: str) -> str:
    """The date as displayed, else from its bounds, else the name of the period."""
    shown = best_text(all_of(event, "eventDate/displayDate"), language)
    first, last = (_bound(event, name) for name in ("earliestDate", "latestDate"))
    span = first if first == last or not last else f"{first}-{last}"
    return shown or span or label_of(first_of(event, "periodName"), language)


def years_of(event: Element) -> list[int]:
    """Years of the bounds."""
    matches = [_YEAR.match(_bound(event, name)) for name in ("earliestDate", "latestDate")]
    years = [int(match[1] or match[2]) for match in matches if match]
    return [year for year in years if year and abs(year) <= _MAX_YEAR]


def place_of(event: Element, language: str) -> str:
    """The first place that is named."""
    for each in all_of(event, "eventPlace"):
        names = all_of(each, "place/namePlaceSet/appellationValue")
        if text := best_text(in_language(all_of(each, "displayPlace"), language) or names, language):
            return text
    return ""


def _events(description: Element) -> list[Element]:
    return all_of(description, "eventWrap/eventSet/event")


def _kind(event: Element) -> str:
    kind = first_of(event, "eventType")
    if kind is None:
        return ""
    return " ".join([text_of(kind), *(attribute(each, "about") for each in kind.iter())])


def _actors(event: Element, language: str) -> list[Creator]:
    found = []
    for each in all_of(event, "eventActor"):
        inner = next(children(each, "actorInRole"), each)
        names = all_of(inner, "actor/nameActorSet/appellationValue")
        name = best_text([each for each in names if not is_alternative(each)] or names, language)
        if not name:
            shown = best_text(in_language(all_of(each, "displayActorInRole"), language), language)
            found.append(split_name(_ACTIVE.sub("", shown)))
            continue
        creator = split_name(name)
        role = label_of(first_of(inner, "roleActor"), language) or creator.role
        doubt = first_text(inner, "attributionQualifierActor")
        full = f"{creator.name} ({doubt})" if _DOUBT.search(doubt) else creator.name
        found.append(Creator(full, role, creator.dates or _life(inner)))
    return found


def _life(actor: Element) -> str:
    """Years of birth and death: ``1598-1680``."""
    dates = [first_text(actor, f"actor/vitalDatesActor/{name}") for name in ("earliestDate", "latestDate")]
    first, last = (match[1] or match[2] if (match := _YEAR.match(date)) else date for date in dates)
    return f"{first}-{last}" if first or last else ""


def _bound(event: Element, name: str) -> str:
    text = first_text(event, f"eventDate/date/{name}")
    return "" if text.strip("0-") == "" else text
