"""Real METS and ALTO of Berlin, Göttingen, Dresden and Paris, with drawn pictures in the place of theirs."""

import io
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from servers.http import Request, Response
from servers.mets import Page, write_mets
from servers.pages import draw_page, encode
from servers.runs import played

from data_prep.config import PrepConfig
from data_prep.parse.alto import parse_alto
from data_prep.parse.mets import parse_mets
from data_prep.parse.parsed import Parsed
from data_prep.parse.xml import descendants, parse_xml
from data_prep.pipeline import run_prep
from data_prep.sources.mets_alto import CropsRule
from iconoclip.errors import IconoclipError
from iconoclip.records import Record
from iconoclip.shards import open_shards, splits

pytestmark = pytest.mark.real

RED, GREEN = (190, 40, 40), (40, 150, 70)
CC0 = {"text": {"value": "CC0 1.0", "asserted_by": "library", "source_url": "https://library.example/terms"}}
PDM = {
    "value": "http://creativecommons.org/publicdomain/mark/1.0/",
    "asserted_by": "l",
    "source_url": "https://l.example",
}


@pytest.fixture(scope="module")
def responses(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue("shared_data") / "responses"


def find(folder: Path, part: str) -> Path:
    (path,) = [path for path in folder.iterdir() if part in path.name]
    return path


def read_mets(folder: Path, part: str, **options: Any) -> Parsed:
    root = parse_xml(find(folder / "mets_mods", part).read_bytes()).root
    return parse_mets(next(descendants(root, "mets")), **options)


def configure(out: Path, *, root: Path = Path(), **source: Any) -> PrepConfig:
    collection = {"kind": "mets_alto", "institution": "Bibliothek", "language": "de", "rights": CC0}
    return PrepConfig.model_validate(
        {
            "verb": "prep", "name": "set", "out": out, "root": root, "workers": 1,
            "fetch": {"contact": "curator@library.example", "default": {"requests_per_s": None}},
            "split": {"val": 0, "test": 0, "allow_one_sided": ["library", "de", "fr"]}, "image": {"max_px": 64},
            "collections": {"library": collection | source},
        }
    )  # fmt: skip


def samples(out: Path) -> dict[str, tuple[Record, Image.Image]]:
    found = {}
    for split in splits(out):
        shards = open_shards(out, split)
        for number, record in enumerate(shards.records()):
            found[record.id] = record, Image.open(io.BytesIO(shards.image_bytes(number))).convert("RGB")
    return found


def test_pages_of_real_books_have_their_roles_and_files(responses: Path) -> None:
    song = read_mets(responses, "PPN773555676")
    assert [(view.number, view.role, view.path) for view in song.views] == [
        (1, "binding", "DEFAULT/FILE_0001_DEFAULT.jpg"), (4, "", "DEFAULT/FILE_0004_DEFAULT.jpg"),
        (6, "", "DEFAULT/FILE_0006_DEFAULT.jpg"), (9, "", "DEFAULT/FILE_0009_DEFAULT.jpg"),
    ]  # fmt: skip
    # Pages 3 to 7 are the first song, 7 to 10 the second; each has a description of its own
    assert [[(text.text, text.level) for text in view.texts] for view in song.views] == [
        [],
        [("Wjllkommen/ König Friederich: Jn Jesu namen grüssen dich", "object")],
        [("Wjllkommen/ König Friederich: Jn Jesu namen grüssen dich", "object")],
        [("Das Ander Lied.", "object")],
    ]
    large = read_mets(responses, "PPN773555676", groups=["MAX"])
    assert large.views[0].path == "MAX/FILE_0001_MAX.tif"

    goettingen = read_mets(responses, "PPN595930174")
    assert Counter(view.role for view in goettingen.views) == {"": 304, "Figure": 25, "TitlePage": 4}
    assert not any(view.layout for view in goettingen.views), "GDZOCR is no ALTO"
    assert read_mets(responses, "PPN595930174", groups=["MAX"]).views[0].url.endswith("/1000/0/00000001.jpg")

    newspaper = read_mets(responses, "27443577_1847-12-15")
    assert {view.canvas for view in newspaper.views} == {""}, 'not "NULL"'
    assert len(read_mets(responses, "PPN1727545451").links) == 77, "the volumes of a periodical"


def test_pages_know_their_alto(responses: Path) -> None:
    dresden = read_mets(responses, "test_mets_nodiv", groups=["ORIGINAL"])
    place = "https://digital.slub-dresden.de/data/kitodo/BurgAbha_1852685697/BurgAbha_1852685697"
    assert len(dresden.views) == sum(bool(view.layout) for view in dresden.views) == 56
    assert (dresden.views[4].url, dresden.views[4].layout) == (
        f"{place}_tif/jpegs/00000005.tif.original.jpg", f"{place}_ocr/00000005.xml",
    )  # fmt: skip
    kant = read_mets(responses, "kant_aufklaerung_1784-complex")
    assert [view.layout for view in kant.views] == [
        "OCR-D-GT-ALTO/PAGE_0017_ALTO.xml",
        "OCR-D-GT-ALTO/PAGE_0020_ALTO.xml",
    ]


# Read in the files: (box, x, y, width, height) in pixels, and the size of the page
VOGUE: dict[str, tuple[tuple[int, int], list[tuple[str, int, int, int, int]]]] = {
    "X00000019": ((3791, 5221), [("PAG_00000019_IL000001", 433, 290, 3079, 2052)]),  # and two stamps of the library
    "X00000020": ((3791, 5233), [("PAG_00000020_IL000001", 129, 350, 966, 2078),
                                 ("PAG_00000020_IL000002", 1129, 1011, 1328, 2189),
                                 ("PAG_00000020_IL000003", 1738, 3202, 1806, 1719)]),
    "X00000021": ((3791, 5212), [("PAG_00000021_IL000001", 1192, 255, 1412, 2777)]),
}  # fmt: skip


def test_plates_of_vogue_are_cut_out_with_their_captions(responses: Path, tmp_path: Path) -> None:
    """BnF's ALTO of three pages of 1920 beside pages drawn at a quarter of the size."""
    root = tmp_path / "vogue"
    root.mkdir()
    for name, ((width, height), boxes) in VOGUE.items():
        parts = {(x // 4, y // 4, w // 4, h // 4): RED for _, x, y, w, h in boxes}
        (root / f"{name}.jpg").write_bytes(encode(draw_page((width // 4, height // 4), parts)))
        shutil.copyfile(find(responses / "alto", name), root / f"{name}.xml")
    pages = [Page({"DEFAULT": f"{name}.jpg", "FULLTEXT": f"{name}.xml"}) for name in VOGUE]
    (root / "mets.xml").write_bytes(write_mets("vogue", pages, title="Vogue"))
    run_prep(configure(tmp_path / "out", root=root, files="mets.xml", crops={}))
    found = samples(tmp_path / "out")
    wanted = {f"vogue#{n}-{box[0]}": box for n, (_, boxes) in enumerate(VOGUE.values(), 1) for box in boxes}
    assert set(found) == set(wanted)
    for name, (record, image) in found.items():
        low, high = zip(*image.crop((4, 4, image.width - 4, image.height - 4)).getextrema(), strict=True)
        assert all(abs(a - part) < 24 and abs(b - part) < 24 for a, b, part in zip(low, high, RED, strict=True)), name
        assert abs((record.orig_width or 0) - wanted[name][3] // 4) <= 2, name
    captions = {name.rpartition("_")[0][-2:] + name[-1]: record.captions[0] for name, (record, _) in found.items()}
    # The text below the first picture begins with an initial and breaks off in a hyphen: the article, no caption
    assert (captions["191"].text, captions["191"].source) == ("Vogue", "mods:titleInfo")
    assert captions["201"].text.startswith("Rien n'est plus à la mode, cette saison, que les fleurs.")
    assert (captions["201"].lang, captions["201"].level) == ("fr", "page")
    assert captions["211"].text == "L A VOGUE DE LA DENTELLE"


def test_edges_and_text_that_dresden_s_ocr_calls_illustrations_are_none(responses: Path) -> None:
    boxes = {}
    for path in (responses / "alto").iterdir():
        if "FULLTEXT__uuid" in path.name:
            (page,) = parse_alto(path.read_bytes())
            boxes[path.stem[-12:]] = [name for name, _ in CropsRule().boxes(page)]
    # 263c...: an edge of 205 x 2,356 px; 5e6e...: a "picture" over 86 % of a page of 205 words; bea1...: the title page
    assert {name: found for name, found in boxes.items() if found} == {"8a85e99a1a71": ["Page1_Block4"]}


def test_vignette_of_a_title_page_in_dresden(responses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Burgsdorf's book on felling trees (Ulm 1801): real METS and ALTO from their addresses, plain files, cut here."""
    host = "digital.slub-dresden.de"
    title_page = find(responses / "alto", "bea1c083").read_bytes()
    text_page = find(responses / "alto", "3eb9fb08").read_bytes()
    picture = encode(draw_page((1600, 2486), {(193, 1605, 975, 380): GREEN}))
    asked: list[str] = []

    def answer(request: Request) -> Response:
        if request.path.startswith("/oai"):
            return Response(
                body=find(responses / "mets_mods", "test_mets_nodiv").read_bytes(), headers={"Content-Type": "text/xml"}
            )
        if not request.path.startswith("/data/"):
            return Response(404)
        asked.append(request.path.rpartition("BurgAbha_1852685697")[2])
        if request.path.endswith(".xml"):
            return Response(
                body=title_page if "00000005.xml" in request.path else text_page, headers={"Content-Type": "text/xml"}
            )
        return Response(body=picture, headers={"Content-Type": "image/jpeg"})

    with played({host: answer}, tmp_path / "world", monkeypatch) as world:
        summary = run_prep(
            configure(tmp_path / "out", documents=[f"https://{host}/oai?id=1852685697"], groups=["ORIGINAL"], crops={})
        )
        assert world.strays == []
    assert (summary.harvested, summary.kept_for_training) == (1, 1)
    assert [name for name in asked if name.endswith(".jpg")] == ["_tif/jpegs/00000005.tif.original.jpg"]
    assert sum(name.endswith(".xml") for name in asked) == 56
    record, image = samples(tmp_path / "out")["oai:de:slub-dresden:db:id-1852685697#5-Page1_Block4"]
    assert (image.size, record.orig_width, record.orig_height) == ((64, 25), 975, 380)
    assert all(abs(a - b) < 24 for a, b in zip(image.crop((32, 12, 33, 13)).tobytes(), GREEN, strict=True))
    assert [(each.text, each.source, each.lang) for each in record.captions] == [
        ("Ulm, l 8 o l. Im Verlage der Stettinischett Buchhandlung.", "alto", "de"),  # as the OCR read it
        ("Abhandlung vom Umwerfen oder Ausroden der Waldbäume", "mods:titleInfo", "de"),
    ]
    assert record.creator == "Burgsdorf, Friedrich August Ludwig"
    assert record.rights_class == "public_domain"


def test_ocr_d_folder_of_pages_without_pictures_says_so(responses: Path, tmp_path: Path) -> None:
    root = tmp_path / "kant"
    for folder in ("OCR-D-IMG", "OCR-D-GT-ALTO"):
        (root / folder).mkdir(parents=True)
    shutil.copyfile(find(responses / "mets_mods", "kant_aufklaerung_1784-complex"), root / "mets.xml")
    for page in ("0017", "0020"):
        shutil.copyfile(find(responses / "alto", f"PAGE_{page}_ALTO"), root / "OCR-D-GT-ALTO" / f"PAGE_{page}_ALTO.xml")
        (root / "OCR-D-IMG" / f"INPUT_{page}.tif").write_bytes(encode(draw_page((1457, 2083), {}), "TIFF"))
    rights = CC0 | {"image": PDM}
    with pytest.raises(IconoclipError, match="no record is left"):
        run_prep(configure(tmp_path / "crops", root=root, files="mets.xml", rights=rights, crops={}))
    kept = run_prep(configure(tmp_path / "pages", root=root, files="mets.xml", rights=rights), dry_run=True)
    assert kept.harvested == 2


def test_identifiers_of_headings_are_no_subjects(responses: Path) -> None:
    assert read_mets(responses, "multivolume_work-no-structMap").subjects == ("book",)
    copenhagen = read_mets(responses, "05fea810").subjects
    assert "sh85105182" not in copenhagen
    assert "Moltke, Otto Joachim" in copenhagen
