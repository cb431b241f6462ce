"""XML and JSON that nobody vouches for, and the envelopes of OAI-PMH, SRU and DIDL."""

import pytest

from data_prep.parse.answer import parse_answer
from data_prep.parse.didl import parse_didl
from data_prep.parse.json import parse_json
from data_prep.parse.oai import parse_oai
from data_prep.parse.parsed import ParseError, ParseReason
from data_prep.parse.sru import parse_sru
from data_prep.parse.turtle import read_turtle
from data_prep.parse.xml import parse_xml, read_language, text_of

DC = 'xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/"'


def reason_of(data: bytes) -> tuple[ParseReason, str]:
    with pytest.raises(ParseError) as caught:
        parse_answer(data)
    return caught.value.reason, caught.value.detail


def test_external_entities_are_not_read(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    entity = f'<!ENTITY x SYSTEM "{secret.as_uri()}">'
    data = f"<!DOCTYPE d [{entity}]><oai_dc:dc {DC}><dc:title>&x; title</dc:title></oai_dc:dc>"
    (parsed,) = parse_answer(data.encode()).records
    assert parsed.titles[0].text == "title"


def test_exploding_entities_do_not_explode():
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    data = f'<!DOCTYPE d [<!ENTITY a0 "aaaaaaaaaa">{entities}]><oai_dc:dc {DC}><dc:title>&a11;</dc:title></oai_dc:dc>'
    assert len(str(parse_answer(data.encode()))) < 2_000


def test_what_came_instead_of_data_has_a_reason():
    page = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>x</body></html>"
    assert reason_of(page) == (ParseReason.HTML_PAGE, "Just a moment...")
    assert reason_of(b"  \n")[0] is ParseReason.EMPTY
    assert reason_of(b"PK\x03\x04")[0] is ParseReason.BROKEN_XML
    assert reason_of(b"{")[0] is ParseReason.BROKEN_JSON
    assert reason_of(b'{"a": 1}')[0] is ParseReason.UNKNOWN_FORMAT
    assert reason_of(b"<x/>")[0] is ParseReason.UNSUPPORTED_FORMAT
    with pytest.raises(ParseError, match="too_large"):
        parse_xml(b"<a>" + b" " * 100 + b"</a>", max_bytes=50)


@pytest.mark.parametrize("depth", [101, 5_000, 200_000])
def test_deep_nesting_is_refused_not_a_crash(depth):
    data = b'{"type": "Manifest", "items": [], "label": ' + b"[" * depth + b"]" * depth + b"}"
    assert reason_of(data)[0] is ParseReason.BROKEN_JSON
    assert parse_answer(data.replace(b"[" * (depth - 90), b"", 1).replace(b"]" * (depth - 90), b"", 1)).records


def test_json_is_forgiven_trailing_commas_marks_and_half_characters():
    assert parse_json(b'\xef\xbb\xbf{"a": [1, 2,], "b": "x,]",}') == {"a": [1, 2], "b": "x,]"}
    assert parse_json(b'["a\\ud800b"]') == ["a?b"]


def test_undeclared_prefixes_are_mended():
    document = parse_xml(b"<srw:a><dc:title xsi:type='x'>Lion</dc:title></srw:a>")
    assert text_of(document.root) == "Lion"
    assert "prefix" in document.problem
    assert not document.truncated


def test_charset_of_the_header_is_used():
    assert text_of(parse_xml("<a>é</a>".encode("latin-1"), encoding="iso-8859-1").root) == "é"
    assert text_of(parse_xml("<a>é</a>".encode(), encoding="no-such-charset").root) == "é"


@pytest.mark.parametrize(
    ("tag", "code"), [("fre", "fr"), ("fra", "fr"), ("fr-FR", "fr"), ("def", ""), ("", ""), ("ara", "ar")]
)
def test_language_tags_are_normalised(tag, code):
    assert read_language(tag) == code


OAI = """<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2026-01-01T00:00:00Z</responseDate>
<request verb="ListRecords">http://x</request>%s</OAI-PMH>"""


def test_oai_page_has_token_deletions_and_records():
    body = f"""<ListRecords>
      <record><header status="deleted"><identifier>a</identifier><datestamp>2020-01-01</datestamp></header></record>
      <record><header><identifier>b</identifier><datestamp>2020-01-02</datestamp><setSpec>s</setSpec></header>
        <metadata><oai_dc:dc {DC}><dc:title xml:lang="fre">Un lion</dc:title></oai_dc:dc></metadata></record>
      <resumptionToken completeListSize="240" cursor="0" expirationDate="2026-01-02T00:00:00Z">t!1</resumptionToken>
    </ListRecords>"""
    answer = parse_answer((OAI % body).encode())
    page = parse_oai((OAI % body).encode())
    assert (page.token, page.total, page.cursor, page.expires) == ("t!1", 240, 0, "2026-01-02T00:00:00Z")
    deleted, kept = answer.records
    assert (deleted.id, deleted.deleted) == ("a", True)
    assert (kept.id, kept.titles[0].lang, kept.datestamp) == ("b", "fr", "2020-01-02")


def test_oai_errors_come_with_their_code_and_an_empty_list_is_none():
    assert parse_answer((OAI % '<error code="noRecordsMatch">nothing</error>').encode()).records == ()
    assert reason_of((OAI % '<error code="badResumptionToken">expired</error>').encode()) == (
        ParseReason.PROTOCOL_ERROR,
        "badResumptionToken: expired",
    )
    assert reason_of((OAI % "").encode())[1] == "noBody"  # an answer cut off before its body is no empty one
    assert parse_oai((OAI % "<ListRecords><resumptionToken/></ListRecords>").encode()).token == ""


def test_oai_record_in_an_unknown_format_is_refused_by_its_identifier():
    body = (
        "<GetRecord><record><header><identifier>a</identifier></header><metadata><foo/></metadata></record></GetRecord>"
    )
    answer = parse_answer((OAI % body).encode())
    assert [(name, error.reason) for name, error in answer.refused] == [("a", ParseReason.UNSUPPORTED_FORMAT)]


def test_identify_gives_its_facts():
    facts = dict(parse_oai((OAI % "<Identify><granularity>YYYY-MM-DD</granularity></Identify>").encode()).facts)
    assert facts == {"granularity": "YYYY-MM-DD"}


SRU = """<srw:searchRetrieveResponse xmlns:srw="http://www.loc.gov/zing/srw/"><srw:numberOfRecords>90</srw:numberOfRecords>
%s<srw:nextRecordPosition>2</srw:nextRecordPosition></srw:searchRetrieveResponse>"""
# Shape of Gallica's SRU answers (data_prep notes, 1.2)
GALLICA = f"""<srw:records><srw:record><srw:recordSchema>dc</srw:recordSchema><srw:recordData><oai_dc:dc {DC}>
<dc:creator>Dante Alighieri (1265-1321). Auteur du texte</dc:creator><dc:date>1401-1500</dc:date>
<dc:description>Numérisation effectuée à partir d'un document de substitution</dc:description>
<dc:format>Parchemin</dc:format><dc:format>Nombre total de vues : 240</dc:format>
<dc:identifier>https://gallica.bnf.fr/ark:/12148/btv1b10033406t</dc:identifier><dc:language>ita</dc:language>
<dc:rights>domaine public</dc:rights><dc:rights>public domain</dc:rights><dc:title>Dante, Il Convito</dc:title>
</oai_dc:dc></srw:recordData></srw:record></srw:records>"""


def test_sru_page_of_gallica_gives_picture_and_manifest_of_the_open_api():
    page = parse_sru((SRU % GALLICA).encode())
    assert (page.total, page.next_position, len(page.items)) == (90, 2, 1)
    (parsed,) = parse_answer((SRU % GALLICA).encode()).records
    assert parsed.views[0].iiif_service == "https://openapi.bnf.fr/iiif/image/v3/ark:/12148/btv1b10033406t/f1"
    assert parsed.manifest == "https://openapi.bnf.fr/iiif/presentation/v3/ark:/12148/btv1b10033406t/manifest.json"
    assert (parsed.descriptions, parsed.techniques, parsed.languages) == ((), ("Parchemin",), ("it",))
    assert [each.raw for each in parsed.rights] == ["domaine public", "public domain"]


def test_sru_records_packed_as_strings_are_parsed_again():
    packed = f"&lt;oai_dc:dc {DC.replace(chr(34), '&quot;')}&gt;&lt;dc:title&gt;Lion&lt;/dc:title&gt;&lt;/oai_dc:dc&gt;"
    body = f"<srw:records><srw:record><srw:recordData>{packed}</srw:recordData></srw:record></srw:records>"
    assert parse_answer((SRU % body).encode()).records[0].titles[0].text == "Lion"


def test_sru_diagnostics_are_an_error_when_there_are_no_records():
    diagnostic = "<diagnostic><uri>info:srw/diagnostic/1/7</uri><details>query</details></diagnostic>"
    body = f"<srw:diagnostics>{diagnostic}</srw:diagnostics>"
    assert reason_of((SRU % body).encode()) == (ParseReason.PROTOCOL_ERROR, "7: query")


# Shape of KB.nl's DIDL records (data_prep notes, 1.4)
DIDL = """<didl:DIDL xmlns:didl="urn:mpeg:mpeg21:2002:02-DIDL-NS" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:srw_dc="info:srw/schema/1/dc-v1.1"><didl:Item dc:identifier="anp:1:mpeg21">
 <didl:Component><didl:Descriptor><didl:Statement dc:type="role">metadata</didl:Statement></didl:Descriptor>
  <didl:Resource mimeType="text/xml"><srw_dc:dcx><dc:identifier>http://resolver.kb.nl/resolve?urn=anp:1</dc:identifier>
  <dc:language>dut</dc:language><dc:rights>ANP</dc:rights>
  <dc:title>ANP Nieuwsbericht</dc:title></srw_dc:dcx></didl:Resource>
 </didl:Component>
 <didl:Component><didl:Descriptor><didl:Statement dc:type="role">image</didl:Statement></didl:Descriptor>
  <didl:Resource ref="anp_access.jpg" mimeType="image/jpeg"/>
  <didl:Resource ref="http://resolver.kb.nl/resolve?urn=anp:1:image" mimeType="image/jpeg"/></didl:Component>
 <didl:Component><didl:Descriptor><didl:Statement dc:type="role">alto</didl:Statement></didl:Descriptor>
  <didl:Resource ref="http://resolver.kb.nl/resolve?urn=anp:1:alto" mimeType="text/xml"/></didl:Component>
 </didl:Item></didl:DIDL>"""


def test_didl_takes_the_absolute_address_of_the_image_component():
    parsed = parse_didl(parse_xml(DIDL.encode()).root)
    assert [view.url for view in parsed.views] == ["http://resolver.kb.nl/resolve?urn=anp:1:image"]
    assert (parsed.titles[0].text, parsed.languages, parsed.rights[0].raw) == ("ANP Nieuwsbericht", ("nl",), "ANP")


def test_turtle_says_in_which_line_it_is_broken():
    with pytest.raises(ParseError, match="line 2: wanted"):
        read_turtle(b"@prefix dc: <http://purl.org/dc/elements/1.1/> .\n<a> dc:title ,")


def test_turtle_reads_lists_blank_nodes_and_long_strings():
    graph = read_turtle(
        b"@prefix dc: <http://purl.org/dc/elements/1.1/> .\n"
        b'<http://a> dc:title """A "b"\n c"""@fre ; dc:x [ dc:y 1 ], (2 3) .'
    )
    node = graph.nodes["http://a"]
    assert (node.values("dc:title")[0].text, node.values("dc:title")[0].lang) == ('A "b" c', "fr")
    assert [value.text for value in node.values("dc:x")] == ["", "2", "3"]


def test_europeana_error_is_told_without_the_key():
    data = b'{"apikey": "S3CRET", "success": false, "error": "Invalid API key: S3CRET", "code": "401_key_invalid"}'
    reason, detail = reason_of(data)
    assert reason is ParseReason.PROTOCOL_ERROR
    assert "401_key_invalid" in detail
    assert "S3CRET" not in detail
