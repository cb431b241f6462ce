"""What real answers of Europeana's search, of SRU servers and of Norway's catalogue showed to be read wrongly."""

import pytest

from data_prep.parse.answer import parse_answer
from data_prep.parse.europeana import parse_search
from data_prep.parse.nb_no import parse_items
from data_prep.parse.parsed import ParseError
from data_prep.parse.to_records import to_records

# Values as a real search answer has them (prints of the Albertina, 2022), fields left out
ALBERTINA = {
    "id": "/15508/H_I_29_35", "type": "IMAGE", "language": ["de"], "dataProvider": ["Albertina"],
    "dcTitleLangAware": {"de": ["Maria mit Kind"], "en": ["Mary with Child"]},
    "dcCreatorLangAware": {"de": ["Jan Bussemecher (Verleger_in)"], "en": ["Jan Bussemecher (Publisher)"],
                           "def": ["#Pieter_Maes_Stecher_in", "#Jan_Bussemecher_Verleger_in"]},
    "edmTimespanLabelLangAware": {"zxx": ["1580/1591"], "en": ["16th century"]},
    "edmPlaceLabelLangAware": {"bg": ["Нидерландия"], "de": ["Niederlande"], "en": ["Netherlands"]},
    "edmConceptPrefLabelLangAware": {"bg": ["Гравюра"], "de": ["Kupferstich"]},
    "year": ["1591"],
}  # fmt: skip


def read_item(**changed):
    (parsed,) = parse_search({"items": [ALBERTINA | changed]}).records
    return parsed


def test_words_of_a_search_are_in_the_catalogues_language():
    parsed = read_item()
    assert [each.name for each in parsed.creators] == ["Jan Bussemecher (Verleger_in)"]
    assert (parsed.places, parsed.subjects) == (("Niederlande",), ("Kupferstich",))


def test_concepts_without_a_label_in_the_catalogues_language_or_english_are_left_out():
    assert read_item(language=["ro"]).subjects == ()
    assert read_item(language=["mul"]).places == ("Netherlands",)


def test_dates_of_a_search_are_the_normalised_spans_and_not_one_year_of_them():
    parsed = read_item()
    assert (parsed.dates, parsed.year_min, parsed.year_max) == (("1580/1591",), 1580, 1591)
    several = read_item(edmTimespanLabelLangAware={"zxx": ["1711", "1667"]})
    assert (several.year_min, several.year_max) == (1667, 1711)
    only_year = read_item(edmTimespanLabelLangAware={})
    assert (only_year.dates, only_year.year_min) == (("1591",), 1591)
    assert read_item(dctermsCreated=["um 1585"]).dates == ("um 1585",)


def test_english_beside_the_catalogues_language_may_be_a_translation():
    captions = to_records(read_item(), source="s")[0].captions
    assert [(each.lang, each.text, each.machine) for each in captions] == [
        ("de", "Maria mit Kind", False),
        ("en", "Mary with Child", True),
    ]
    alone = to_records(read_item(dcTitleLangAware={"en": ["Mary with Child"]}), source="s")[0].captions
    assert [each.machine for each in alone] == [False]
    catalogued_in_english = to_records(read_item(language=["en"]), source="s")[0].captions
    assert {each.machine for each in catalogued_in_english} == {False}


def test_object_without_a_page_at_its_provider_has_the_one_at_europeana():
    assert read_item().landing_page == "https://www.europeana.eu/item/15508/H_I_29_35"
    assert read_item(id="not an identifier").landing_page == ""


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ({"code": "401_key_invalid", "error": "API key is invalid"}, "401_key_invalid: API key is invalid"),
        ({"error": "Invalid API key: S3CRET"}, "Invalid API key ***"),
        ({"error": "wskey=S3CRET is unknown"}, "wskey *** is unknown"),
        ({"error": "The one of S3CRET is used up", "apikey": "S3CRET"}, "The one of *** is used up"),
    ],
)
def test_errors_say_what_is_wrong_and_not_the_key(said, want):
    with pytest.raises(ParseError) as caught:
        parse_search({"success": False, **said})
    assert caught.value.detail == want


# KB.nl's schema `dc`: the fields stand in recordData itself (a real answer of jsru.kb.nl has this shape)
KB_DC = b"""<srw:searchRetrieveResponse xmlns:srw="http://www.loc.gov/zing/srw/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:dcterms="http://purl.org/dc/terms/"><srw:numberOfRecords>2</srw:numberOfRecords><srw:records>
<srw:record><srw:recordSchema>info:srw/schema/1/dc-v1.1</srw:recordSchema><srw:recordData>
 <dc:identifier>http://resolver.kb.nl/resolve?urn=anp:1975:10:09:116:mpeg21</dc:identifier><dc:type>Text</dc:type>
 <dc:date>1975/10/09 00:00:00</dc:date><dc:title>ANP Nieuwsbericht</dc:title><dc:language>dut</dc:language>
</srw:recordData><srw:recordPosition>1</srw:recordPosition></srw:record>
<srw:record><srw:recordData><diag:diagnostic xmlns:diag="http://www.loc.gov/zing/srw/diagnostic/">
 <diag:uri>info:srw/diagnostic/1/64</diag:uri><diag:message>Record temporarily unavailable</diag:message>
</diag:diagnostic></srw:recordData><srw:recordPosition>2</srw:recordPosition></srw:record>
</srw:records></srw:searchRetrieveResponse>"""


def test_sru_fields_without_an_element_around_them_are_a_record():
    answer = parse_answer(KB_DC)
    (parsed,) = answer.records
    assert parsed.id == "http://resolver.kb.nl/resolve?urn=anp:1975:10:09:116:mpeg21"
    assert (parsed.titles[0].text, parsed.languages) == ("ANP Nieuwsbericht", ("nl",))


def test_sru_record_that_its_server_cannot_give_says_why():
    ((name, error),) = parse_answer(KB_DC).refused
    assert name == "position 2"
    assert error.detail == "info:srw/diagnostic/1/64: Record temporarily unavailable"


@pytest.mark.real
def test_wiki_template_of_a_person_is_the_name(shared_data):
    (path,) = (shared_data / "responses" / "sru").glob("*records1-3ForTest*")
    second = parse_answer(path.read_bytes()).records[1]
    assert [each.name for each in second.contributors][-1] == "Joan Blaeu"


def read_norwegian(access=None, **metadata):
    item = {"id": "1", "metadata": {"title": "Fra Bø"} | metadata, "accessInfo": access or {}}
    return parse_items({"_embedded": {"items": [item]}}).records[0]


@pytest.mark.parametrize(
    ("languages", "want"),
    [
        ([{"code": "nob"}], "nb"), (["nno"], "nn"), ([{"code": "sme"}], "se"), ([{"code": "eng"}], "en"),
        ([{"code": "nob"}, {"code": "nno"}], "no"), (["zxx"], "no"), ([], "no"),
    ],
)  # fmt: skip
def test_norwegian_title_is_in_the_one_language_stated_else_in_norwegian(languages, want):
    record = to_records(read_norwegian(languages=languages), source="s")[0]
    assert record.captions[0].lang == want


def test_norwegian_metadata_names_photographer_place_day_and_summary():
    parsed = read_norwegian(
        originInfo={"issued": "18850225"},
        dateCreated="19060000",
        people=[
            {"name": "Nyblin, Carl", "roles": [{"name": "ftg"}]},
            {"name": "Hansen, Kari", "roles": [{"name": "avb"}]},
        ],
        geographic={"placeString": "Norge;Telemark;Bø", "city": "Bø"},
        subject={"topics": ["kirker"], "names": [{"name": "Bø kirke"}]},
        summary="Sammendrag: Kirken sett fra sør",
    )
    assert [(each.name, each.role) for each in parsed.creators] == [("Nyblin, Carl", "ftg")]
    assert [each.name for each in parsed.contributors] == ["Hansen, Kari"]
    assert parsed.dates == ("1885-02-25", "1906")
    assert parsed.places == ("Bø", "Telemark", "Norge")
    assert parsed.subjects == ("kirker", "Bø kirke")
    assert [text.text for text in parsed.descriptions] == ["Kirken sett fra sør"]


@pytest.mark.parametrize(
    ("access", "want"),
    [
        ({"isPublicDomain": True, "accessAllowedFrom": "EVERYWHERE"}, ["public domain; accessAllowedFrom EVERYWHERE"]),
        ({"isPublicDomain": False, "accessAllowedFrom": "EVERYWHERE", "license": "ccbync"},
         ["CC BY-NC; accessAllowedFrom EVERYWHERE"]),
        ({"isPublicDomain": False, "accessAllowedFrom": "NB"},
         ["not in the public domain; accessAllowedFrom NB (restricted)"]),
        ({"license": "by avtale"}, ["by avtale"]),
        ({}, []),
    ],
)  # fmt: skip
def test_norwegian_access_is_stated_in_words_that_the_rights_filter_understands(access, want):
    assert [each.raw for each in read_norwegian(access).rights] == want


def test_norwegian_page_tells_where_it_stands_and_who_may_see_what():
    page = parse_items(
        {
            "_links": {}, "page": {"size": 50, "totalElements": 51, "totalPages": 2, "number": 1},
            "_embedded": {"items": [{"id": "1", "accessInfo": {"isPublicDomain": True, "accessAllowedFrom": "NB"}}]},
        }
    )  # fmt: skip
    assert (page.total, page.number, page.num_pages, page.next_page) == (51, 1, 2, "")
    assert [(each.is_public_domain, each.allowed_from, each.licence) for each in page.access] == [(True, "NB", "")]
