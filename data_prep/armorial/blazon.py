"""The blazons of some arms by language: English, French and German.

There is no Dutch: too many of its terms could not be checked against a published reference.
"""

from .blazon_de import blazon_german
from .blazon_en import blazon_english
from .blazon_fr import blazon_french
from .grammar import Arms


def blazon_all(arms: Arms) -> dict[str, str]:
    return {"en": blazon_english(arms), "fr": blazon_french(arms), "de": blazon_german(arms)}
