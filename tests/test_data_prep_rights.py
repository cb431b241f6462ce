"""Rights statements of every shape that real collections use."""

import pytest

from data_prep.filters.rights import RightsFilter
from data_prep.rights import RS_CLASSES, merge_classes, read_statement
from data_prep.sources.base import Drop
from iconoclip.records import Record, RejectReason, Rights

CC = "http://creativecommons.org"


@pytest.mark.parametrize(
    ("text", "uri", "rights_class"),
    [
        # Creative Commons: https, www, port, jurisdiction, deed, legalcode, query, version 1.0's order of elements
        ("http://creativecommons.org/publicdomain/mark/1.0/", f"{CC}/publicdomain/mark/1.0/", "public_domain"),
        ("https://creativecommons.org/publicdomain/zero/1.0/deed.fr", f"{CC}/publicdomain/zero/1.0/", "public_domain"),
        ("https://creativecommons.org:443/licenses/by/4.0", f"{CC}/licenses/by/4.0/", "open"),
        ("https://www.creativecommons.org/licenses/by-sa/3.0/de/deed.de", f"{CC}/licenses/by-sa/3.0/de/", "open"),
        ("https://creativecommons.org/licenses/by/4.0/legalcode.en", f"{CC}/licenses/by/4.0/", "open"),
        ("http://creativecommons.org/licenses/by-nc/2.5/scotland/", "", "unknown"),  # no such port: not understood
        ("http://creativecommons.org/licenses/by-nc-sa/3.0/igo/", f"{CC}/licenses/by-nc-sa/3.0/igo/",
         "open_conditions"),
        ("http://creativecommons.org/licenses/by-nd-nc/1.0/", f"{CC}/licenses/by-nc-nd/1.0/", "open_conditions"),
        ("https://creativecommons.org/public-domain/cc0/", f"{CC}/publicdomain/zero/1.0/", "public_domain"),
        # rightsstatements.org: https, page, missing slash, parameters
        ("https://rightsstatements.org/page/InC/1.0/?language=fr", "http://rightsstatements.org/vocab/InC/1.0/",
         "restricted"),
        ("http://rightsstatements.org/vocab/noc-nc/1.0/?date=2035-01-01", "http://rightsstatements.org/vocab/NoC-NC/1.0/",
         "open_conditions"),
        ("http://rightsstatements.org/vocab/CNE/1.0", "http://rightsstatements.org/vocab/CNE/1.0/", "unknown"),
        # an anchor, entities, a URI in a sentence
        ('<a href="https://creativecommons.org/licenses/by/4.0/">CC&nbsp;BY</a>', f"{CC}/licenses/by/4.0/", "open"),
        ("See https://creativecommons.org/licenses/by-sa/4.0/.", f"{CC}/licenses/by-sa/4.0/", "open"),
        ("CC0 https://creativecommons.org/public-domain/cc0/", f"{CC}/publicdomain/zero/1.0/", "public_domain"),
        # licences by name
        ("CC BY 4.0 (© 2019 J. Paul Getty Trust)", f"{CC}/licenses/by/4.0/", "open"),
        ("CC-BY-NC-SA", "", "open_conditions"),
        ("Creative Commons Attribution-ShareAlike 4.0 International", f"{CC}/licenses/by-sa/4.0/", "open"),
        ("Attribution-NonCommercial 3.0 Unported", f"{CC}/licenses/by-nc/3.0/", "open_conditions"),
        ("Licence Ouverte / Open Licence 2.0", "", "open"),
    ],
)  # fmt: skip
def test_uris_and_licences_are_normalised(text, uri, rights_class):
    statement = read_statement(text)
    assert (statement.uri, statement.rights_class) == (uri, rights_class)


@pytest.mark.parametrize("text", [
    "domaine public", "Public domain (author d. 1943)", "publiek domein", "gemeinfrei", "dominio público",
    "pubblico dominio", "domínio público", "Bilddaten gemeinfrei - Kunstmuseum Basel",
])  # fmt: skip
def test_public_domain_is_understood_in_seven_languages(text):
    assert read_statement(text).rights_class == "public_domain"


@pytest.mark.parametrize("text", [
    "All rights reserved", "Tous droits réservés", "Alle Rechte vorbehalten", "Alle rechten voorbehouden",
    "Todos los derechos reservados", "Tutti i diritti riservati", "Todos os direitos reservados",
    "conditions spécifiques d'utilisation", "In copyright", "not in the public domain",
    "CC BY 4.0, all rights reserved",
])  # fmt: skip
def test_reserved_rights_are_restricted_whatever_stands_beside(text):
    assert read_statement(text).rights_class == "restricted"


@pytest.mark.parametrize("text", [
    "", "?", "© Museum", "MIT", "site repo MIT, no image licence stated", "no known copyright restrictions",
    "Public-domain print; no image licence stated", "rights unknown", "Rechtestatus unklar", "http://example.org/terms",
])  # fmt: skip
def test_what_is_unstated_or_not_understood_is_unknown(text):
    assert read_statement(text).rights_class == "unknown"


def test_all_twelve_rights_statements_have_a_class_and_only_two_are_open():
    assert len(RS_CLASSES) == 12
    for code, rights_class in RS_CLASSES.items():
        assert read_statement(f"http://rightsstatements.org/vocab/{code}/1.0/").rights_class == rights_class
    assert {code for code, name in RS_CLASSES.items() if name == "open_conditions"} == {"NoC-NC", "NoC-OKLR"}


def test_a_record_is_as_restricted_as_its_strictest_part():
    image, text, work = (
        Rights("image", raw="CC BY 4.0"),
        Rights("metadata", raw="CC0"),
        Rights("work", raw="gemeinfrei"),
    )
    assert merge_classes([image, text, work]) == "open"
    assert merge_classes([image, text, Rights("work", raw="all rights reserved")]) == "restricted"


def test_a_free_work_says_nothing_about_its_photograph():
    assert merge_classes([Rights("work", raw="public domain"), Rights("metadata", raw="CC0")]) == "unknown"


def record(*statements: str) -> Record:
    parts = ("image", "metadata")
    return Record(
        "a", "s", "i", rights=tuple(Rights(part, raw=raw) for part, raw in zip(parts, statements, strict=False))
    )


def test_unstated_rights_are_dropped_with_what_is_missing():
    drop = RightsFilter().check(record("CC0"))
    assert isinstance(drop, Drop)
    assert drop.reason == RejectReason.RIGHTS_UNSTATED
    assert drop.detail == "image: CC0; nothing about the text"


def test_the_policy_can_be_tightened_and_never_loosened():
    non_commercial = record("CC BY-NC 4.0", "CC0")
    kept = RightsFilter().check(non_commercial)
    assert isinstance(kept, Record)
    assert kept.rights_class == "open_conditions"
    drop = RightsFilter(admit=("public_domain", "open")).check(non_commercial)
    assert isinstance(drop, Drop)
    assert drop.reason == RejectReason.RIGHTS_RESTRICTED
    with pytest.raises(ValueError, match="public_domain"):
        RightsFilter.model_validate({"admit": ["unknown"]})
