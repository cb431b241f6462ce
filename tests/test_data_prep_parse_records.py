"""Records out of parsed objects: captions, rights that hold, identifiers; EDM and JSON-LD; METS folders."""

from data_prep.parse.edm import parse_edm_json_ld
from data_prep.parse.mets import parse_mets
from data_prep.parse.parsed import Creator, Parsed, Statement, Text, View
from data_prep.parse.to_records import to_records
from data_prep.parse.xml import parse_xml
from iconoclip.records import Rights

PDM = "http://creativecommons.org/publicdomain/mark/1.0/"
INC = "http://rightsstatements.org/vocab/InC/1.0/"


def test_object_without_a_picture_gives_one_record_for_the_ledger():
    (record,) = to_records(Parsed(id="a", format="edm", titles=(Text("Lion", "en"),)), source="s", institution="i")
    assert (record.id, record.image_url) == ("a", "")
    assert to_records(Parsed(id="a", format="oai_pmh", deleted=True), source="s") == []


def test_identifiers_stay_when_more_views_come():
    one = Parsed(id="a", format="edm", views=(View(1, url="http://x/1"),))
    two = Parsed(id="a", format="edm", views=(View(1, url="http://x/1"), View(2, url="http://x/2")))
    assert [record.id for record in to_records(one, source="s")] == ["a"]
    assert [record.id for record in to_records(two, source="s")] == ["a", "a#2"]


def test_captions_keep_language_field_and_level_and_come_once():
    parsed = Parsed(
        id="a",
        format="edm",
        titles=(Text("Un lion : [estampe] / Dupont", "fr", "dc:title"), Text("Untitled", "en", "dc:title")),
        descriptions=(Text("un lion", "fr", "dc:description"), Text("A lion before a tower", "", "dc:description")),
        metadata_language="en",
        views=(
            View(
                1,
                url="http://x/1",
                texts=(Text("12v", "", "label", "page"), Text("The lion's head", "", "label", "page")),
            ),
        ),
    )
    (record,) = to_records(parsed, source="s")
    assert [(c.text, c.lang, c.source, c.level) for c in record.captions] == [
        ("The lion's head", "en", "label", "page"),
        ("Un lion", "fr", "dc:title", "object"),
        ("A lion before a tower", "en", "dc:description", "object"),
    ]
    assert (record.title, record.technique) == ("Un lion", "estampe")


def test_untagged_text_takes_the_language_of_the_collection_or_none():
    parsed = Parsed(id="a", format="oai_dc", titles=(Text("Lion"),))
    assert to_records(parsed, source="s", language="fr")[0].captions[0].lang == "fr"
    assert to_records(parsed, source="s")[0].captions[0].lang == "und"


def test_nearest_statement_holds_and_the_collection_fills_what_is_not_stated():
    parsed = Parsed(
        id="a",
        format="edm",
        rights=(Statement(INC, INC, "image", "aggregation", "edm:rights"),),
        views=(
            View(1, url="http://x/1", rights=(Statement(PDM, PDM, "image", "web_resource", "edm:rights"),)),
            View(2, url="http://x/2"),
        ),
    )
    metadata = Rights("metadata", "http://creativecommons.org/publicdomain/zero/1.0/", asserted_by="Europeana")
    image = Rights("image", INC)
    first, second = to_records(parsed, source="s", institution="Museum", dataset_rights=(metadata, image))
    assert [(each.part, each.uri) for each in first.rights] == [("image", PDM), ("metadata", metadata.uri)]
    assert (first.rights_class, second.rights_class) == ("public_domain", "restricted")
    assert first.rights[0].asserted_by == "Museum, edm:rights of the web resource"


def test_rights_in_the_work_and_in_the_picture_both_count():
    statements = (Statement(INC, INC, "work", "record", "x"), Statement(PDM, PDM, "image", "record", "y"))
    (record,) = to_records(
        Parsed(id="a", format="lido", rights=statements, views=(View(1, url="http://x/1"),)), source="s"
    )
    assert {each.part for each in record.rights} == {"work", "image"}


def test_creators_dates_and_size_are_carried_over():
    parsed = Parsed(
        id="a",
        format="mods",
        creators=(Creator("Dürer, Albrecht", "Graveur", "1471-1528"), Creator("Schiøtt, Heinrich", "Graveur")),
        dates=("teils", "1501-1502"),
        views=(View(1, url="http://x/1", width=30, height=20),),
    )
    (record,) = to_records(parsed, source="s", institution="i")
    assert (record.creator, record.creator_role) == ("Dürer, Albrecht; Schiøtt, Heinrich", "Graveur")
    assert (record.date_text, record.year_min, record.year_max) == ("1501-1502", 1501, 1502)
    assert (record.orig_width, record.orig_height) == (30, 20)


def test_previews_stand_in_only_when_asked():
    parsed = Parsed(id="a", format="edm", views=(View(1, url="http://x/thumb", preview=True),))
    assert to_records(parsed, source="s")[0].image_url == ""
    assert to_records(parsed, source="s", previews=True)[0].image_url == "http://x/thumb"


def test_edm_json_ld_is_read_like_the_xml():
    graph = [
        {"@id": "http://data.europeana.eu/item/1/a", "@type": "edm:ProvidedCHO"},
        {"@id": "p", "@type": "ore:Proxy", "edm:europeanaProxy": "false", "ore:proxyFor": {"@id": "http://data.europeana.eu/item/1/a"},
         "dc:title": [{"@language": "fr", "@value": "Un lion"}, {"@language": "nl", "@value": "Een leeuw"}],
         "dc:type": {"@id": "http://c"}},
        {"@id": "http://c", "@type": "skos:Concept", "skos:prefLabel": [{"@language": "en", "@value": "print"}]},
        {"@id": "g", "@type": "ore:Aggregation", "edm:aggregatedCHO": {"@id": "http://data.europeana.eu/item/1/a"},
         "edm:isShownBy": {"@id": "https://x/a.jpg"}, "edm:rights": {"@id": PDM}},
    ]  # fmt: skip
    (parsed,) = parse_edm_json_ld({"@context": {"dc": "http://purl.org/dc/elements/1.1/"}, "@graph": graph})
    assert parsed.id == "/1/a"
    assert [(text.lang, text.text) for text in parsed.titles] == [("fr", "Un lion"), ("nl", "Een leeuw")]
    assert (parsed.types, parsed.views[0].url, parsed.rights[0].uri) == (("print",), "https://x/a.jpg", PDM)


# Skeleton of the DFG profile (data_prep notes, 1.11)
METS = """<mets xmlns="http://www.loc.gov/METS/" xmlns:mods="http://www.loc.gov/mods/v3" xmlns:xlink="http://www.w3.org/1999/xlink">
<dmdSec ID="D0"><mdWrap><xmlData><mods:mods><mods:titleInfo><mods:title>Ein Buch</mods:title></mods:titleInfo>
<mods:accessCondition type="use and reproduction"
 xlink:href="https://creativecommons.org/publicdomain/mark/1.0/">PDM</mods:accessCondition>
<mods:recordInfo><mods:recordIdentifier>PPN1</mods:recordIdentifier></mods:recordInfo></mods:mods></xmlData></mdWrap></dmdSec>
<fileSec><fileGrp USE="THUMBS"><file ID="T1" MIMETYPE="image/jpeg"><FLocat xlink:href="https://x/t1.jpg"/></file></fileGrp>
<fileGrp USE="DEFAULT"><file ID="F1" MIMETYPE="image/jpeg"><FLocat xlink:href="https://x/dc/1/full/1200,/0/default.jpg"/></file>
<file ID="F2" MIMETYPE="image/jpeg"><FLocat xlink:href="img/2.jpg"/></file>
<file ID="F3"><FLocat xlink:href="../../etc/3.jpg"/></file></fileGrp>
<fileGrp USE="LOCAL"><file ID="L1" MIMETYPE="image/tiff"><FLocat xlink:href="file:///goobi/1.tif"/></file></fileGrp></fileSec>
<structMap TYPE="PHYSICAL"><div TYPE="physSequence">
<div ID="P1" TYPE="page" ORDER="1"><fptr FILEID="T1"/><fptr FILEID="L1"/><fptr FILEID="F1"/></div>
<div ID="P2" TYPE="page" ORDER="2"><fptr FILEID="F2"/></div>
<div ID="P3" TYPE="page" ORDER="3"><fptr FILEID="F3"/></div></div></structMap>
<structMap TYPE="LOGICAL"><div ID="L0" TYPE="monograph" DMDID="D0"><div ID="LA" TYPE="cover_front"/>
<div ID="LB" TYPE="illustration" LABEL="Ein Löwe vor einem Turm"/></div></structMap>
<structLink><smLink xlink:from="LA" xlink:to="P1"/><smLink xlink:from="LB" xlink:to="P2"/>
<smLink xlink:from="L0" xlink:to="P1"/></structLink></mets>"""


def test_mets_pages_have_role_caption_and_a_picture_that_may_be_opened():
    parsed = parse_mets(parse_xml(METS.encode()).root)
    first, second = parsed.views  # the third file lies outside the folder
    assert (first.iiif_service, first.role, first.number) == ("https://x/dc/1", "cover_front", 1)
    assert (second.path, second.url, second.role) == ("img/2.jpg", "", "illustration")
    assert parsed.rights[0].uri == PDM
    records = to_records(parsed, source="sbb", institution="SBB", language="de")
    assert records[1].captions[0].text == "Ein Löwe vor einem Turm"
    assert records[1].captions[0].level == "page"
    assert records[1].image_url == "img/2.jpg"
