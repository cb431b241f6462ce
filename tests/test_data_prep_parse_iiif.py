"""IIIF: sizes to ask for, manifests of all versions, collections, change streams; Norway's API; ALTO."""

import pytest

from data_prep.parse.alto import parse_alto
from data_prep.parse.answer import parse_answer
from data_prep.parse.iiif import parse_manifest
from data_prep.parse.iiif_annotations import parse_annotations
from data_prep.parse.iiif_collection import parse_changes, parse_collection
from data_prep.parse.iiif_image import best_image_url, parse_info, requests_for, service_info
from data_prep.parse.nb_no import parse_items
from data_prep.parse.parsed import ParseError
from data_prep.parse.to_records import to_records

S = "https://iiif.example.org/a"
V2 = {"@context": "http://iiif.io/api/image/2/context.json", "@id": S, "width": 4000, "height": 3000}
V3 = {
    "@context": "http://iiif.io/api/image/3/context.json",
    "id": S,
    "type": "ImageService3",
    "width": 4000,
    "height": 3000,
}
SIZES = [{"width": 500, "height": 375}, {"width": 2000, "height": 1500}]
LEVEL2 = "http://iiif.io/api/image/2/level2.json"


@pytest.mark.parametrize(
    ("info", "first"),
    [
        (V2 | {"profile": [LEVEL2]}, "full/!1024,1024/0/default.jpg"),
        (V2 | {"profile": "http://iiif.io/api/image/2/level1.json"}, "full/1024,/0/default.jpg"),
        (V2 | {"profile": LEVEL2, "width": 800, "height": 600}, "full/full/0/default.jpg"),
        (V3 | {"profile": "level2"}, "full/!1024,1024/0/default.jpg"),
        (V3 | {"profile": "level2", "width": 800, "height": 600}, "full/max/0/default.jpg"),
        # 4000 x 3000 at most 600 wide: 600 x 450
        (V3 | {"profile": "level2", "maxWidth": 600}, "full/!600,600/0/default.jpg"),
        # area 120,000 px: scale sqrt(120,000 / 12,000,000) = 0.1, so 400 x 300
        (V3 | {"profile": "level1", "maxArea": 120_000}, "full/400,/0/default.jpg"),
        # a listed size between one and two times the wanted one lies ready
        (V3 | {"profile": "level2", "sizes": [{"width": 1200, "height": 900}]}, "full/1200,900/0/default.jpg"),
        (V3 | {"profile": "level2", "sizes": [{"width": 3000, "height": 2250}]}, "full/!1024,1024/0/default.jpg"),
        # level 0: the smallest listed size that is large enough, else the largest
        (
            V2 | {"profile": "http://iiif.io/api/image/2/level0.json", "sizes": SIZES},
            "full/2000,/0/default.jpg",
        ),
        (V3 | {"profile": "level0", "sizes": [{"width": 500, "height": 375}]}, "full/500,375/0/default.jpg"),
        (V3 | {"profile": "level0"}, "full/max/0/default.jpg"),
        (
            V2 | {"@context": "http://library.stanford.edu/iiif/image-api/1.1/context.json",
             "profile": "http://library.stanford.edu/iiif/image-api/1.1/compliance.html#level1"},
            "full/1024,/0/native.jpg",
        ),
    ],
)  # fmt: skip
def test_picture_is_asked_for_at_the_size_that_is_needed(info, first):
    assert best_image_url(parse_info(info)) == f"{S}/{first}"


def test_full_size_is_asked_for_last_and_nothing_is_scaled_up():
    requests = requests_for(parse_info(V2 | {"profile": LEVEL2}), want_px=512)
    assert [each.url.split("/full/")[1] for each in requests] == [
        "!512,512/0/default.jpg", "512,/0/default.jpg", "full/0/default.jpg",
    ]  # fmt: skip
    assert (requests[0].width, requests[0].height) == (512, 384)
    small = requests_for(parse_info(V3 | {"profile": "level2", "width": 300, "height": 200}), want_px=512)
    assert all("^" not in each.url and "512" not in each.url for each in small)


def test_service_block_of_a_manifest_is_enough():
    info = service_info({"@id": S, "profile": LEVEL2}, width=2000, height=3000)
    assert best_image_url(info, want_px=1000) == f"{S}/full/!1000,1000/0/default.jpg"
    unknown = service_info({"id": S})
    assert [each.url.split("/full/")[1].split("/")[0] for each in requests_for(unknown)] == [
        "!1024,1024",
        "1024,",
        "max",
    ]


PDM = "https://creativecommons.org/publicdomain/mark/1.0/"


def canvas(number: int, **more) -> dict:
    resource = {"@id": f"{S}/{number}/full/full/0/default.jpg", "@type": "dctypes:Image", "width": 100, "height": 80}
    return {"@id": f"{S}/canvas/{number}", "label": str(number), "images": [{"resource": resource}]} | more


# Shape of a manifest of the National Library of Scotland (data_prep notes, 1.9)
NLS = {
    "@context": "http://iiif.io/api/presentation/2/context.json",
    "@id": "https://view.nls.uk/manifest/1192/6838/119268387/manifest.json",
    "@type": "sc:Manifest",
    "attribution": f'National Library of Scotland<br/>License: <a target="_top" href="{PDM}">Public domain</a>',
    "label": "Introduction to the art of thinking",
    "metadata": [
        {"label": "Title", "value": "Introduction to the art of thinking"},
        {"label": "Description", "value": "Enlarged with additional maxims and illustrations. By Henry Home."},
        {"label": "shelfmark", "value": "ABS.1.80.66"},
        {"label": "Subject/content", "value": "Maxims"},
        {"label": "Subject/content", "value": "Fables"},
        {"label": "", "value": "<a href='https://digital.nls.uk/119268387'>View in our digital gallery</a>"},
        {"label": "Full conditions of use", "value": f'<a href="{PDM}">Public domain</a>: free.'},
    ],
    "sequences": [{"canvases": [canvas(1), canvas(2, label="A lion before a tower")]}],
}  # fmt: skip


def test_rights_are_found_in_html_anchors_and_repeated_labels_are_kept():
    parsed = parse_manifest(NLS)
    assert {(each.uri, each.place) for each in parsed.rights} == {
        ("http://creativecommons.org/publicdomain/mark/1.0/", "manifest")
    }
    assert parsed.subjects == ("Maxims", "Fables")
    assert [text.text for text in parsed.titles] == ["Introduction to the art of thinking"]


def test_one_record_per_canvas_with_captions_of_page_and_object():
    first, second = to_records(
        parse_manifest(NLS), source="nls", institution="National Library of Scotland", language="en"
    )
    assert first.id == NLS["@id"]
    assert second.id == f"{NLS['@id']}#2"
    assert (first.captions[0].text, first.captions[0].level) == ("Introduction to the art of thinking", "object")
    assert (second.captions[0].text, second.captions[0].level, second.captions[0].lang) == (
        "A lion before a tower",
        "page",
        "en",
    )
    assert second.iiif_service == f"{S}/2"
    assert second.canvas == f"{S}/canvas/2"


def test_hybrids_and_choices_are_read():
    body = {"type": "Choice", "items": [{"id": f"{S}/1.jpg", "type": "Image"}, {"id": f"{S}/2.jpg", "type": "Image"}]}
    page = {"type": "AnnotationPage", "items": [{"type": "Annotation", "motivation": "painting", "body": body}]}
    sound = {"motivation": "painting", "body": {"id": "https://x/a.mp3", "type": "Sound"}}
    hybrid = {"@context": "http://iiif.io/api/presentation/3/context.json", "id": "https://x/m", "type": "Manifest",
              "label": "plain", "license": ["https://creativecommons.org/licenses/by/4.0/"],
              "items": [{"type": "Canvas", "id": "c", "items": [page]}, {"type": "Canvas", "id": "s", "items": [
                  {"items": [sound]}]}]}  # fmt: skip
    parsed = parse_manifest(hybrid)
    assert [view.url for view in parsed.views] == [f"{S}/1.jpg"]
    assert parsed.rights[0].uri == "http://creativecommons.org/licenses/by/4.0/"


def test_number_of_a_view_is_the_canvas_it_stands_on():
    silent = {"@id": f"{S}/canvas/1", "images": []}
    parsed = parse_manifest(
        {"@type": "sc:Manifest", "@id": "https://x/m", "sequences": [{"canvases": [silent, canvas(2)]}]}
    )
    assert [view.number for view in parsed.views] == [2]


def test_rights_of_the_canvas_override_the_manifest():
    manifest = NLS | {"license": "http://rightsstatements.org/vocab/InC/1.0/", "attribution": "", "metadata": []}
    manifest["sequences"] = [
        {"canvases": [canvas(1, license="http://creativecommons.org/publicdomain/zero/1.0/"), canvas(2)]}
    ]
    first, second = to_records(parse_manifest(manifest), source="s", institution="i")
    assert [each.uri for each in first.rights] == ["http://creativecommons.org/publicdomain/zero/1.0/"]
    assert [each.uri for each in second.rights] == ["http://rightsstatements.org/vocab/InC/1.0/"]
    assert first.rights[0].asserted_by == "i, license of the canvas"


def test_collection_lists_members_of_every_kind_once():
    collection = parse_collection({
        "@type": "sc:Collection", "@id": "https://x/c", "label": "All",
        "manifests": [{"@id": "https://gallica.bnf.fr/iiif/ark:/12148/btv1b1/manifest.json", "label": "M"}],
        "collections": [{"@id": "https://x/d"}],
        "members": ["https://x/d", {"@id": "https://x/e", "@type": "sc:Manifest"}],
        "next": "https://x/c?page=2", "total": 240,
    })  # fmt: skip
    assert [(link.kind, link.url) for link in collection.links] == [
        ("manifest", "https://openapi.bnf.fr/iiif/presentation/v3/ark:/12148/btv1b1/manifest.json"),
        ("collection", "https://x/d"),
        ("manifest", "https://x/e"),
    ]
    assert (collection.next_page, collection.total) == ("https://x/c?page=2", 240)


def test_search_answer_of_the_bodleian_leads_to_manifests():
    found = parse_collection({"member": [{"type": "Object", "id": "https://digital.bodleian.ox.ac.uk/objects/1/",
        "manifest": {"id": "https://iiif.bodleian.ox.ac.uk/iiif/manifest/1.json"},
        "displayFields": {"title": ["<em>Divine</em> Comedy."]}}]})  # fmt: skip
    assert (found.links[0].url, found.links[0].titles[0].text) == (
        "https://iiif.bodleian.ox.ac.uk/iiif/manifest/1.json",
        "Divine Comedy.",
    )


def test_change_stream_is_read_backwards_with_deletions():
    stream = parse_changes(
        {"type": "OrderedCollection", "totalItems": 21, "last": {"id": "https://x/p2", "type": "OrderedCollectionPage"}}
    )
    assert (stream.last, stream.total) == ("https://x/p2", 21)
    page = parse_changes({"type": "OrderedCollectionPage", "prev": {"id": "https://x/p1"}, "orderedItems": [
        {"type": "Delete", "object": {"id": "https://x/m1", "type": "Manifest"}, "endTime": "2026-01-01T00:00:00Z"},
        {"type": "Update", "object": "https://x/m2", "endTime": "2026-01-02T00:00:00Z"}]})  # fmt: skip
    assert page.previous == "https://x/p1"
    assert [(each.kind, each.url) for each in page.activities] == [
        ("delete", "https://x/m1"),
        ("update", "https://x/m2"),
    ]
    with pytest.raises(ParseError):
        parse_changes({"type": "Manifest"})


def test_annotations_have_box_and_text_in_all_their_forms():
    page = parse_annotations({"type": "AnnotationPage", "items": [
        {"motivation": "supplementing", "body": {"value": "mot"}, "target": "https://x/c1#xywh=1,2,3,4"},
        {"motivation": ["tagging"], "body": [{"value": "tag"}], "target": {"source": {"id": "https://x/c2"},
            "selector": {"type": "FragmentSelector", "value": "xywh=pixel:5,6,7,8"}}}]})  # fmt: skip
    first, second = page.annotations
    assert (first.canvas, first.box, first.texts[0].text) == ("https://x/c1", (1, 2, 3, 4), "mot")
    assert (second.canvas, second.box, second.motivations) == ("https://x/c2", (5, 6, 7, 8), ("tagging",))


# Shape of the National Library of Norway's API (data_prep notes, 1.7)
NB_IMAGE = "https://www.nb.no/services/image/resolver/URN:NBN:no-nb_digifoto_1"
NB = {"_links": {"next": {"href": "https://api.nb.no/catalog/v1/items?page=1"}}, "page": {"totalElements": 240},
      "_embedded": {"items": [{"id": "41259a", "metadata": {
          "title": "Huset til Alfred", "creators": ["Kirkhorn, Ole (1870-1940)"],
          "originInfo": {"issued": "1906"},
          "identifiers": {"urn": "URN:NBN:no-nb_digifoto_1"}},
        "accessInfo": {"isPublicDomain": True, "accessAllowedFrom": "EVERYWHERE"},
        "_links": {"thumbnail_custom": {
            "href": f"{NB_IMAGE}/full/{{width}},{{height}}/0/native.jpg", "templated": True},
                   "presentation": {"href": "https://api.nb.no/catalog/v1/iiif/URN/manifest"}}}]}}  # fmt: skip


def test_items_of_norway_have_picture_rights_and_next_page():
    page = parse_items(NB)
    (parsed,) = page.records
    assert (page.total, page.next_page) == (240, "https://api.nb.no/catalog/v1/items?page=1")
    assert (parsed.id, parsed.titles[0].text, parsed.creators[0].name) == (
        "URN:NBN:no-nb_digifoto_1",
        "Huset til Alfred",
        "Kirkhorn, Ole",
    )
    assert parsed.views[0].iiif_service == NB_IMAGE
    assert to_records(parsed, source="nb")[0].rights[0].raw == "public domain; accessAllowedFrom EVERYWHERE"


def test_items_of_norway_nest_deeper_in_a_search_over_all_media():
    deeper = {"_embedded": {"mediaTypeResults": [{"result": {"_embedded": NB["_embedded"]}}]}}
    assert [each.id for each in parse_items(deeper).records] == ["URN:NBN:no-nb_digifoto_1"]
    with pytest.raises(ParseError, match="404 Not Found"):
        parse_items({"status": 404, "message": "Not Found"})


def test_what_norway_shows_only_at_home_is_restricted():
    item = {
        "id": "1",
        "metadata": {"title": "x"},
        "accessInfo": {"isPublicDomain": False, "accessAllowedFrom": "NORWAY"},
    }
    record = to_records(parse_items(item).records[0], source="nb")[0]
    assert record.rights_class == "restricted"


ALTO = """<alto xmlns="http://www.loc.gov/standards/alto/ns-v3#"><Description><MeasurementUnit>pixel</MeasurementUnit></Description>
<Layout><Page ID="P1" WIDTH="1000" HEIGHT="2000" PHYSICAL_IMG_NR="7"><PrintSpace>
<Illustration ID="I1" HPOS="100" VPOS="200" WIDTH="800" HEIGHT="1000"/>
<Illustration ID="rule" HPOS="0" VPOS="10" WIDTH="1000" HEIGHT="20"/>
<TextBlock ID="T1" HPOS="100" VPOS="1220" WIDTH="800" HEIGHT="50" LANG="fr">
<TextLine HPOS="100" VPOS="1220" WIDTH="800" HEIGHT="50">
<String CONTENT="Un"/><String CONTENT="lion"/></TextLine></TextBlock></PrintSpace></Page></Layout></alto>"""


def test_alto_gives_illustrations_with_the_caption_below():
    (page,) = parse_alto(ALTO.encode())
    (box,) = page.illustrations  # the rule is 50 times as wide as high
    assert (box.id, box.caption) == ("I1", "Un lion")
    assert box.shares == (0.1, 0.1, 0.8, 0.5)
    # 800 x 1000 of 1000 x 2000 is 40 % of the page, text lines 800 x 50 are 2 %
    assert (page.illustration_share, page.text_density) == pytest.approx((0.4, 0.02))
    assert (page.num_words, page.number) == (2, 7)
    assert page.role == "picture"


@pytest.mark.real
def test_alto_of_a_real_page_has_its_illustration(shared_data):
    (path,) = (shared_data / "responses" / "alto").glob("*X00000020.xml")
    (page,) = parse_alto(path.read_bytes())
    assert (page.width, page.height, page.number, page.language) == (3791, 5233, 20, "fr")
    assert (129, 350, 966, 2078) in [(box.x, box.y, box.width, box.height) for box in page.illustrations]


def test_kind_of_an_answer_is_told_from_its_content():
    import json

    kinds = [
        (NLS, "iiif_manifest"),
        (V3 | {"profile": "level2"}, "iiif_info"),
        (NB, "nb_no"),
        ({"@type": "sc:Collection"}, "iiif_collection"),
    ]
    assert [parse_answer(json.dumps(value).encode()).kind for value, _ in kinds] == [kind for _, kind in kinds]
