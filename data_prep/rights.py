"""Read rights statements of any common shape into what they say, keeping the statement as it was.

``read_statement("CC BY-NC 4.0").kinds`` is ``("nc",)``, its class ``"open_conditions"``. Nothing is admitted by
default: what says that nothing is stated, or is not understood, is of class ``"unknown"``. Not legal advice; what each
kind allows stands in `permissions.py` and `docs/rights.md`.

    public_domain    public_domain: Public Domain Mark, CC0, "domaine public", "gemeinfrei" ...
    open             open: CC BY, Licence Ouverte, OGL; share_alike: CC BY-SA
    open_conditions  nc: CC with NC, NoC-NC, NoC-OKLR, "non-commercial"; nd: CC with ND
    restricted       in_copyright: InC, "all rights reserved"; restricted_use: InC-EDU, InC-NC, InC-RUU, NoC-CR
    unknown          undetermined: CNE, UND, NKC, NoC-US (says nothing about Europe); unstated; not_understood
"""

import html
import re
from collections.abc import Iterable
from functools import lru_cache

from iconoclip.records import Rights, RightsClass

from .rights_uris import CLASS_OF, KINDS, RS_KINDS, SEVERITY, RightsKind, Statement, read_uri, strictest_class
from .rights_words import plain_words, read_words, strictest_phrase

__all__ = [
    "CLASS_OF", "KINDS", "RS_KINDS", "SEVERITY", "RightsKind", "Statement", "kinds_of", "merge_classes",
    "read_statement",
]  # fmt: skip

# What a record must say before it may be used. "terms" are a host's terms: they are no licence.
NEEDED_PARTS = ("image", "metadata")

_URI = re.compile(
    r"(?:https?:)?//[^\s<>\"'()\[\],;]+|(?<![\w./])(?:www\.)?(?:creativecommons|rightsstatements)\.org/[^\s<>\"'()\[\],;]+",
    re.IGNORECASE,
)
_LINK = re.compile(r"<\w+\b[^<>]*?\b(?:href|src)\s*=\s*[\"']?([^\"'\s>]+)", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z!](?![a-z]*://)[^<>]*>", re.IGNORECASE)  # not <https://...>, which is an address
_SPDX = re.compile(r"https?://spdx\.org/licenses/([\w.-]+?)(?:\.html|\.json)?$", re.IGNORECASE)
_MAX_CHARS = 20_000


@lru_cache(maxsize=4096)
def read_statement(text: str) -> Statement:
    """Read a URI, an HTML anchor or free text in seven languages; the strictest of several wins."""
    text = html.unescape(text[:_MAX_CHARS]) if "&lt;" in text else text[:_MAX_CHARS]
    links = [html.unescape(link) for link in _LINK.findall(text)]
    plain = " ".join(html.unescape(_TAG.sub(" ", text)).split())
    addresses = [*links, *_URI.findall(plain)]
    words = plain_words(" ".join([_URI.sub(" ", plain), *(name for each in addresses for name in _SPDX.findall(each))]))
    found = [statement for address in addresses if (statement := read_uri(address))]
    if found:
        # A sentence about rights beside a licence can only make it stricter: "CC BY, all rights reserved".
        found += [phrase for phrase in [strictest_phrase(words)] if phrase]
    else:
        found = read_words(words)
        phrase = strictest_phrase(words) if found else None
        found += [phrase] if phrase else []
    return _strictest(found) if found else Statement("", (_nothing_known(words, addresses),))


def kinds_of(rights: Iterable[Rights]) -> tuple[RightsKind, ...]:
    """Kinds of all statements, in order; ``unstated`` first unless picture and text are both spoken of."""
    stated = [each for each in rights if each.part != "terms" and (each.uri or each.raw)]
    kinds: list[RightsKind] = [kind for each in stated for kind in read_statement(each.uri or each.raw).kinds]
    if not set(NEEDED_PARTS) <= {each.part for each in stated}:
        kinds.insert(0, "unstated")
    return tuple(dict.fromkeys(kinds))


def merge_classes(rights: Iterable[Rights]) -> RightsClass:
    """Class of a record: the strictest of its parts; unknown unless picture and text are both stated."""
    return strictest_class(kinds_of(rights))


def _strictest(found: list[Statement]) -> Statement:
    """The strictest class, with all kinds of that class and the first URI."""
    strictest = strictest_class(kind for each in found for kind in each.kinds)
    held = [each for each in found if each.rights_class == strictest]
    kinds: tuple[RightsKind, ...] = tuple(dict.fromkeys(kind for each in held for kind in each.kinds))
    return Statement(next((each.uri for each in held if each.uri), ""), kinds)


def _nothing_known(words: str, addresses: list[str]) -> RightsKind:
    return "not_understood" if addresses or re.search(r"\w", words) else "unstated"
