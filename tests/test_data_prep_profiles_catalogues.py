"""Profiles of KB.nl, Norway and BNE's own catalogue, from the very YAML files to the shards."""

import json
from pathlib import Path

import pytest
from servers.http import Response
from servers.nb_no import HOST as NORWAY
from servers.nb_no import IMAGES, NorwegianCatalogue, make_item, resolve_picture, urn
from servers.oai import OaiRecord, OaiRepository
from servers.replay import draw_picture, params
from servers.runs import load_profile, played, read_records, read_rejected
from servers.sru import SruServer, write_record

from data_prep.config import PrepConfig
from data_prep.pipeline import run_prep

RESOLVER = "http://resolver.kb.nl/resolve?urn="


def write_dcx(number: int) -> str:
    """An illumination of BYVANCK as dcx (recorded shape of KB's answers; the values are made up)."""
    return f"""<srw_dc:dcx xmlns:srw_dc="info:srw/schema/1/dc-v1.1" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:dcx="http://krait.kb.nl/coop/tel/handbook/telterms.html" xmlns:dcterms="http://purl.org/dc/terms/">
 <dcx:recordIdentifier>BYVANCK:{number}</dcx:recordIdentifier>
 <dcx:illustration>{RESOLVER}BYVANCKB:mimi_78d38:dl1_{number:03d}r_min</dcx:illustration>
 <dc:title>David speelt op de harp, folio {number}r</dc:title><dc:language>dut</dc:language><dc:date>1430-1440</dc:date>
 <dc:type>miniatuur</dc:type><dc:subject>https://iconclass.org/71H1</dc:subject></srw_dc:dcx>"""


def write_didl(number: int) -> str:
    """A page of an album as DIDL: Dublin Core in one component, the picture in another (shape: data_prep notes 1.4)."""
    role = '<didl:Descriptor><didl:Statement mimeType="text/plain" dc:type="role">{}</didl:Statement></didl:Descriptor>'
    return f"""<didl:DIDL xmlns:didl="urn:mpeg:mpeg21:2002:02-DIDL-NS" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:srw_dc="info:srw/schema/1/dc-v1.1"><didl:Item dc:identifier="ALBA:{number}:mpeg21">
 <didl:Component>{role.format("metadata")}<didl:Resource mimeType="text/xml"><srw_dc:dcx>
  <dc:identifier>{RESOLVER}ALBA:{number}:mpeg21</dc:identifier><dc:language>dut</dc:language>
  <dc:title>Wapen en spreuk voor Jacob, blad {number}</dc:title><dc:date>1645</dc:date></srw_dc:dcx></didl:Resource>
 </didl:Component>
 <didl:Component>{role.format("image")}<didl:Resource ref="alba_{number}_access.jpg" mimeType="image/jpeg"/>
  <didl:Resource ref="{RESOLVER}ALBA:{number}:mpeg21:image" mimeType="image/jpeg"/></didl:Component>
 </didl:Item></didl:DIDL>"""


def test_kb_nl(tmp_path, monkeypatch):
    stamp = "2012-02-{:02d}T09:04:23.000Z"
    leaves = [OaiRecord(f"BYVANCK:BYVANCK:{n}", stamp.format(n), write_dcx(n) if n < 8 else "") for n in range(1, 9)]
    albums = [OaiRecord(f"ALBA:ALBA:{n}:mpeg21", stamp.format(n), write_didl(n)) for n in range(1, 7)]
    # The album's list is one page: a token of the small repository does not name its set.
    sets = {("BYVANCK", "dcx"): OaiRepository(leaves), ("ALBA", "didl"): OaiRepository(albums, page_size=10)}

    def answer(request):
        given = params(request)
        is_first_page = "metadataPrefix" in given
        return sets[(given["set"], given["metadataPrefix"]) if is_first_page else ("BYVANCK", "dcx")](request)

    with played({"services.kb.nl": answer, "resolver.kb.nl": draw_picture}, tmp_path / "world", monkeypatch) as world:
        summary = run_prep(load_profile("kb_nl", tmp_path / "out"), limit=100)
    assert (summary.harvested, summary.kept_for_training, summary.rejected) == (14, 13, {"deleted": 1})
    records = read_records(tmp_path / "out")
    illumination = records["BYVANCK:BYVANCK:3"]
    assert (illumination.captions[0].text, illumination.captions[0].lang) == ("David speelt op de harp, folio 3r", "nl")
    assert (illumination.iconclass, illumination.object_type) == (("71H1",), "miniatuur")
    assert illumination.image_url == f"{RESOLVER}BYVANCKB:mimi_78d38:dl1_003r_min"
    assert records["ALBA:ALBA:2:mpeg21"].image_url == f"{RESOLVER}ALBA:2:mpeg21:image"
    assert {record.rights_class for record in records.values()} == {"public_domain"}
    assert summary.permissions["publish"] == {"non_commercial": 13}, "KB shuts out commercial AI"
    assert world.strays == []


def test_kb_nl_sru(tmp_path, monkeypatch):
    server = SruServer({"": [write_record(n, rights="") for n in range(1, 13)]}, most=5)
    with played({"jsru.kb.nl": server, "resolver.kb.nl": draw_picture}, tmp_path / "world", monkeypatch):
        summary = run_prep(load_profile("kb_nl_sru", tmp_path / "out"), limit=12)
    assert (summary.harvested, summary.kept_for_training) == (12, 12)
    assert {each["x-collection"] for each in server.asked} == {"NGVN"}
    assert [each["startRecord"] for each in server.asked] == ["1", "6", "11"]


@pytest.mark.real
def test_kb_nl_sru_with_real_maps(shared_data, tmp_path, monkeypatch):
    (path,) = (shared_data / "responses" / "sru").glob("*records1-3ForTest*")
    body = path.read_bytes().replace(b">580<", b">3<")  # three of the 446 records stand for the list
    answers = {"jsru.kb.nl": lambda request: Response(body=body, headers={"Content-Type": "text/xml"})}
    with played({**answers, "resolver.kb.nl": draw_picture}, tmp_path / "world", monkeypatch) as world:
        summary = run_prep(load_profile("kb_nl_sru", tmp_path / "out"), limit=10)
    assert (summary.harvested, summary.kept_for_training) == (3, 3)
    record = read_records(tmp_path / "out")[f"{RESOLVER}urn:gvn:KONB01:41"]
    assert [each.lang for each in record.captions] == ["nl", "en", "und"]
    assert record.captions[2].text == "UKRAINAE PARS QVA POKUTIA Vulgo dictur"
    assert (record.year_min, record.place) == (1662, "Amsterdam")
    assert world.strays == []


def test_nb_no(tmp_path, monkeypatch):
    public = [make_item(n, languages=[{"code": code}]) for n, code in enumerate(("nob", "nno", "sme", "nob"), 1)]
    shown_at_home = make_item(5, access={"isPublicDomain": True, "accessAllowedFrom": "NORWAY"})
    catalogue = NorwegianCatalogue([*public, shown_at_home])
    with played({NORWAY: catalogue, IMAGES: resolve_picture}, tmp_path / "world", monkeypatch) as world:
        summary = run_prep(load_profile("nb_no", tmp_path / "out"), limit=5)
    assert (summary.kept_for_training, summary.rejected) == (4, {"rights_restricted": 1})
    assert summary.languages == {"nb": 2, "nn": 1, "se": 1}
    assert catalogue.asked[0].startswith(
        "/catalog/v1/items?filter=mediatype%3Abilder&filter=year%3A%5B1840%20TO%201840%5D"
    )
    record = read_records(tmp_path / "out")[urn(1)]
    assert (record.width, record.height) == (512, 341)  # 3000 x 2000 px, asked for at 512
    assert {target.rpartition("/full/")[2] for target in world.pictures(IMAGES)} == {"!512,512/0/native.jpg"}
    assert len(catalogue.asked) == 66  # a page for each year from 1840 to 1905, where the fifth item is found
    assert world.strays == []


MARC = """<record xmlns="http://www.loc.gov/MARC21/slim"><leader>01234nkm a2200301 a 4500</leader>
<controlfield tag="001">bimo{n:010d}</controlfield>
<controlfield tag="008">110101s{year}    sp                  spa  </controlfield>
<datafield tag="040" ind1=" " ind2=" "><subfield code="a">SpMaBN</subfield><subfield code="b">spa</subfield></datafield>
<datafield tag="100" ind1="1" ind2=" "><subfield code="a">Paret y Alcázar, Luis,</subfield>
 <subfield code="d">1746-1799</subfield><subfield code="e">grab.</subfield></datafield>
<datafield tag="245" ind1="1" ind2="3"><subfield code="a">El estanque número {n}</subfield>
 <subfield code="h">[Material gráfico] /</subfield><subfield code="c">L. Paret</subfield></datafield>
<datafield tag="260" ind1=" " ind2=" "><subfield code="a">[Madrid :</subfield><subfield code="c">{year}]</subfield>
</datafield><datafield tag="300" ind1=" " ind2=" "><subfield code="a">1 estampa :</subfield>
 <subfield code="b">aguafuerte</subfield></datafield>
<datafield tag="655" ind1=" " ind2="4"><subfield code="a">Grabados al aguafuerte</subfield></datafield>{link}
</record>"""
LINK = """<datafield tag="856" ind1="4" ind2="1">
<subfield code="u">http://bdh-rd.bne.es/viewer.vm?id={n:010d}&amp;page=1</subfield>
<subfield code="y">Biblioteca Digital Hispánica</subfield></datafield>"""


def test_bne_catalogue(tmp_path, monkeypatch):
    """The shape of the records is MARC 21 as BNE's rules have it; the values are made up."""
    years = {1: 1780, 2: 1781, 3: 1782, 4: 1783, 5: 1955, 6: 1784}
    metadata = {n: MARC.format(n=n, year=year, link=LINK.format(n=n) if n != 6 else "") for n, year in years.items()}
    repository = OaiRepository(
        [OaiRecord(f"oai:bne.es:{n}", f"2026-01-{n:02d}T10:00:00Z", text) for n, text in metadata.items()]
    )
    pictures: list[str] = []

    def answer(request):
        pictures.append(request.target)
        return draw_picture(request)

    with played({"oai.bne.es": repository, "bdh-rd.bne.es": answer}, tmp_path / "world", monkeypatch) as world:
        summary = run_prep(load_profile("bne_catalogue", tmp_path / "out"), limit=100)
    assert (summary.kept_for_training, summary.rejected) == (4, {"not_selected": 1, "image_missing": 1})
    record = read_records(tmp_path / "out")["oai:bne.es:2"]
    assert (record.captions[0].text, record.captions[0].lang) == ("El estanque número 2", "es")
    assert (record.creator, record.creator_role) == ("Paret y Alcázar, Luis", "grab")
    assert (record.year_min, record.place, record.object_type) == (1781, "Madrid", "Grabados al aguafuerte")
    assert record.image_url == "https://bdh-rd.bne.es/pdf.raw?jpeg=true&page=1&query=id:0000000002"
    assert {each.part: each.raw for each in record.rights}["image"] == "CC BY 4.0"
    assert len([target for target in pictures if "pdf.raw" in target]) == 4
    assert read_rejected(tmp_path / "out")["oai:bne.es:5"][1].startswith("from 1940 on")
    assert world.strays == []


def test_every_profile_of_this_file_says_when_it_was_replayed_and_is_read_without_a_key():
    folder = Path(__file__).resolve().parents[1] / "configs" / "prep"
    for name in ("europeana", "kbr", "bne", "bne_catalogue", "kb_nl", "kb_nl_sru", "nb_no"):
        text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
        assert "eplayed on 2026-11-20 against" in text, name
        assert "not run live" in text, name
        for word in ("Terms:", "Rate:", "Identifiers:", "Quirks:", "Expect:"):
            assert word in text, f"{name}: {word}"
        assert json.dumps(PrepConfig.load(folder / f"{name}.yaml").to_json())
