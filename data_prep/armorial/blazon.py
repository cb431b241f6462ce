"""The blazons of some arms by language: English, French, German and, where it is sure, Dutch."""

from .blazon_de import blazon_german
from .blazon_en import blazon_english
from .blazon_fr import blazon_french
from .blazon_nl import blazon_dutch
from .grammar import Arms


def blazon_all(arms: Arms) -> dict[str, str]:
    """Language code to blazon; "en", "fr" and "de" always, "nl" where every term was checked."""
    blazons = {"en": blazon_english(arms), "fr": blazon_french(arms), "de": blazon_german(arms)}
    dutch = blazon_dutch(arms)
    return blazons if dutch is None else {**blazons, "nl": dutch}
