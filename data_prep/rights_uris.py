"""Kinds of rights statements, and the addresses that name them: Creative Commons, rightsstatements.org, others.

``read_uri("https://creativecommons.org/licenses/by-nc/3.0/de/deed.fr")`` is that licence in the form that EDM asks
for: ``http``, no deed, version 1.0 with its own order of elements (``by-nd-nc``).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from iconoclip.records import RightsClass

RightsKind = Literal[
    "public_domain", "open", "share_alike", "nc", "nd", "restricted_use", "in_copyright", "undetermined", "unstated",
    "not_understood",
]  # fmt: skip
KINDS: tuple[RightsKind, ...] = get_args(RightsKind)

CLASS_OF: dict[RightsKind, RightsClass] = {
    "public_domain": "public_domain", "open": "open", "share_alike": "open", "nc": "open_conditions",
    "nd": "open_conditions", "restricted_use": "restricted", "in_copyright": "restricted", "undetermined": "unknown",
    "unstated": "unknown", "not_understood": "unknown",
}  # fmt: skip
SEVERITY: tuple[RightsClass, ...] = ("public_domain", "open", "open_conditions", "unknown", "restricted")

RS_KINDS: dict[str, RightsKind] = {
    "InC": "in_copyright", "InC-OW-EU": "in_copyright", "InC-EDU": "restricted_use", "InC-NC": "restricted_use",
    "InC-RUU": "restricted_use", "NoC-CR": "restricted_use", "NoC-NC": "nc", "NoC-OKLR": "nc",
    "NoC-US": "undetermined", "CNE": "undetermined", "UND": "undetermined", "NKC": "undetermined",
}  # fmt: skip

CC0 = "http://creativecommons.org/publicdomain/zero/1.0/"
PDM = "http://creativecommons.org/publicdomain/mark/1.0/"


@dataclass(frozen=True, slots=True)
class Statement:
    """What a rights statement says: the normalised URI (``""`` when it names none) and of which kinds it is.

    CC BY-NC-ND is of two kinds, ``nc`` and ``nd``: each forbids something of its own.
    """

    uri: str
    kinds: tuple[RightsKind, ...]

    @property
    def rights_class(self) -> RightsClass:
        """The strictest class of the kinds."""
        return strictest_class(self.kinds)


def strictest_class(kinds: Iterable[RightsKind]) -> RightsClass:
    """The strictest class of some kinds, at least one."""
    classes: list[RightsClass] = [CLASS_OF[kind] for kind in kinds]
    return max(classes, key=SEVERITY.index)


def licence(name: str, version: str = "", port: str = "") -> Statement | None:
    """A Creative Commons licence by its elements, in any order; no URI without a version, None when it is none."""
    elements = set(re.split(r"[^a-z]+", name.lower()))
    if not elements <= {"by", "nc", "nd", "sa"} or ("by" not in elements and version not in ("", "1.0")):
        return None
    order = ("by", "nd", "nc", "sa") if version == "1.0" else ("by", "nc", "nd", "sa")
    known: dict[str, RightsKind] = {"nc": "nc", "nd": "nd", "sa": "share_alike"}
    kinds: tuple[RightsKind, ...] = tuple(kind for element, kind in known.items() if element in elements)
    path = "/".join(filter(None, ["-".join(each for each in order if each in elements), version, port.lower()]))
    uri = f"http://creativecommons.org/licenses/{path}/" if version else ""
    return Statement(uri, kinds or ("open",))


def rights_statement(code: str, version: str = "1.0") -> Statement | None:
    """One of the twelve of rightsstatements.org by its code, in any case."""
    known = {each.lower(): each for each in RS_KINDS}.get(code.lower())
    return Statement(f"http://rightsstatements.org/vocab/{known}/{version}/", (RS_KINDS[known],)) if known else None


def read_uri(uri: str) -> Statement | None:
    """What the address says about rights; None when it is not known to say anything."""
    uri = uri.strip().rstrip(".,;:!")
    place = _PREFIX.sub("", uri)
    place = re.sub(r"^([^/:]+):(?:80|443)(?=/|$)", r"\1", place)
    place = _BADGE.sub(lambda match: f"creativecommons.org/{_BADGE_FOLDERS[match[1].lower()]}/", place)
    if match := _CC_LICENCE.match(place):
        return _cc_licence(match)
    if match := _CC_PUBLIC_DOMAIN.match(place):
        return Statement(CC0 if match[1].lower() in ("zero", "cc0") else PDM, ("public_domain",))
    if match := _CC_BUTTON.match(place):
        return Statement(CC0, ("public_domain",)) if match[1].lower() == "cc-zero" else licence(match[1])
    if match := _RS.match(place):
        return rights_statement(match["code"].replace("_", "-"), match["ver"] or "1.0")
    for pattern, kind in _OTHERS:
        if pattern.match(place):
            return Statement(uri, (kind,))
    return None


def _cc_licence(match: re.Match[str]) -> Statement | None:
    name, version = match["name"].lower(), match["ver"] or ""
    if name in ("publicdomain", "mark", "zero", "cc0"):
        retired = "http://creativecommons.org/licenses/publicdomain/"
        return Statement({"publicdomain": retired, "mark": PDM}.get(name, CC0), ("public_domain",))
    if "sampling" in name or name == "devnations":  # retired: parts of a work, or some countries only
        return Statement(f"http://creativecommons.org/licenses/{name}/{version or '1.0'}/", ("restricted_use",))
    return licence(name, version, match["port"] or "")


_PREFIX = re.compile(r"^(?:https?:)?(?://)?(?:www\.)?", re.IGNORECASE)
_BADGE = re.compile(r"^(?:i\.creativecommons\.org|licensebuttons\.net)/([lp])/", re.IGNORECASE)
_BADGE_FOLDERS = {"l": "licenses", "p": "publicdomain"}
_CC_LICENCE = re.compile(
    r"creativecommons\.org/licen[sc]es/(?P<name>[a-z0-9+-]+)(?:/v?(?P<ver>\d\.\d))?"
    r"(?:/(?P<port>[a-z]{2}|igo|scotland)(?=[/?#]|$))?(?:[/?#].*)?$",
    re.IGNORECASE,
)
_CC_PUBLIC_DOMAIN = re.compile(
    r"creativecommons\.org/(?:publicdomain/(?=mark|zero|certification)|public-domain/(?=cc0|pdm)"
    r"|share-your-work/public-domain/(?=cc0|pdm)|about/(?=pdm|cc0))(mark|zero|certification|cc0|pdm)(?:[/?#].*)?$",
    re.IGNORECASE,
)
_CC_BUTTON = re.compile(r"mirrors\.creativecommons\.org/presskit/.*/(cc-zero|by[a-z-]*)\.\w+$", re.IGNORECASE)
_RS = re.compile(
    r"rightsstatements\.org/(?:vocab|page|data)/(?P<code>[a-z_-]+)(?:/(?P<ver>\d\.\d))?(?:\.\w+)?(?:[/?#].*)?$",
    re.IGNORECASE,
)

# Europeana's retired statements, the Deutsche Digitale Bibliothek's, open licences of states, Gallica's terms
_KIND_OF_OTHERS: tuple[tuple[str, RightsKind], ...] = (
    (r"europeana\.eu/(?:portal/)?(?:\w\w/)?rights/out-of-copyright-non-commercial", "nc"),
    (r"europeana\.eu/(?:portal/)?(?:\w\w/)?rights/unknown", "undetermined"),
    (r"europeana\.eu/(?:portal/)?(?:\w\w/)?rights/(?:rr-[fpr]\b|(?:test-)?orphan-work)", "in_copyright"),
    (r"deutsche-digitale-bibliothek\.de/(?:content/)?lizenzen/(?:rv-|vw-)", "in_copyright"),
    (r"gallica\.bnf\.fr/.*conditions-dutilisation", "nc"),
    (r".*\blicence[-_]ouverte|.*\bopen-government-licen[cs]e|data\.norge\.no/nlod", "open"),
    (r"govdata\.de/dl-de/by", "open"),
    (r"govdata\.de/dl-de/zero", "public_domain"),
    (r"opendatacommons\.org/licenses/pddl", "public_domain"),
    (r"opendatacommons\.org/licenses/by", "open"),
    (r"opendatacommons\.org/licenses/odbl", "share_alike"),
)
_OTHERS: tuple[tuple[re.Pattern[str], RightsKind], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in _KIND_OF_OTHERS
)
