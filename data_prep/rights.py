"""Read rights statements of any common shape into one class, keeping the statement as it was.

``read_statement("CC BY-NC 4.0").rights_class`` is ``"open_conditions"``. Nothing is admitted by default: what is not
understood, or says that nothing is stated, is ``"unknown"``. Not legal advice; `docs` and the card show the table.

    public_domain    Public Domain Mark, CC0, "domaine public", "gemeinfrei" ...
    open             CC BY, CC BY-SA, Licence Ouverte, OGL
    open_conditions  CC with NC or ND, NoC-NC, NoC-OKLR, "non-commercial"
    restricted       InC and its kinds, NoC-CR, "all rights reserved"
    unknown          CNE, UND, NKC, NoC-US (says nothing about Europe), anything else
"""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

from iconoclip.records import Rights, RightsClass

CC_URI = re.compile(
    r"^https?://(?:www\.)?creativecommons\.org(?::\d+)?/"
    r"(?:publicdomain/(?P<pd>mark|zero)|licenses/(?P<lic>[a-z-]+))/(?P<ver>\d\.\d)"
    r"(?:/(?P<port>(?!deed|legalcode)[a-z]{2,3}(?:-[a-z]+)?))?/?(?:(?:deed|legalcode)(?:[.-][\w-]+)?)?/?(?:[?#].*)?$",
    re.IGNORECASE,
)
CC0_PAGE = re.compile(r"^https?://(?:www\.)?creativecommons\.org/(?:public-domain/cc0|share-your-work/.*cc0)/?", re.I)
RS_URI = re.compile(
    r"^https?://(?:www\.)?rightsstatements\.org(?::\d+)?/(?:vocab|page|data)/(?P<code>[A-Za-z-]+)(?:/(?P<ver>\d\.\d))?/?(?:\?.*)?$",
    re.IGNORECASE,
)

# Europeana's retired statements, the Deutsche Digitale Bibliothek's, pages about a licence, Gallica's terms
_OTHER_URIS: tuple[tuple[re.Pattern[str], RightsClass], ...] = (
    (re.compile(r"^https?://(?:www\.)?europeana\.eu/rights/(?:rr-[fpr]|orphan-work-eu)\b", re.I), "restricted"),
    (re.compile(r"^https?://(?:www\.)?europeana\.eu/rights/out-of-copyright-non-commercial", re.I), "open_conditions"),
    (re.compile(r"^https?://(?:www\.)?deutsche-digitale-bibliothek\.de/(?:content/)?lizenzen/rv-", re.I), "restricted"),
    (re.compile(r"^https?://(?:www\.)?creativecommons\.org/about/(?:pdm|cc0)", re.I), "public_domain"),
    (re.compile(r"^https?://gallica\.bnf\.fr/.*conditions-dutilisation", re.I), "open_conditions"),
)

RS_CLASSES: dict[str, RightsClass] = {
    "InC": "restricted", "InC-OW-EU": "restricted", "InC-EDU": "restricted", "InC-NC": "restricted",
    "InC-RUU": "restricted", "NoC-CR": "restricted", "NoC-NC": "open_conditions", "NoC-OKLR": "open_conditions",
    "NoC-US": "unknown", "CNE": "unknown", "UND": "unknown", "NKC": "unknown",
}  # fmt: skip

SEVERITY: tuple[RightsClass, ...] = ("public_domain", "open", "open_conditions", "unknown", "restricted")

_URI = re.compile(r"https?://[^\s<>\"'()\[\],;]+", re.IGNORECASE)
_ANCHOR = re.compile(r"<a\b[^>]*\bhref\s*=\s*[\"']?([^\"'\s>]+)", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")

# In order of precedence: the first kind found wins, so "not in the public domain" is no public domain.
_PHRASES: tuple[tuple[RightsClass, str], ...] = (
    ("unknown",
     r"\bno (?:\w+ ){0,3}(?:licen[cs]e|rights|copyright)(?: \w+){0,2} (?:stated|given|specified|information)"
     r"|(?:licen[cs]e|rights|copyright)[^.;]{0,20} (?:not|un)[ -]?(?:stated|known|specified|determined|evaluated)"
     r"|no known (?:copyright|restrictions)|droits (?:inconnus|non précisés)|rechte unbekannt|rechtestatus unklar"
     r"|rechten onbekend|derechos desconocidos|diritti sconosciuti|direitos desconhecidos|\bk\. ?a\.$|keine angaben?"),
    ("restricted",
     r"all rights reserved|tous droits réservés|(?<!keine )rechte vorbehalten|alle rechten voorbehouden"
     r"|todos los derechos reservados|tutti i diritti riservati|todos os direitos reservados"
     r"|\b(?<!not )(?<!out of )in copyright|not in the public domain|urheberrechtlich geschützt"
     r"|auteursrechtelijk beschermd|protégé par le droit d.auteur|protegido por|protetto da(?:l diritto d.autore)?"
     r"|conditions spécifiques|(?<!un)restricted|permission required|sur autorisation|mit genehmigung"),
    ("open_conditions",
     r"non[- ]?commercial|not for commercial|nicht[- ]?kommerziell|niet[- ]?commercieel|no[- ]comercial"
     r"|non commerciale?s?|não[- ]comercial|uso personale"),
    ("open",
     r"licence ouverte|open licen[cs]e|etalab|open government licen[cs]e|\bogl\b|datenlizenz deutschland"),
    ("public_domain",
     r"domaine public|public[- ]domain|publiek(?:e)? domein|rechtenvrij|dominio público|domínio público"
     r"|pubblico dominio|dominio pubblico|gemeinfrei|falt i det fri|no copyright|out of copyright|\bpdm\b"
     r"|\bpd-(?:art|old)\b"),
)  # fmt: skip
_COMPILED: tuple[tuple[RightsClass, re.Pattern[str]], ...] = tuple(
    (rights_class, re.compile(pattern, re.IGNORECASE)) for rights_class, pattern in _PHRASES
)
_CC_TEXT = re.compile(
    r"\bCC[ -]?(?:(?P<zero>0|zero)|(?P<lic>BY(?:[ -](?:NC|SA|ND))*))(?:[ -]?v?(?P<ver>\d\.\d))?(?![\w])", re.IGNORECASE
)
_CC_NAME = re.compile(
    r"(?:creative commons )?(?P<lic>attribution(?:[ -]?(?:non-?commercial|share-?alike|no-?deriv\w*))*)"
    r"(?: (?P<ver>\d\.\d))(?: (?:inter|un)\w+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a rights statement says: the normalised URI (``""`` when it names none) and the class."""

    uri: str
    rights_class: RightsClass


def read_statement(text: str) -> Statement:
    """Read a URI, an HTML anchor or free text in seven languages; the strictest of several wins."""
    links = [html.unescape(link) for link in _ANCHOR.findall(text)]
    plain = " ".join(html.unescape(_TAG.sub(" ", text)).split())
    found = [_read_uri(uri) for uri in (*links, *_URI.findall(plain))]
    known = [statement for statement in found if statement is not None]
    if not known:
        known = _read_licences(_URI.sub(" ", plain))
    phrase: RightsClass | None = next((name for name, pattern in _COMPILED if pattern.search(plain)), None)
    # A sentence about rights beside a licence can only make it stricter: "CC BY, all rights reserved".
    if phrase and (not known or phrase == "restricted"):
        known.append(Statement("", phrase))
    return max(known, key=lambda each: SEVERITY.index(each.rights_class), default=Statement("", "unknown"))


def merge_classes(rights: Iterable[Rights]) -> RightsClass:
    """Class of a record: the strictest of its parts; unknown unless picture and text are both stated."""
    statements = list(rights)
    classes: list[RightsClass] = [read_statement(each.uri or each.raw).rights_class for each in statements]
    stated = {each.part for each in statements if each.uri or each.raw}
    if not {"image", "metadata"} <= stated:
        classes.append("unknown")
    return max(classes, key=SEVERITY.index)


def _read_uri(uri: str) -> Statement | None:
    uri = uri.rstrip(".")
    if match := CC_URI.match(uri):
        if match["pd"]:
            return Statement(f"http://creativecommons.org/publicdomain/{match['pd'].lower()}/1.0/", "public_domain")
        port = f"{match['port'].lower()}/" if match["port"] else ""
        return _licence(match["lic"], match["ver"], port)
    if CC0_PAGE.match(uri):
        return Statement("http://creativecommons.org/publicdomain/zero/1.0/", "public_domain")
    if match := RS_URI.match(uri):
        codes = {code.lower(): code for code in RS_CLASSES}
        code = codes.get(match["code"].lower())
        if code:
            return Statement(f"http://rightsstatements.org/vocab/{code}/{match['ver'] or '1.0'}/", RS_CLASSES[code])
    for pattern, rights_class in _OTHER_URIS:
        if pattern.match(uri):
            return Statement(uri, rights_class)
    if re.match(r"^https?://(?:www\.)?etalab\.gouv\.fr/licence-ouverte|.*open-government-licence", uri, re.IGNORECASE):
        return Statement(uri, "open")
    return None


def _read_licences(text: str) -> list[Statement]:
    found: list[Statement] = []
    for match in _CC_TEXT.finditer(text):
        if match["zero"]:
            found.append(Statement("http://creativecommons.org/publicdomain/zero/1.0/", "public_domain"))
        else:
            licence = _licence(match["lic"].replace(" ", "-"), match["ver"] or "", "")
            found += [licence] if licence else []
    for match in _CC_NAME.finditer(text) if not found else ():
        name = match["lic"].lower()
        parts = ["by", *(code for words, code in _ELEMENTS if re.search(words, name))]
        licence = _licence("-".join(parts), match["ver"], "")
        found += [licence] if licence else []
    return found


_ELEMENTS = (("non-?commercial", "nc"), ("no-?deriv", "nd"), ("share-?alike", "sa"))


def _licence(name: str, version: str, port: str) -> Statement | None:
    elements = set(name.lower().split("-"))
    if "by" not in elements or not elements <= {"by", "nc", "nd", "sa"}:
        return None
    ordered = "-".join(part for part in ("by", "nc", "nd", "sa") if part in elements)
    rights_class: RightsClass = "open_conditions" if elements & {"nc", "nd"} else "open"
    uri = f"http://creativecommons.org/licenses/{ordered}/{version}/{port}" if version else ""
    return Statement(uri, rights_class)
