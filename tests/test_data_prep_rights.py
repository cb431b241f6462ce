"""Rights statements of every shape that real collections use."""

import itertools

import pytest

from data_prep.filters.rights import RightsFilter
from data_prep.rights import RS_KINDS, kinds_of, merge_classes, read_statement
from data_prep.sources.base import Drop
from iconoclip.records import Record, RejectReason, Rights

CC = "http://creativecommons.org"
RS = "http://rightsstatements.org/vocab"
PREFIXES = ("http://", "https://", "http://www.", "https://www.", "//", "", "www.", "HTTP://")


def said(text: str) -> tuple[str, str]:
    statement = read_statement(text)
    return statement.uri, "+".join(statement.kinds)


@pytest.mark.parametrize(("code", "kind"), RS_KINDS.items())
def test_each_of_the_twelve_rights_statements_is_read_in_every_variant(code, kind):
    folders, tails = ("vocab", "page", "data"), ("/1.0/", "/1.0", "", "/")
    more = ("", "?language=fr", "?date=2035-01-01", "?relatedURL=https://example.org/terms", "#x")
    for prefix, folder, name, tail, rest in itertools.product(PREFIXES, folders, (code, code.lower()), tails, more):
        uri = f"{prefix}rightsstatements.org/{folder}/{name}{tail}{rest}"
        assert said(uri) == (f"{RS}/{code}/1.0/", kind), uri
    for suffix in ("/1.0/fr", "/1.0/?language=fr&relatedURL=http%3A%2F%2Fexample.org", "/1.0.ttl", "/1.0.json"):
        assert said(f"https://rightsstatements.org/page/{code}{suffix}") == (f"{RS}/{code}/1.0/", kind)
    assert said(f'<a href="http://rightsstatements.org:80/vocab/{code}/1.0/">x</a>') == (f"{RS}/{code}/1.0/", kind)


def test_only_two_of_the_twelve_may_be_used_at_all():
    assert len(RS_KINDS) == 12
    assert {code for code, kind in RS_KINDS.items() if kind == "nc"} == {"NoC-NC", "NoC-OKLR"}
    assert set(RS_KINDS.values()) == {"nc", "in_copyright", "restricted_use", "undetermined"}


CC_KINDS = {
    "by": "open", "by-sa": "share_alike", "by-nc": "nc", "by-nd": "nd", "by-nc-sa": "nc+share_alike",
    "by-nc-nd": "nc+nd",
}  # fmt: skip


@pytest.mark.parametrize(("name", "kinds"), CC_KINDS.items())
def test_every_creative_commons_licence_is_read_in_every_form(name, kinds):
    ports = ("", "de/", "nl/", "fr/", "igo/", "uk/", "scotland/", "AT/")
    tails = ("", "deed", "deed.fr", "deed.zh-hant", "deed.zh_TW", "legalcode", "legalcode.de", "legalcode-plain", "rdf",
             "?ref=chooser", "#x", "deed.en?x=1")  # fmt: skip
    for version, port, tail in itertools.product(("2.0", "2.1", "2.5", "3.0", "4.0"), ports, tails):
        want = f"{CC}/licenses/{name}/{version}/{port.lower()}", kinds
        for prefix in PREFIXES if not tail else ("https://",):
            uri = f"{prefix}creativecommons.org/licenses/{name}/{version}/{port}{tail}"
            assert said(uri) == want, uri
        assert said(f"https://creativecommons.org:443/licenses/{name}/{version}/{port}{tail}".rstrip("/")) == want
    assert said(f"https://creativecommons.org/licenses/{name}/") == ("", kinds)  # a version that nobody has named
    assert said(f"https://i.creativecommons.org/l/{name}/4.0/88x31.png") == (f"{CC}/licenses/{name}/4.0/", kinds)
    assert said(f'<img src="https://licensebuttons.net/l/{name}/3.0/88x31.png"/>') == (
        f"{CC}/licenses/{name}/3.0/", kinds
    )  # fmt: skip
    for spelt in (f"CC {name} 4.0", f"CC-{name}-4.0".upper(), f"cc_{name.replace('-', '_')}_4.0", f"CC {name}, v4.0",
                  f"CC {name.replace('-', ' ')} 4.0 International", f"(CC {name} 4.0)", f"CC:{name} 4.0",
                  f"https://spdx.org/licenses/CC-{name.upper()}-4.0.html"):  # fmt: skip
        assert said(spelt) == (f"{CC}/licenses/{name}/4.0/", kinds), spelt
    assert said(f"CC {name} 3.0 DE") == (f"{CC}/licenses/{name}/3.0/de/", kinds)
    assert said(f"© CC-{name}") == ("", kinds)


@pytest.mark.parametrize(("uri", "want", "kinds"), [
    ("by/1.0", "by/1.0/", "open"),
    ("by-nd-nc/1.0/", "by-nd-nc/1.0/", "nc+nd"),  # version 1.0 has its own order
    ("by-nc-nd/1.0/", "by-nd-nc/1.0/", "nc+nd"),
    ("by-sa-nc/4.0/", "by-nc-sa/4.0/", "nc+share_alike"),
    ("nd-nc/1.0/", "nd-nc/1.0/", "nc+nd"),  # without attribution: retired, and only in 1.0
    ("nc/1.0/", "nc/1.0/", "nc"),
    ("sa/1.0/", "sa/1.0/", "share_alike"),
    ("sampling+/1.0/", "sampling+/1.0/", "restricted_use"),
    ("nc-sampling+/1.0/", "nc-sampling+/1.0/", "restricted_use"),
    ("devnations/2.0/", "devnations/2.0/", "restricted_use"),
    ("publicdomain/", "publicdomain/", "public_domain"),
])  # fmt: skip
def test_old_and_retired_creative_commons_licences_are_read(uri, want, kinds):
    assert said(f"http://creativecommons.org/licenses/{uri}") == (f"{CC}/licenses/{want}", kinds)


@pytest.mark.parametrize("text", [
    "http://creativecommons.org/publicdomain/zero/1.0/", "https://creativecommons.org/publicdomain/zero/1.0/deed.fr",
    "https://creativecommons.org/publicdomain/zero/1.0/legalcode", "creativecommons.org/publicdomain/zero",
    "https://creativecommons.org/public-domain/cc0/", "https://creativecommons.org/about/cc0",
    "https://creativecommons.org/share-your-work/public-domain/cc0/", "https://i.creativecommons.org/p/zero/1.0/88x31.png",
    "CC0", "cc0 1.0", "CC0-1.0", "CC 0", "CC-Zero", "{{Cc-zero}}", "CC0 1.0 Universal", "https://spdx.org/licenses/CC0-1.0",
    "kein Copyright / Public domain (CC0 1.0)", "https://mirrors.creativecommons.org/presskit/buttons/88x31/svg/cc-zero.svg",
])  # fmt: skip
def test_cc0_is_read_in_every_form(text):
    assert said(text) == (f"{CC}/publicdomain/zero/1.0/", "public_domain")


@pytest.mark.parametrize("text", [
    "http://creativecommons.org/publicdomain/mark/1.0/", "https://creativecommons.org/publicdomain/mark/1.0/deed.de",
    "http://creativecommons.org/about/pdm", "https://creativecommons.org/public-domain/pdm/", "PDM", "pdm", "PDM 1.0",
    "Public Domain Mark 1.0", "CC PDM 1.0", "https://i.creativecommons.org/p/mark/1.0/88x31.png",
    "Made available under the Creative Commons, Public Domain Mark. You can copy it without asking permission.",
])  # fmt: skip
def test_the_public_domain_mark_is_read_in_every_form(text):
    assert said(text) == (f"{CC}/publicdomain/mark/1.0/", "public_domain")


@pytest.mark.parametrize(("text", "uri", "kinds"), [
    # a license by name, as Creative Commons calls it in seven languages
    ("Creative Commons Attribution-NonCommercial-NoDerivatives 4.0 International", "by-nc-nd/4.0/", "nc+nd"),
    ("Namensnennung - Nicht kommerziell - Weitergabe unter gleichen Bedingungen 3.0", "by-nc-sa/3.0/",
     "nc+share_alike"),
    ("Namensnennung – Keine Bearbeitungen 4.0 International", "by-nd/4.0/", "nd"),
    ("Attribution - Pas d’Utilisation Commerciale - Pas de Modification 4.0 International", "by-nc-nd/4.0/", "nc+nd"),
    ("Attribution - Partage dans les Mêmes Conditions 4.0 International", "by-sa/4.0/", "share_alike"),
    ("Naamsvermelding-NietCommercieel-GeenAfgeleideWerken 3.0", "by-nc-nd/3.0/", "nc+nd"),
    ("Naamsvermelding-GelijkDelen 4.0 Internationaal", "by-sa/4.0/", "share_alike"),
    ("Atribución/Reconocimiento-NoComercial-SinDerivados 4.0 Internacional", "by-nc-nd/4.0/", "nc+nd"),
    ("Attribuzione - Non commerciale - Condividi allo stesso modo 4.0 Internazionale", "by-nc-sa/4.0/",
     "nc+share_alike"),
    ("Attribuzione - Non opere derivate 3.0 Italia", "by-nd/3.0/", "nd"),
    ("Atribuição-NãoComercial-CompartilhaIgual 4.0 Internacional", "by-nc-sa/4.0/", "nc+share_alike"),
    ("Atribuição-SemDerivações 4.0 Internacional", "by-nd/4.0/", "nd"),
    # licences without a version
    ("Creative Commons - Attribution, Non-Commercial, ShareAlike (BY-NC-SA) license", "", "nc+share_alike"),
    ("Creative Commons Attribution licence", "", "open"),
])  # fmt: skip
def test_creative_commons_licences_are_known_by_their_names(text, uri, kinds):
    assert said(text) == (f"{CC}/licenses/{uri}" if uri else "", kinds)


@pytest.mark.parametrize(("text", "uri", "kinds"), [
    # an anchor, entities, a sentence, an address in angle brackets, several in one
    ('<a href="https://creativecommons.org/licenses/by/4.0/">CC&nbsp;BY</a>', f"{CC}/licenses/by/4.0/", "open"),
    ("<a href=https://creativecommons.org/licenses/by/4.0/ target=_blank>x</a>", f"{CC}/licenses/by/4.0/", "open"),
    ("&lt;a href='http://creativecommons.org/licenses/by-nc/4.0/'&gt;x&lt;/a&gt;", f"{CC}/licenses/by-nc/4.0/", "nc"),
    ("See https://creativecommons.org/licenses/by-sa/4.0/.", f"{CC}/licenses/by-sa/4.0/", "share_alike"),
    ("A Creative Commons license <http://creativecommons.org/licenses/by/4.0/>", f"{CC}/licenses/by/4.0/", "open"),
    ("[CC BY](https://creativecommons.org/licenses/by/4.0/), text CC BY-ND 4.0", f"{CC}/licenses/by/4.0/", "open"),
    ("CC0; pictures CC BY-NC-ND 4.0", f"{CC}/licenses/by-nc-nd/4.0/", "nc+nd"),
    ("CC BY 4.0 (© 2019 J. Paul Getty Trust)", f"{CC}/licenses/by/4.0/", "open"),
    # a sentence beside a licence only makes it stricter
    ("CC BY 4.0, all rights reserved", "", "in_copyright"),
    ("CC BY 4.0. Not for commercial use", "", "nc"),
    ("CC BY 4.0. For commercial and non-commercial use", f"{CC}/licenses/by/4.0/", "open"),
    ("CC BY 4.0, Einige Rechte vorbehalten", f"{CC}/licenses/by/4.0/", "open"),
    # others
    ("https://www.etalab.gouv.fr/licence-ouverte-open-licence/",
     "https://www.etalab.gouv.fr/licence-ouverte-open-licence/", "open"),
    ("Licence Ouverte / Open Licence 2.0", "", "open"),
    ("http://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/",
     "http://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/", "open"),
    ("Open Government Licence v3.0", "", "open"),
    ("https://www.govdata.de/dl-de/by-2-0", "https://www.govdata.de/dl-de/by-2-0", "open"),
    ("https://opendatacommons.org/licenses/odbl/1-0/", "https://opendatacommons.org/licenses/odbl/1-0/",
     "share_alike"),
    ("http://www.europeana.eu/rights/rr-f/", "http://www.europeana.eu/rights/rr-f/", "in_copyright"),
    ("http://www.europeana.eu/portal/rights/rr-r.html", "http://www.europeana.eu/portal/rights/rr-r.html",
     "in_copyright"),
    ("http://www.europeana.eu/rights/orphan-work-eu/", "http://www.europeana.eu/rights/orphan-work-eu/",
     "in_copyright"),
    ("http://www.europeana.eu/rights/out-of-copyright-non-commercial/",
     "http://www.europeana.eu/rights/out-of-copyright-non-commercial/", "nc"),
    ("http://www.europeana.eu/rights/unknown/", "http://www.europeana.eu/rights/unknown/", "undetermined"),
    ("https://www.deutsche-digitale-bibliothek.de/content/lizenzen/rv-fz/",
     "https://www.deutsche-digitale-bibliothek.de/content/lizenzen/rv-fz/", "in_copyright"),
    ("https://gallica.bnf.fr/edit/und/conditions-dutilisation-des-contenus-de-gallica",
     "https://gallica.bnf.fr/edit/und/conditions-dutilisation-des-contenus-de-gallica", "nc"),
])  # fmt: skip
def test_statements_are_read_wherever_they_hide(text, uri, kinds):
    assert said(text) == (uri, kinds)


@pytest.mark.parametrize("text", [
    "domaine public", "Public domain (author d. 1943)", "publiek domein", "Publiek Domein", "gemeinfrei",
    "dominio público", "pubblico dominio", "domínio público", "Bilddaten gemeinfrei - Kunstmuseum Basel", "pd",
    "falt i det fri", "NOT_IN_COPYRIGHT", "no longer in copyright", "nicht mehr urheberrechtlich geschützt",
    "publicdomain",
    "Public domain. The BHL considers that this work is no longer under copyright protection.",
    "{{PD-art|PD-old-100}}", "BnF - public domain", "Kein Urheberrechtsschutz", "no rights reserved",
])  # fmt: skip
def test_public_domain_is_understood_in_seven_languages(text):
    assert said(text) == ("", "public_domain")


@pytest.mark.parametrize("text", [
    "All rights reserved", "Tous droits réservés", "Alle Rechte vorbehalten", "Alle rechten voorbehouden",
    "Todos los derechos reservados", "Tutti i diritti riservati", "Todos os direitos reservados",
    "conditions spécifiques d'utilisation", "In copyright", "In copyright (copyrighted)", "Copyright not cleared",
    "not in the public domain", "n'est pas encore dans le domaine public", "nicht gemeinfrei",
    "niet in het publiek domein",
    "no está en el dominio público", "non è di pubblico dominio", "não está no domínio público",
    "will enter the public domain in 2035", "Rights unassigned - staff access only", "Free access – no reuse",
    "users may not copy, reproduce or distribute in whatsoever form without express written consent of the library",
    "Rechte vorbehalten – Freier Zugang", "Visning kun på stedet", "Urheberrechtsschutz",
    "Auteursrechtelijk beschermd - educatief gebruik toegestaan", "In Copyright - Non-Commercial Use Permitted",
    "Protégé par le droit d'auteur - Œuvre Orpheline de l'UE",
    "In Copyright - Titolari dei diritti non rintracciabili o non identificabili",
    "No Copyright - Contractual Restrictions", "Niet auteursrechtelijk beschermd - contractuele beperkingen",
    "Absence de protection par le droit d'auteur - Restrictions contractuelles", "Public domain. All rights reserved",
])  # fmt: skip
def test_reserved_rights_are_restricted_whatever_stands_beside(text):
    assert read_statement(text).rights_class == "restricted"


@pytest.mark.parametrize(("text", "kind"), [
    # "No copyright" is no public domain when something follows
    ("No Copyright - Non-Commercial Use Only", "nc"),
    ("Kein Urheberrechtsschutz - nur nicht kommerzielle Nutzung erlaubt", "nc"),
    ("No Copyright - other known legal restrictions (NoC-OKLR 1.0)", "nc"),
    ("No Copyright - Altre restrizioni legali note", "nc"),
    ("No Copyright - United States", "undetermined"),
    ("Kein Urheberrechtsschutz - Vereinigte Staaten", "undetermined"),
    ("Sin derecho de autor - Estados Unidos", "undetermined"),
    ("Public domain in the United States", "undetermined"),
    ("No known copyright restrictions", "undetermined"),
    ("Free from known copyright restrictions", "undetermined"),
    ("Absence de protection connue par le droit d'auteur", "undetermined"),
    ("Copyright Not Evaluated", "undetermined"),
    ("The copyright of this item has not been evaluated.", "undetermined"),
    ("Droit d'auteur non évalué", "undetermined"),
    ("Copyright non esaminato", "undetermined"),
    ("Urheberrechtsschutz ungewiss", "undetermined"),
    ("Auteursrechtelijke bescherming niet bepaald", "undetermined"),
    ("The use of this image may be subject to the copyright law of the United States", "undetermined"),
    ("rights unknown", "undetermined"),
    ("Rechtestatus unklar", "undetermined"),
    ("Usage non commercial uniquement", "nc"),
    ("Nur zur nicht-kommerziellen Nutzung", "nc"),
    ("niet-commercieel gebruik", "nc"),
    ("uso no comercial", "nc"),
    ("uso non commerciale", "nc"),
    ("uso não comercial", "nc"),
    # nothing is said
    ("", "unstated"),
    ("  ", "unstated"),
    ("?", "unstated"),
    ("UNKNOWN", "unstated"),
    ("n/a", "unstated"),
    ("k. A.", "unstated"),
    ("Keine Angaben", "unstated"),
    ("Not provided. Contact Contributing Library to verify copyright status.", "unstated"),
    ("site repo MIT, no image licence stated", "unstated"),
    ("Public-domain print; no image licence stated", "unstated"),
    ("<br/>", "unstated"),
    # something is said that is no licence: a holder, a type of right, access, software, other addresses
    ("© Museum", "not_understood"),
    ("Copyright The University of Edinburgh.", "not_understood"),
    ("Attribution: Museum X", "not_understood"),
    ("Urheberrecht", "not_understood"),
    ("Open Access", "not_understood"),
    ("MIT", "not_understood"),
    ("Creative Commons", "not_understood"),
    ("http://example.org/terms", "not_understood"),
    ("http://purl.org/coar/access_right/c_abf2", "not_understood"),
    ("https://creativecommons.org/licenses/", "not_understood"),
    ("http://rightsstatements.org/vocab/XYZ/1.0/", "not_understood"),
    ("http://notcreativecommons.org/licenses/by/4.0/", "not_understood"),
    ("https://example.org/?u=creativecommons.org/licenses/by/4.0/", "not_understood"),
])  # fmt: skip
def test_what_is_said_nothing_about_differs_from_what_is_not_understood(text, kind):
    assert "+".join(read_statement(text).kinds) == kind


@pytest.mark.parametrize(("text", "code"), [
    ("NoC-NC 1.0", "NoC-NC"), ("InC", "InC"), ("UND", "UND"), ("CNE 1.0", "CNE"), ("In Copyright (InC 1.0)", "InC"),
])  # fmt: skip
def test_codes_of_rights_statements_are_understood_where_they_are_no_words(text, code):
    assert read_statement(text).uri == f"{RS}/{code}/1.0/"
    assert said("und")[1] == "not_understood"


@pytest.mark.real
def test_the_rights_in_real_metadata_are_read_as_a_person_reads_them(shared_data):
    """Values of dc:rights, edm:rights, license, accessCondition ... counted with a reader of their own."""
    from data_prep.parse.answer import parse_answer
    from data_prep.parse.parsed import ParseError

    raws = set()
    for path in (shared_data / "responses").rglob("*"):
        if path.is_file() and path.suffix not in (".csv", ".md"):
            try:
                records = parse_answer(path.read_bytes()).records
            except ParseError:
                continue
            raws |= {each.raw for record in records for each in record.rights}
            raws |= {each.raw for record in records for view in record.views for each in view.rights}
    unread = {raw for raw in raws if read_statement(raw).kinds == ("not_understood",)}
    # Holders' marks and names of rights; each was read by hand. Readers may leave them out as no statements.
    assert {raw[:40] for raw in unread} <= {
        "Ejermærke", "Nutzungsrechte", "Copyright 2001, G. de Jong, B. Nooteboom",
        "Digital Library@Villanova University Dis",
    }  # fmt: skip


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


def test_terms_of_a_host_are_no_licence():
    terms = Rights("terms", raw="all rights reserved")
    assert merge_classes([Rights("image", raw="CC0"), Rights("metadata", raw="CC0"), terms]) == "public_domain"
    assert kinds_of([Rights("image", raw="CC0"), terms]) == ("unstated", "public_domain")


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
