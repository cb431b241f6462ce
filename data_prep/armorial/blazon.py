"""The blazons of some arms, by language; a language that lacks a checked term is left out."""

from .blazon_en import blazon_english
from .blazon_fr import blazon_french
from .grammar import Arms


def blazon_all(arms: Arms) -> dict[str, str]:
    return {"en": blazon_english(arms), "fr": blazon_french(arms)}
