"""Records as they should come out of 40 real answers: facts read from the files by hand, an entry per file.

Each entry names a file of ``responses`` by the end of its path. ``titles`` are (language, text), ``rights``
(place, URI or raw words), ``image`` the address or image service of the first view.
"""

from pathlib import Path

import pytest

from data_prep.parse.answer import parse_answer
from data_prep.parse.parsed import Parsed
from data_prep.parse.to_records import to_records

pytestmark = pytest.mark.real

PDM = "http://creativecommons.org/publicdomain/mark/1.0/"
CC0 = "http://creativecommons.org/publicdomain/zero/1.0/"
RS = "http://rightsstatements.org/vocab"
CC = "http://creativecommons.org/licenses"
OPEN = "https://openapi.bnf.fr/iiif"

# file: number of objects, then facts of the first (or of the one that "at" says)
EXPECTED: dict[str, dict] = {
    # --- EDM RDF/XML, Turtle, OAI-PMH edm
    "data__edm__2063-52.xml": {
        "id": "/2064501/https___data_ucd_ie_data_ivrla_6944",
        "titles": [("en", "Photograph of houses on Eccles Street, Dublin.")],
        "image": "https://iiif.ucd.ie/loris/ivrla:6945",
        "size": (1526, 1102),
        "rights": [("aggregation", f"{CC}/by-nc-sa/4.0/")],
        "institution": "UCD Library",
        "manifest": "https://data.ucd.ie/api/img/manifests/ivrla:6944",
        "page": "https://digital.ucd.ie/view/ivrla:6944",
        "languages": ("en",),
        "subjects": ["Dirt roads", "Houses--Ireland--Dublin"],
    },
    "data__edm__119-29.xml": {
        "id": "/09312/869546",
        "titles": [("", "Joy Lachmann-Mosse Portraits Children")],
        "image": "https://media.jhn.ngo/iiif/2/LBI_photos:oai_digital.cjh.org_869546:Joy_LachmannMosse.tiff",
        "size": (2048, 3072),
        "rights": [("aggregation", f"{RS}/InC-EDU/1.0/")],
        "years": (1951, 1951),
        "page": "https://www.europeana.eu/item/09312/869546",
    },
    "data__edm__1245-1.xml": {
        "id": "/9200518/ark__12148_btv1b530624650",
        "caption": ("fr", "76 rue des Saints Pères, visites du jour de l'an à Mgr Dubois"),
        "image": f"{OPEN}/image/v3/ark:/12148/btv1b530624650/f1",
        "manifest": f"{OPEN}/presentation/v3/ark:/12148/btv1b530624650/manifest.json",
        "creators": [("Agence Rol", "Agence photographique")],
        "years": (1921, 1921),
        "rights": [("aggregation", f"{RS}/NoC-OKLR/1.0/")],
        "languages": ("fr",),
        "descriptions": [],  # a reference, "Appartient à l'ensemble documentaire", "Image de presse": no captions
    },
    "data__edm__231-84.xml": {
        "id": "/249/item_CGIDPQDAMZHPZC32MGAGAYHNU7XBYSVI",
        "titles": [("", "Sofortbildkamera Polaroid Image 2")],
        "caption": ("de", "Sofortbildkamera Polaroid Image 2"),
        "image": "https://iiif.deutsche-digitale-bibliothek.de/image/2/589922f7-7ef2-444e-8fce-1c0a617207c3",
        "rights": [("aggregation", CC0)],  # dc:rights only names the museum
        "attribution": "TECHNOSEUM Landesmuseum für Technik und Arbeit in Mannheim",
        "years": (1987, 1994),
    },
    "data__edm__270-33.xml": {
        "id": "/09403/o_gm_2216_CHO",
        "titles": [("de", "Graz. Glockenturm mit Casematten am Schloßberg.")],
        "image": "https://gams.uni-graz.at/iiif/o:gm.2216/RECTO",
        "manifest": "",  # dcterms:isReferencedBy is an info.json
        "size": (1955, 3000),
        "rights": [("aggregation", f"{CC}/by-sa/3.0/"), ("record", f"{CC}/by-sa/3.0/at/")],
        "years": (1910, 1911),
    },
    "rdf_with_iiif_sample.xml": {
        "id": "H-0614",
        "titles": [("en", "[Official Court Transcript, 12 July 1946]")],
        "image": "https://stacks.stanford.edu/image/iiif/zw031pj2507/zw031pj2507_0001",
        "num_views": 2,
        "rights": [("web_resource", f"{RS}/CNE/1.0/")],
        "languages": ("fr",),
        "page": "https://purl.stanford.edu/zw031pj2507",
    },
    "bnf-record-expected.xml": {
        "id": "http://gallica.bnf.fr/ark:/12148/btv1b110012843",
        "image": f"{OPEN}/image/v3/ark:/12148/btv1b110012843/f1",
        "manifest": f"{OPEN}/presentation/v3/ark:/12148/btv1b110012843/manifest.json",
        "creators": [
            ("Aḥmad ibn Yūsuf al-Dima\u0161qī al-Qaramānī", "Auteur du texte"),
            ("أحمد بن يوسف الدمشقي القرماني", "Auteur du texte"),
        ],
        "years": (1601, 1700),
        "languages": ("ar", "ota"),
        "rights": [("aggregation", f"{RS}/NoC-OKLR/1.0/")],
    },
    "edm__data__external__example1.xml": {
        "id": "/09102/_UEDIN_214",
        "titles": [("", "Buccin trombone. Nominal pitch: B?.")],
        "image": "http://www.mimo-db.eu/media/UEDIN/IMAGE/0032195c.jpg",
        "num_views": 1,  # a film and a recording are no views
        "rights": [("web_resource", "http://www.europeana.eu/rights/rr-f/")],  # overrides the aggregation's BY-NC-SA
        "types": ["Buccin"],  # of nine labels the English one
        "years": (1840, 1840),
    },
    "OAI-PMH__server__src__test__resources__getRecord.xml": {
        "id": "/90402/BK_1978_399",
        "titles": [("nl", "Beurs van beschilderd creme-wit fluweel, met gouden beugel")],
        "rights": [("web_resource", PDM)],
        "institution": "Rijksmuseum",
        "not_technique": "Gift of Jonkvrouw C.I. Six, 's-Graveland",
    },
    "record__record-missing-id.xml": {  # <edm:ProvidedCHOI>, misspelt
        "id": "URN:NBN:SI:doc-35SZSOCF",
        "creators": [("Stanič, Valentin", "")],
        "num_views": 0,  # a PDF
        "rights": [("aggregation", PDM)],
        "languages": ("sl",),
        "years": (1826, 1826),
    },
    "edm_with_errors.ttl": {
        "id": "http://data.bibliotheken.nl/id/gvn/KONB14Borms0001",
        "num_objects": 5,
        "titles": [("nl", "De godzalige huiszegen")],
        "image": "http://resolver.kb.nl/resolve?urn=urn:gvn:KONB14:BORMS0001&role=image&size=variable",
        "page": "http://resolver.kb.nl/resolve?urn=urn:gvn:KONB14:Borms0001",
        "rights": [("record", CC0)],
        "years": (1866, 1897),
        "places": ["Turnhout"],
    },
    "oai_pmh/edm/pkiraly+europeana-qa-api__src__test__resources__general__2048081-_O_532.xml": {
        "id": "/2048081/_O_532",
        "caption": ("cs", "Zbožná vzpomínka - Wurmbrand-Stuppach, Wilhelm Graf"),
        "image": "http://www.esbirky.cz/img.php?id=3117549",
        "size": (440, 695),
        "rights": [("aggregation", f"{CC}/by-nc-nd/4.0/")],
        "institution": "eSbírky",
    },
    "cho-sameas-sample.xml": {
        "id": "https://id.rijksmuseum.nl/SK-A-0001",
        "titles": [("en", "Test artwork")],
        "iconclass": ("41D92",),
        "subjects": ["test subject"],
        "places": ["test place"],
        "rights": [("aggregation", f"{RS}/InC/1.0/")],
    },
    # --- Europeana APIs
    "spec__support__fake_api__data__record.json": {
        "id": "/09102/_GNM_693983",
        "titles": [("de", "Hammerflügel")],
        "image": "http://www.mimo-db.eu/media/GNM/IMAGE/MIR1097_1279787057222_2.jpg",
        "num_views": 13,  # 18 views, of which two films and three recordings
        "page": "http://www.mimo-db.eu/GNM/693983",  # out of /api/api2demo/redirect?shownAt=...
        "creators": [("Stein", "")],
        "rights": [("web_resource", f"{CC}/by-nc-sa/3.0/")],
        "years": (1788, 1788),
        "institution": "Germanisches Nationalmuseum",
    },
    "record_api/pkiraly+europeana-qa-api__src__test__resources__general__2048081-_O_532.json": {
        "id": "/2048081/_O_532",
        "titles": [("", "Zbožná vzpomínka - Wurmbrand-Stuppach, Wilhelm Graf")],
        "image": "http://www.esbirky.cz/img.php?id=3117549",
        "rights": [("aggregation", f"{CC}/by-nc-nd/4.0/")],
    },
    "edm-fullbean.json": {
        "id": "/91949/9A7023F9DEFFEDBC5AA376AAA8F4484E12FE6904",
        "titles": [("", "Puig Major des de Sóller")],
        "creators": [("Mompou, Frederic", "")],
        "years": (1919, 1920),
        "previews": 1,  # only a thumbnail
        "rights": [("aggregation", f"{RS}/InC/1.0/")],
    },
    "spec__support__fake_api__data__search.json": {
        "id": "/12/https___www_searchculture_gr_aggregator_edm_pandektis_prosopa_000085_10442_60124",
        "num_objects": 12,
        "titles": [("el", "Χουρμούζη Φωτεινή"), ("en", "Chourmouzi Foteini")],
        "image": "http://pandektis.ekt.gr/pandektis/retrieve/93138/2244.jpg",
        "page": "http://pandektis.ekt.gr/pandektis/handle/10442/60124",
        "creators": [("Καργόπουλος Β.", "")],
        "rights": [("aggregation", f"{RS}/InC/1.0/")],
        "years": (1898, 1898),
    },
    "rijksmuseum_items_01-35.json": {
        "id": "/90402/RP_P_1909_557",
        "num_objects": 35,
        "titles": [("nl", "Gedenkteken voor Adolf Frederik van der Scheer")],
        "page": "http://hdl.handle.net/10934/RM0001.collect.152270",
        "rights": [("aggregation", PDM)],
        "subjects": ["Prent", "Papier"],  # of 27 languages the catalogue's
        "years": (1806, 1806),
    },
    # --- OAI-PMH oai_dc, SRU
    "sampleOaiRecord.xml": {
        "id": "oai:mediateka.centrumzamenhofa.pl:19",
        "titles": [("", "Fotografowie z zakładu przy ul. Kocha, Białystok,ok. 1942 r.")],
        "image": "http://www.mediateka.centrumzamenhofa.pl/files/PL_2004_1/PL_2004_1_1/PL_2004_1_1_2/large/"
        "PL_2004_1_1_2_002-large.jpg",
        "page": "http://www.mediateka.centrumzamenhofa.pl/photos/?show_image=19",
        "creators": [("Dawdo Danuta", "")],
        "rights_class_of_image": "open_conditions",
        "years": (1942, 1942),
    },
    "records1-3ForTest_ForGWToolset.xml": {
        "num_objects": 3,
        "id": "http://resolver.kb.nl/resolve?urn=urn:gvn:KONB01:237",
        "titles": [("", "GRONINGAE ET OMELANDIAE DOMINIUM = DE PROVINCIE VAN STADT EN LANDE")],
        "image": "http://resolver.kb.nl/resolve?urn=urn:gvn:KONB01:1049B11_099&size=large",
        "institution": "Koninklijke Bibliotheek",
        "techniques": ["kopergravure", "copper engraving"],
        "places": ["Amsterdam", "Netherlands - Groningen"],
        "rights": [("record", "{{PD-art|PD-old-100}}")],
        "years": (1681, 1681),
    },
    "xmlForTesting__papers.xml": {
        "num_objects": 15,
        "id": "https://gallica.bnf.fr/ark:/12148/cb32699739p/date",
        "image": f"{OPEN}/image/v3/ark:/12148/btv1b550055958/f1",  # from the extra data: the notice has no picture
        "languages": ("fr",),
        "page": "https://gallica.bnf.fr/ark:/12148/cb32699739p/date",
    },
    # --- METS/MODS
    "05fea810-7181-11e0-82d7-002185371280.xml": {
        "id": "urn:uuid:05fea810-7181-11e0-82d7-002185371280",
        "image": "http://kb-images.kb.dk/DAMJP2/online_master_arkiv_3/non-archival/samlingsbilleder/4075/000332.jp2",
        "size": (4718, 5920),
        "creators": [
            ("Bærentzen, Emil", "cre"),
            ("Schiøtt, Heinrich August Georg", "cre"),
            ("Westerberg, Edvard", "cre"),
        ],
        "years": (1850, 1899),
        "subjects": ["Moltke, Otto Joachim"],
        "types": ["Grafik"],
    },
    "beb9f1e0-bc32-11e2-9acb-0016357f605f.xml": {
        "id": "urn:uuid:beb9f1e0-bc32-11e2-9acb-0016357f605f",
        "creators": [("Langebek, Jacob", "cre"), ("Mejer, Johannes", "cre")],
        "languages": ("de",),
        "years": (1760, 1760),
        "places": ["Danmark"],
        "subjects": ["Amager", "Saltholm"],
    },
    "mets-mods__PPN773555676.xml": {
        "id": "PPN773555676",
        "path": "DEFAULT/FILE_0001_DEFAULT.jpg",
        "num_views": 4,
        "roles": {1: "binding"},  # pages 1 and 2; page 6 of the song, page 9 of the other
        "rights": [("record", "Public Domain Mark 1.0")],
        "languages": ("de",),
        "years": (1619, 1619),
        "creators": [],  # an associated name and the funder are no makers
        "institution": "Staatsbibliothek zu Berlin - Preußischer Kulturbesitz",
    },
    "mets-mods__PPN1678618276.xml": {
        "id": "PPN1678618276",
        "titles": [("", "Brief an B. Schott's Söhne : 30.07.1825")],
        "image": "http://content.staatsbibliothek-berlin.de/dms/PPN1678618276/800/0/00000001.jpg",
        "num_views": 3,
        "creators": [("Goebel", "aut")],
        "years": (1825, 1825),
        "places": ["Wertheim"],
        "rights_class_of_image": "open_conditions",  # CC BY-NC-SA 4.0 International
    },
    # --- LIDO
    "DDB-real-data__KHB.xml": {
        "id": "DE-MUS-027614/lido/3",
        "titles": [("de", "Harzlandschaft")],
        "image": "https://onlinekatalog.kunsthalle-bremen.de/DE-MUS-027614/object/3/166674",
        "creators": [("Lessing, Carl Friedrich", "Maler")],
        "years": (1870, 1870),
        "techniques": ["Öl auf Leinwand"],
        "rights": [("web_resource", PDM)],
        "all_rights": {"work": PDM, "image": PDM, "metadata": CC0},
        "page": "https://onlinekatalog.kunsthalle-bremen.de/DE-MUS-027614/object/3",
        "institution": "Kunsthalle Bremen",
    },
    "kmska_lido.xml": {
        "id": "http://resolver.kmska.be/collection/7",
        "titles": [("nl", 'Oorlogsschip "De Jacob" voor anker')],
        "creators": [("Ludolf Backhuysen", "schilder")],
        "years": (1601, 1700),  # "17de eeuw"; the dates 0 and 0 are none
        "techniques": ["olieverf op doek"],
        "num_views": 0,
    },
    "lido-examples__LIDO-v1.1-Example_FMobj00154983-LaPrimavera.xml": {
        "id": "DE-Mb112/lido-obj00154983",
        "titles": [
            ("it", "La Primavera"),
            ("en", "Spring"),
            ("de", "Der Frühling"),
            ("fr", "Allégorie du Printemps"),
            ("it", "allegoria della primavera"),  # an alternative title, therefore last
        ],
        "image": "http://www.bildindex.de/bilder/d/fmp_gkka1982_01929_2l",  # not /m/, the preview
        "first_iconclass": ("23D42", "57A9", "92C47", "92B57"),
        "institution": "Galleria degli Uffizi",
        "rights_class_of_image": "restricted",
        "types": ["Gemälde"],  # the record is catalogued in German, the English label stands beside it
    },
    "lido-examples__minimaldatensatz.xml": {
        "id": "DE-MUS-059918/dc00018494",
        "titles": [("de", "Kabinettschrank, Inv. Nr.: 1977.20")],
        "image": "http://resources.digicult-museen.net/dam/provided_image/m5ea54539bef06",
        "creators": [
            ("Fiammingo, Giacomo", "Künstler"),
            ("Curtis, Giovanni Battista de", "Graveur"),
            ("Picicaro, Januarius", "Graveur"),
        ],
        "years": (1596, 1605),
        "iconclass": ("94L",),
        "places": ["Neapel"],
        "rights": [("web_resource", CC0)],
        "institution": "Museum für Kunst und Gewerbe Hamburg",
    },
    "record__design1.xml": {  # Finna: no namespace on the elements
        "id": "M016-116854",
        "titles": [("fi", "aterimet"), ("fi", "lusikka, haarukka, veitsi"), ("fi", "Triennale")],
        "creators": [("Gardberg Bertel", "suunnittelija"), ("Hackman Sorsakoski", "valmistaja")],
        "institution": "Designmuseo",
    },
    "DDB-real-data__Münzkabinett.xml": {
        "id": "DE-MUS-814819/18314033",
        "image": "https://ikmk.smb.museum/image/18314033/vs_org.jpg",
        "num_views": 2,
        "rights": [("web_resource", PDM)],  # beside "copyright" and "publication right", which are kinds of right
        "page": "https://ikmk.smb.museum/object?id=18314033",
    },
    # --- MARCXML
    "Base__record__marc_links.xml": {
        "id": "1013809",
        "titles": [("", "Moottoriajoneuvojen esitteet ja hinnastot. 1810-1944")],
        "rights": [("record", CC0)],
        "languages": ("fi",),
        "years": (1810, 1944),
        "subjects": ["autot", "tieliikenne"],
    },
    # --- IIIF Presentation
    "manifests__btv1b530951918.json": {
        "id": "https://raw.githubusercontent.com/altomator/IIIF/main/manifests/btv1b530951918.json",
        "caption": ("fr", "Carte générale de la France. 079, [Reims]. N°79. Flle 39"),
        "image": f"{OPEN}/image/v3/ark:/12148/btv1b530951918/f1",
        "manifest": f"{OPEN}/presentation/v3/ark:/12148/btv1b530951918/manifest.json",
        "size": (15317, 9795),
        "rights": [("manifest", f"{RS}/NoC-NC/1.0/")],
        "languages": ("fr",),
        "institution": "Bibliothèque nationale de France",
        "page": "https://gallica.bnf.fr/ark:/12148/btv1b530951918",
    },
    "gallica_propvals_without_language.json": {
        "id": "http://gallica.bnf.fr/iiif/ark:/12148/btv1b7100627v/manifest.json",
        "titles": [  # the label is the shelfmark "Bibliothèque de l'Arsenal, Ms-5080 réserve"
            (
                "",
                "Vincent de Beauvais, Miroir historial, traduction en français par Jean de Vignay, Livres IX-XVI.",
            )
        ],
        "image": f"{OPEN}/image/v3/ark:/12148/btv1b7100627v/f1",
        "num_views": 849,
        "years": (1300, 1400),
        "languages": ("fr",),
        "rights_class_of_image": "open_conditions",
    },
    "fixtures__presentation-2__ghent.json": {
        "id": "https://adore.ugent.be/IIIF/manifests/archive.ugent.be%3ADEED7A64-2798-11E3-B8DE-18E597481370",
        "titles": [
            ("", "Zoo stemt men voor de liberalen"),
            ("", "[poster] Zoo stemt men voor de liberalen."),
        ],
        "image": "https://adore.ugent.be/IIIF/images/archive.ugent.be%3ADEED7A64-2798-11E3-B8DE-18E597481370%3ADS.2",
        "size": (4025, 5566),
        "rights": [("canvas", f"{CC}/by-sa/4.0/")],
        "page": "https://lib.ugent.be/viewer/archive.ugent.be%3ADEED7A64-2798-11E3-B8DE-18E597481370",
    },
    "fixtures__presentation-2__artic-manifest.json": {
        "id": "https://api.artic.edu/api/v1/artworks/27992/manifest.json",
        "titles": [("", "A Sunday on La Grande Jatte — 1884")],
        "image": "https://www.artic.edu/iiif/2/2d484387-2509-5e8e-2c43-22f9981972eb",
        "techniques": ["Oil on canvas"],
        "page": "http://www.artic.edu/artworks/27992",
        "description_language": "en",
    },
    "BibliographicResource_3000126341277.json": {
        "id": "https://iiif.europeana.eu/presentation/9200301/BibliographicResource_3000126341277/manifest",
        "titles": [("", "Uusi Aura, nr: 274A - 1909-11-26")],
        "rights": [("canvas", PDM)],  # in a sentence; the manifest has the same as `license`
        "languages": ("fi",),
        "years": (1909, 1909),
    },
    "fixtures__presentation-3__ldmax.json": {
        "id": "https://n2t.net/ark:/67039/a5b1a9b3dad04c24b01bc7415beb8b71/iiif.json",
        "titles": [("nl", "De familie van Grenthe, het kippenvrouwtje")],
        "image": "https://ndeiiif.adlibhosting.com/iiif/3/Q4350196.180",
        "num_views": 6,
        "rights": [("manifest", f"{CC}/by/4.0/")],
        "institution": "Museum Kranenburgh",
        "years": (1938, 1938),
    },
    "recipe__0006-text-language__manifest.json": {
        "titles": [("en", "Whistler's Mother"), ("fr", "La Mère de Whistler")],
        "creators": [("Whistler, James Abbott McNeill", "")],
        "image": "https://iiif.io/api/image/3.0/example/reference/329817fc8a251a01c393f517d8a17d87-Whistlers_Mother",
        "size": (1114, 991),
        "attribution": "Musée d'Orsay, Paris, France",
    },
    "recipe__0033-choice__manifest.json": {
        "titles": [("en", "John Dee performing an experiment before Queen Elizabeth I.")],
        "image": "https://iiif.io/api/image/3.0/example/reference/421e65be2ce95439b3ad6ef1f2ab87a9-dee-natural",
        "num_views": 1,  # the X-ray is the other choice for the same canvas
        "size": (2000, 1271),
    },
}


def _read(root: Path, ending: str) -> tuple[Parsed, int]:
    found = [path for path in (root / "responses").rglob("*") if path.as_posix().endswith(ending)]
    assert len(found) == 1, f"{ending} names {len(found)} files"
    records = parse_answer(found[0].read_bytes()).records
    return records[0], len(records)


def test_at_least_25_answers_have_expectations_across_all_protocols():
    assert len(EXPECTED) >= 25


@pytest.mark.parametrize("ending", EXPECTED)
def test_real_answer_gives_what_a_person_reads_in_it(ending, shared_data):
    want = EXPECTED[ending]
    parsed, num_objects = _read(shared_data, ending)
    record = to_records(parsed, source="s", institution="Unnamed", previews=True)[0]
    view = parsed.views[0] if parsed.views else None
    statements = [*(view.rights if view else ()), *parsed.rights]
    nearest = [
        each for each in statements if each.part in ("image", "work") and each.place in dict(want.get("rights", []))
    ]
    got = {
        "num_objects": num_objects,
        "id": parsed.id,
        "titles": [(text.lang, text.text) for text in parsed.titles],
        "caption": (record.captions[0].lang, record.captions[0].text) if record.captions else None,
        "image": view and (view.iiif_service or view.url),
        "path": view and view.path,
        "num_views": len(parsed.views),
        "previews": sum(each.preview for each in parsed.views),
        "roles": {each.number: each.role for each in parsed.views if each.role},
        "size": view and (view.width, view.height),
        "manifest": parsed.manifest,
        "page": parsed.landing_page,
        "rights": [(place, _one_of(nearest, place, value)) for place, value in want.get("rights", [])],
        "rights_class_of_image": record.rights_class
        if record.rights_class != "unknown"
        else _class_of(record, "image"),
        "all_rights": {each.part: each.uri for each in record.rights},
        "creators": [(creator.name, creator.role) for creator in parsed.creators],
        "years": (record.year_min, record.year_max),
        "languages": parsed.languages,
        "institution": parsed.institution,
        "attribution": parsed.attribution,
        "iconclass": parsed.iconclass,
        "first_iconclass": parsed.iconclass[:4],
        "descriptions": list(parsed.descriptions),
        "description_language": parsed.descriptions[0].lang if parsed.descriptions else None,
        "subjects": [each for each in parsed.subjects if each in want.get("subjects", [])],
        "types": [each for each in parsed.types if each in want.get("types", [])],
        "techniques": [each for each in parsed.techniques if each in want.get("techniques", [])],
        "places": list(parsed.places),
        "not_technique": want.get("not_technique")
        if want.get("not_technique") not in parsed.techniques
        else "a technique",
    }
    if "path" in want:
        got["image"] = None
    assert {name: got[name] for name in want} == want


def _one_of(statements, place, value):
    values = [each.uri if value.startswith("http") else each.raw for each in statements if each.place == place]
    return value if value in values else values


def _class_of(record, part):
    from data_prep.rights import read_statement

    classes = [read_statement(each.uri or each.raw).rights_class for each in record.rights if each.part == part]
    return classes[0] if classes else None
