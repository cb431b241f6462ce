"""Pairs of texts on pictures of saints that differ in one part: the attribute, or the name.

Names and attributes are Iconclass's own; the attribute is the one that fewest of the other saints share.
"""

from collections import Counter
from collections.abc import Sequence

from iconoclip.iconclass import Notation, attributes_of, short_form, text_of
from iconoclip.records import unit_hash

from ..tasks.composition import Pair

_WITH = {"en": "{name} with {attribute}", "de": "{name} mit {attribute}", "fr": "{name} avec {attribute}"}
LANGUAGES = tuple(_WITH)


def swapped_pairs(
    places: Sequence[int], labels: Sequence[int], keys: Sequence[str], saints: Sequence[Notation], language: str
) -> tuple[Pair, ...]:
    """Two pairs a picture: another saint's attribute with the right name, and its name with the right attribute.

    ``labels[i]`` is the saint of the picture at ``places[i]``. The other saint is drawn by a hash of the picture's key
    among those who have an attribute of their own. Attributes are chosen in English and taken by their place in the
    list, so that all languages ask the same: languages that order them otherwise are not in ``LANGUAGES``.
    """
    english = [attributes_of(saint, "en") for saint in saints]
    listed = [attributes_of(saint, language) for saint in saints]
    names = [short_form(text_of(saint, language)) for saint in saints]
    usable = [c for c in range(len(saints)) if english[c] and len(english[c]) == len(listed[c]) and names[c]]
    shared = Counter(attribute for c in usable for attribute in set(english[c]))
    pairs = []
    for place, label, key in zip(places, labels, keys, strict=True):
        others = [c for c in usable if c != label and _own(english[c], english[label], shared) is not None]
        others = [c for c in others if _own(english[label], english[c], shared) is not None]
        if label not in usable or not others:
            continue
        other = others[int(unit_hash(key, "swapped") * len(others))]
        mine, theirs = _own(english[label], english[other], shared), _own(english[other], english[label], shared)
        assert mine is not None
        assert theirs is not None
        text = _WITH[language]
        right = text.format(name=names[label], attribute=listed[label][mine])
        pairs.append(Pair(place, right, text.format(name=names[label], attribute=listed[other][theirs]), "attribute"))
        pairs.append(Pair(place, right, text.format(name=names[other], attribute=listed[label][mine]), "name"))
    return tuple(pairs)


def _own(attributes: Sequence[str], others: Sequence[str], shared: Counter[str]) -> int | None:
    """Place of the attribute that the other does not have and fewest saints share, of equal ones the first."""
    free = [place for place, attribute in enumerate(attributes) if attribute not in others]
    return min(free, key=lambda place: (shared[attributes[place]], place)) if free else None
