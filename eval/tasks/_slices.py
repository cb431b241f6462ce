"""The fields by which figures are sliced, and what each picture has in them."""

from collections import Counter
from collections.abc import Sequence

from iconoclip.dates import century
from iconoclip.records import Record

from ..data import Pictures


def picture_slices(pictures: Pictures, positions: Sequence[int]) -> dict[str, list[str]]:
    """Collection, institution, century, technique and object type of some pictures; ``""`` where it is not known.

    The institution is left out where it says the same as the collection.
    """
    records = [pictures.records[position] for position in positions]
    found = {
        "source": [record.source for record in records],
        "institution": [record.institution for record in records],
        "century": [century_of(record) for record in records],
        "technique": _first_terms([record.technique for record in pictures.records], positions),
        "object_type": _first_terms([record.object_type for record in pictures.records], positions),
    }
    if len(set(zip(found["source"], found["institution"], strict=True))) == len(set(found["source"])):
        del found["institution"]
    return found


def century_of(record: Record) -> str:
    """Century in which the work was certainly made, such as ``17`` or ``5 BC``; ``""`` for a span of several."""
    if record.year_min is None or record.year_max is None:
        return ""
    first, last = century(record.year_min), century(record.year_max)
    if first != last:
        return ""
    return str(first) if first > 0 else f"{-first} BC"


def _first_terms(texts: Sequence[str], positions: Sequence[int]) -> list[str]:
    """First term of some texts, ``Engraving; etching`` -> ``Engraving``; one spelling where only capitals differ.

    The spelling is that of most of all texts, among equals the first in the alphabet.
    """
    terms = [_first_term(text) for text in texts]
    spellings: dict[str, Counter[str]] = {}
    for term in terms:
        spellings.setdefault(term.casefold(), Counter())[term] += 1
    usual = {name: min(found, key=lambda term: (-found[term], term)) for name, found in spellings.items()}
    return [usual[terms[position].casefold()] for position in positions]


def _first_term(text: str) -> str:
    """Catalogues join techniques; the first is the main one."""
    for mark in (";", "|", " $ ", ","):
        text = text.partition(mark)[0]
    return " ".join(text.split())
