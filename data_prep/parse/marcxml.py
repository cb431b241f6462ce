"""Read MARC 21 in XML: catalogues of BNE, DNB, Finland and, through OAI, Norway and most of the world.

Fields: 245 and 246 titles, 100/110/700/710 names with ``$e`` or ``$4``, 260/264 place and date, 300 and 340 technique,
520 description, 540 rights, 6XX subjects, 856 addresses, 880 the same in another script. The marks of ISBD at the ends
of subfields are taken off. Source: https://www.loc.gov/marc/bibliographic/
"""

import re
from collections.abc import Iterator

from .parsed import Creator, Parsed, ParseError, ParseReason, Statement, Text, View, number_views, unique, unique_texts
from .statements import meaning_of, statement
from .text import is_notation, is_procedural, plain_text, trim_isbd
from .urls import image_service_of, image_url, is_picture, service_url, web_url
from .xml import Element, attribute, children, descendants, local_name, read_language, text_of

_RELATORS = {
    "art",
    "pht",
    "egr",
    "etr",
    "ltg",
    "drm",
    "ill",
    "ctg",
    "aut",
    "cre",
    "pnt",
    "scl",
    "arc",
    "prm",
    "wdc",
    "cmp",
}
# Leader/06: maps, graphics, objects and films have titles given by the cataloguer; others transcribe their own.
_PICTORIAL = frozenset("efgkor")


class _Field:
    """A data field: its tag, its indicators and its subfields in order."""

    def __init__(self, element: Element) -> None:
        self.tag = attribute(element, "tag")
        self.indicators = attribute(element, "ind1") or " ", attribute(element, "ind2") or " "
        self.subfields = [(attribute(each, "code"), text_of(each)) for each in children(element, "subfield")]

    def all(self, codes: str) -> list[str]:
        """Subfields with any of the codes, in the order of the record."""
        return [text for code, text in self.subfields if code and code in codes and text]

    def first(self, codes: str) -> str:
        """First subfield with any of the codes."""
        return next(iter(self.all(codes)), "")


def parse_marcxml(element: Element, *, identifier: str = "") -> list[Parsed]:
    """Read a ``record`` or a ``collection`` of them; ``identifier`` is that of the envelope of a single record.

    Raises:
        ParseError: there is no record in it.
    """
    records = [each for each in descendants(element, "record") if next(children(each), None) is not None]
    if not records:
        raise ParseError(ParseReason.NO_RECORD, f"no MARC record in <{local_name(element)}>")
    return [_read_record(each, identifier if len(records) == 1 else "") for each in records]


def _read_record(record: Element, identifier: str) -> Parsed:
    control = {attribute(each, "tag"): (each.text or "").strip("\n\r") for each in children(record, "controlfield")}
    fields = [_Field(each) for each in children(record, "datafield")]
    leader = next((each.text or "" for each in children(record, "leader")), "")

    def of(*tags: str) -> Iterator[_Field]:
        return (field for tag in tags for field in fields if field.tag == tag)

    languages = _languages(control, list(of("041")))
    is_pictorial = leader[6:7] in _PICTORIAL
    cataloguing = next((read_language(field.first("b")) for field in of("040") if field.first("b")), "")
    names = [(_name(field), _is_maker(field)) for field in of("100", "110", "111", "700", "710")]
    views, pages = _addresses(list(of("856")))
    return Parsed(
        id=identifier or control.get("001", "").strip() or next((field.first("a") for field in of("024", "035")), ""),
        format="marcxml",
        titles=_titles(list(of("245", "246", "740")), list(of("880"))),
        descriptions=unique_texts(
            [
                Text(text, "", f"marc:{field.tag}")
                for field in of("520", "545")
                if (text := plain_text(" ".join(field.all("ab")))) and not is_procedural(text)
            ]
        ),
        creators=tuple(dict.fromkeys(name for name, is_maker in names if is_maker and name.name)),
        contributors=tuple(dict.fromkeys(name for name, is_maker in names if not is_maker and name.name)),
        dates=_dates(control, list(of("264", "260", "046"))),
        places=unique([trim_isbd(text).strip("[]") for field in of("264", "260") for text in field.all("a")]),
        types=unique([trim_isbd(text).rstrip(".") for field in of("655") for text in field.all("a")]),
        techniques=unique(
            [
                *(trim_isbd(text).strip("[]. ") for field in of("245") for text in field.all("h")),
                *(trim_isbd(" ".join(field.all("b"))) for field in of("300")),
                *(trim_isbd(" ".join(field.all("ad"))) for field in of("340")),
            ]
        ),
        subjects=unique(
            [
                " -- ".join(trim_isbd(text).rstrip(".") for text in field.all("abctxyz"))
                for field in of("600", "610", "611", "630", "648", "650", "651", "653", "690")
            ]
        ),
        iconclass=_iconclass(list(of("084", "650", "655"))),
        series=unique_texts(
            [
                Text(trim_isbd(" ".join(field.all("at"))), "", f"marc:{field.tag}", "series")
                for field in of("490", "830", "773")
            ]
        ),
        rights=_rights(list(of("540", "506"))),
        institution=next((field.first("a") for field in of("852", "850")), ""),
        languages=languages,
        metadata_language=cataloguing if is_pictorial else (languages[0] if len(languages) == 1 else ""),
        landing_page=next(iter(pages), ""),
        identifiers=unique([text for field in of("024", "035", "020") for text in field.all("a")]),
        views=views,
    )


def _titles(fields: list[_Field], linked: list[_Field]) -> tuple[Text, ...]:
    found = []
    for field in [*fields, *(each for each in linked if each.first("6").startswith("245"))]:
        main, rest = trim_isbd(field.first("a")), [trim_isbd(text) for text in field.all("b")]
        text = " : ".join(part for part in (main, *rest) if part)
        parts = [trim_isbd(text) for text in field.all("npf")]
        text = ". ".join(part.rstrip(".") for part in (text, *parts) if part)
        if text := plain_text(text):
            found.append(Text(text, "", f"marc:{field.tag}"))
    return unique_texts(found)


def _name(field: _Field) -> Creator:
    name = trim_isbd(" ".join(field.all("abc")))
    role = trim_isbd(field.first("e")).rstrip(".") or field.first("4").rsplit("/", 1)[-1]
    return Creator(
        name.rstrip(",") if name[-3:-2] == " " else name.rstrip(",."), role, trim_isbd(field.first("d")).rstrip(".")
    )


def _is_maker(field: _Field) -> bool:
    if field.tag in ("100", "110", "111"):
        return True
    return bool({each.rsplit("/", 1)[-1] for each in field.all("4")} & _RELATORS)


def _dates(control: dict[str, str], fields: list[_Field]) -> tuple[str, ...]:
    found = [trim_isbd(text).rstrip(".") for field in fields if field.tag != "046" for text in field.all("c")]
    if not found:
        kind, first, last = control.get("008", "")[6:7], control.get("008", "")[7:11], control.get("008", "")[11:15]
        if re.fullmatch(r"\d[\du]{3}", first):
            is_range = kind in "cdikmq" and re.fullmatch(r"\d[\du]{3}", last) and last != "9999"
            found = [f"{first}-{last}" if is_range else first]
    return unique(found)


def _languages(control: dict[str, str], fields: list[_Field]) -> tuple[str, ...]:
    codes = [text for field in fields for text in field.all("a")]
    codes = [part for code in codes for part in (re.findall("...", code) if len(code) % 3 == 0 else [code])]
    return unique([read_language(code) for code in codes or [control.get("008", "")[35:38]]])


def _rights(fields: list[_Field]) -> tuple[Statement, ...]:
    found = []
    for field in fields:
        uri = next((text for text in field.all("u") if meaning_of(text).uri), "")
        raw = uri or plain_text(" ".join(field.all("acf")))
        # 506 is about access ("freely available"): only what is restricted there, or names a licence, is about rights
        meaning = meaning_of(raw)
        if raw and (field.tag == "540" or meaning.uri or meaning.rights_class == "restricted"):
            found.append(statement(raw, "image", "record", f"marc:{field.tag}"))
    return tuple(dict.fromkeys(found))


def _iconclass(fields: list[_Field]) -> tuple[str, ...]:
    found = []
    for field in fields:
        if "iconclass" in field.first("2").lower():
            found += [text for text in field.all("a") if is_notation(text)]
    return unique(found)


def _addresses(fields: list[_Field]) -> tuple[tuple[View, ...], list[str]]:
    views, pages = [], []
    for field in fields:
        note = " ".join(field.all("3yz")).lower()
        for text in field.all("u"):
            url = web_url(text)
            if not url:
                continue
            if is_picture(url, field.first("q") if "/" in field.first("q") else ""):
                is_thumbnail = "thumb" in note or "vignette" in note or "thumb" in url.lower()
                service = service_url(image_service_of(url))
                views.append(View(url=image_url(url), iiif_service=service, preview=is_thumbnail))
            elif field.indicators[1] != "2":  # 2: a related resource
                pages.append(url)
    return number_views(views), pages
