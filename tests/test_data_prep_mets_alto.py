"""METS with ALTO from folders, zips and addresses to the shards: pages by role, illustrations cut out of pages."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from servers.http import Request, Response
from servers.mets import Block, Layout, Page, write_mets
from servers.pages import PageServer, draw_page, encode
from servers.replay import ReplayWorld
from servers.runs import played, read_rejected

from data_prep.config import PrepConfig
from data_prep.pipeline import run_prep
from data_prep.sources import mets_alto
from data_prep.summary import PrepSummary
from iconoclip.errors import ConfigError, IconoclipError
from iconoclip.records import Record
from iconoclip.shards import open_shards, splits

ROOT = Path(__file__).resolve().parents[1]
RED, BLUE, GREEN = (190, 40, 40), (40, 60, 190), (40, 150, 70)
SIZE = (800, 1200)
# Two pictures on a page: 12.5 % and 3.1 % of it
PARTS = {(200, 150, 400, 300): RED, (100, 800, 200, 150): BLUE}
CAPTION = "Ein Löwe vor dem Turm von Wismar"
LABEL = "Der Hafen von Wismar um 1600"
HOST, IMAGES = "content.staatsbibliothek-berlin.de", "iiif.staatsbibliothek-berlin.de"
RIGHTS = {"text": {"value": "CC0 1.0", "asserted_by": "SBB", "source_url": "https://lab.sbb.berlin"}}


def layout(scale: float = 1.0, unit: str = "pixel", **caption: Any) -> Layout:
    """The ALTO of the page with two pictures; a caption below the first of them."""
    blocks = [
        Block("IL1", 200, 150, 400, 300),
        Block("IL2", 100, 800, 200, 150),
        Block("TB1", 220, 462, 360, 30, text=caption.get("text", CAPTION)),
        Block("GE1", 50, 1150, 700, 4, kind="GraphicalElement"),  # a rule
        Block("GE2", 500, 900, 200, 200, kind="GraphicalElement", more='TAGREFS="TAG_stamp"'),
    ]
    for block in blocks:
        block.left, block.top, block.width, block.height = (
            round(value * scale, 2) for value in (block.left, block.top, block.width, block.height)
        )
    return Layout((SIZE[0] * scale, SIZE[1] * scale), blocks, unit)


def pages_of_book(where: str = "") -> list[Page]:
    """Binding, title page, an illustration with a label, a page of text with two pictures."""
    files = [{"DEFAULT": f"{where}DEFAULT/{n}.jpg", "FULLTEXT": f"{where}FULLTEXT/{n}.xml"} for n in range(1, 5)]
    files[0] = {"DEFAULT": f"{where}DEFAULT/1.jpg"}
    return [
        Page(files[0], "binding"),
        Page(files[1], "title_page"),
        Page(files[2], "illustration", LABEL),
        Page(files[3]),
    ]


def book_files() -> dict[str, bytes]:
    """A book as files of a folder: its METS, pictures and ALTO."""
    blank = draw_page(SIZE, {})
    files = {"mets.xml": write_mets("PPN1", pages_of_book(), title="Geschichte der Stadt Wismar")}
    for number, page in enumerate(
        (blank, blank, draw_page(SIZE, {(0, 0, 800, 1200): GREEN}), draw_page(SIZE, PARTS)), 1
    ):
        files[f"DEFAULT/{number}.jpg"] = encode(page)
    files["FULLTEXT/2.xml"] = files["FULLTEXT/3.xml"] = Layout(SIZE, []).write()
    files["FULLTEXT/4.xml"] = layout().write()
    return files


def write_book(folder: Path, **changed: bytes) -> Path:
    for name, data in (book_files() | {name.replace("__", "/"): data for name, data in changed.items()}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def configure(out: Path, *, root: Path = Path(), **source: Any) -> PrepConfig:
    policy = {"requests_per_s": None, "backoff_s": 0.01, "max_backoff_s": 0.02, "max_attempts": 2}
    collection = {"kind": "mets_alto", "institution": "Staatsbibliothek zu Berlin", "language": "de", "rights": RIGHTS}
    return PrepConfig.model_validate(
        {
            "verb": "prep", "name": "set", "out": out, "root": root, "workers": 1,
            "fetch": {"contact": "curator@library.example", "default": policy},
            "split": {"val": 0, "test": 0, "allow_one_sided": ["sbb", "de"]}, "image": {"max_px": 64},
            "collections": {"sbb": collection | source},
        }
    )  # fmt: skip


def prep(out: Path, *, limit: int | None = None, **source: Any) -> PrepSummary:
    return run_prep(configure(out, **source), limit=limit)


def samples(out: Path) -> dict[str, tuple[Record, Image.Image]]:
    found = {}
    for split in splits(out):
        shards = open_shards(out, split)
        for number, record in enumerate(shards.records()):
            found[record.id] = record, Image.open(io.BytesIO(shards.image_bytes(number))).convert("RGB")
    return found


def is_all(image: Image.Image, colour: tuple[int, int, int]) -> bool:
    bands = (band.tobytes() for band in image.split())
    return all(abs(value - part) < 20 for band, part in zip(bands, colour, strict=True) for value in band)


def rejected(out: Path) -> dict[str, str]:
    return {name: f"{reason}: {detail}" for name, (reason, detail) in read_rejected(out).items()}


def test_folder_gives_a_record_per_page_with_its_label(tmp_path: Path) -> None:
    root = write_book(tmp_path / "sbb")
    summary = prep(tmp_path / "out", root=root, files="mets.xml", pages={"skip": "binding|cover"})
    assert (summary.harvested, summary.kept_for_training) == (3, 3)
    found = samples(tmp_path / "out")
    assert set(found) == {"PPN1#2", "PPN1#3", "PPN1#4"}
    record, image = found["PPN1#3"]
    assert [(each.text, each.lang, each.level) for each in record.captions] == [
        (LABEL, "de", "page"),
        ("Geschichte der Stadt Wismar", "de", "object"),
    ]
    assert (record.orig_width, record.orig_height, image.size) == (800, 1200, (43, 64))
    assert (record.image_url, record.rights_class, record.year_min) == ("DEFAULT/3.jpg", "public_domain", 1848)
    assert len({each.work_group for each, _ in found.values()}) == 1


@pytest.mark.parametrize(("rule", "wanted"), [
    ({"role": "illustration|map"}, {"PPN1#3"}), ({"role": "title_page"}, {"PPN1#2"}), ({"most": 2}, {"PPN1", "PPN1#2"}),
])  # fmt: skip
def test_pages_are_chosen_by_their_roles(rule: dict[str, Any], wanted: set[str], tmp_path: Path) -> None:
    root = write_book(tmp_path / "sbb")
    prep(tmp_path / "out", root=root, files="mets.xml", pages=rule)
    assert set(samples(tmp_path / "out")) == wanted


# 300 dpi: 800 px are 677.33 tenths of a millimetre (25.4 / 300 * 10) and 3,200 twelve-hundredths of an inch
@pytest.mark.parametrize(("unit", "scale"), [("pixel", 1.0), ("pixel", 2.5), ("mm10", 254 / 300), ("inch1200", 4.0)])
def test_illustrations_become_records_whatever_the_unit(unit: str, scale: float, tmp_path: Path) -> None:
    root = write_book(tmp_path / "sbb", FULLTEXT__4__xml=b"")
    (root / "FULLTEXT" / "4.xml").write_bytes(layout(scale, unit).write())
    summary = prep(tmp_path / "out", root=root, files="mets.xml", crops={})
    found = samples(tmp_path / "out")
    assert set(found) == {"PPN1#4-IL1", "PPN1#4-IL2"}, "neither the rule nor the stamp"
    large, small = found["PPN1#4-IL1"], found["PPN1#4-IL2"]
    assert is_all(large[1].crop((2, 2, 62, 46)), RED)
    assert is_all(small[1].crop((2, 2, 62, 46)), BLUE)
    assert large[1].size == (64, 48)  # 400 x 300 px
    assert abs((large[0].orig_width or 0) - 400) <= 1
    assert abs((small[0].orig_height or 0) - 150) <= 1
    assert [(each.text, each.lang, each.source, each.level) for each in large[0].captions] == [
        (CAPTION, "de", "alto", "page"),
        ("Geschichte der Stadt Wismar", "de", "mods:titleInfo", "object"),
    ]
    assert [each.text for each in small[0].captions] == ["Geschichte der Stadt Wismar"], "no text below: the object's"
    assert large[0].sha256 != small[0].sha256
    assert (summary.harvested, summary.kept_for_training) == (2, 2)


@pytest.mark.parametrize(("rule", "wanted"), [
    ({"min_share": 0.05}, {"PPN1#4-IL1"}), ({"max_share": 0.05}, {"PPN1#4-IL2"}), ({"min_share": 0.9}, set()),
])  # fmt: skip
def test_crops_are_chosen_by_their_share_of_the_page(rule: dict[str, Any], wanted: set[str], tmp_path: Path) -> None:
    root = write_book(tmp_path / "sbb")
    if wanted:
        prep(tmp_path / "out", root=root, files="mets.xml", crops=rule)
        assert set(samples(tmp_path / "out")) == wanted
    else:
        with pytest.raises(IconoclipError, match="no record is left"):
            prep(tmp_path / "out", root=root, files="mets.xml", crops=rule)


def test_captions_of_crops_can_be_left_out(tmp_path: Path) -> None:
    root = write_book(tmp_path / "sbb")
    prep(tmp_path / "out", root=root, files="mets.xml", crops={"caption": "none"})
    assert {each.captions[0].source for each, _ in samples(tmp_path / "out").values()} == {"mods:titleInfo"}


@pytest.mark.parametrize("text", ["Unten geht der Satz in der nächsten Spalte wei-", "Wort " * 90])
def test_body_text_is_no_caption(text: str, tmp_path: Path) -> None:
    root = write_book(tmp_path / "sbb")
    (root / "FULLTEXT" / "4.xml").write_bytes(layout(text=text).write())
    prep(tmp_path / "out", root=root, files="mets.xml", crops={})
    assert {each.captions[0].source for each, _ in samples(tmp_path / "out").values()} == {"mods:titleInfo"}


def test_exif_of_the_page_is_turned_before_it_is_cut(tmp_path: Path) -> None:
    """ALTO describes the page as people and OCR see it, not as the camera lay."""
    root = write_book(tmp_path / "sbb")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    lying = draw_page(SIZE, PARTS).transpose(Image.Transpose.ROTATE_90)
    lying.save(root / "DEFAULT" / "4.jpg", quality=92, exif=exif)
    prep(tmp_path / "out", root=root, files="mets.xml", crops={})
    found = samples(tmp_path / "out")
    assert is_all(found["PPN1#4-IL1"][1].crop((2, 2, 62, 46)), RED)
    assert (found["PPN1#4-IL1"][0].orig_width, found["PPN1#4-IL1"][0].orig_height) == (400, 300)


def test_file_group_is_taken_as_configured(tmp_path: Path) -> None:
    root = tmp_path / "sbb"
    files = [{"DEFAULT": "small/1.jpg", "MAX": "large/1.jpg"}, {"DEFAULT": "small/2.jpg"}]
    write_book(root)
    for name, size in (("small/1.jpg", (80, 120)), ("small/2.jpg", (80, 120)), ("large/1.jpg", SIZE)):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(encode(draw_page(size, {})))
    (root / "mets.xml").write_bytes(write_mets("PPN9", [Page(each) for each in files]))
    prep(tmp_path / "out", root=root, files="mets.xml")
    assert {each.orig_width for each, _ in samples(tmp_path / "out").values()} == {80}
    prep(tmp_path / "max", root=root, files="mets.xml", groups=["MAX"])
    assert {each.orig_width for each, _ in samples(tmp_path / "max").values()} == {800}
    assert "no picture in the group MAX; it has some in DEFAULT" in rejected(tmp_path / "max")["PPN9#2"]


def test_zip_is_read_without_being_unpacked(tmp_path: Path) -> None:
    root = tmp_path / "foundry"
    root.mkdir()
    with zipfile.ZipFile(root / "nls.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in book_files().items():
            archive.writestr(f"data/PPN1/{name}", data)
    summary = prep(tmp_path / "out", root=root, files="nls.zip", crops={})
    assert summary.kept_for_training == 2
    assert is_all(samples(tmp_path / "out")["PPN1#4-IL2"][1].crop((2, 2, 62, 46)), BLUE)
    assert sorted(path.name for path in root.iterdir()) == ["nls.zip"]
    # Pages too, and what is missing in the zip has its reason
    with zipfile.ZipFile(root / "nls.zip", "a") as archive:
        archive.writestr("more/mets.xml", write_mets("PPN2", [Page({"DEFAULT": "gone.jpg"})]))
    prep(tmp_path / "pages", root=root, files="*.zip", pages={"role": "illustration|^$"})
    assert set(samples(tmp_path / "pages")) == {"PPN1#3", "PPN1#4"}
    assert "no such member" in rejected(tmp_path / "pages")["PPN2"]


def test_folder_of_mets_and_alto_counts_what_is_wrong(tmp_path: Path) -> None:
    root = write_book(tmp_path / "sbb")
    (root / "other").mkdir()
    (root / "other" / "mets.xml").write_bytes(
        write_mets(
            "PPN3",
            [Page({"DEFAULT": "1.jpg", "FULLTEXT": "gone.xml"}), Page({"DEFAULT": "1.jpg", "FULLTEXT": "bad.xml"})],
        )
    )
    (root / "other" / "bad.xml").write_bytes(b"<html><title>Wartung</title></html>")
    (root / "other" / "page.xml").write_bytes(b'<PcGts xmlns="http://x"><Page/></PcGts>')
    (root / "half.xml").write_bytes(write_mets("PPN4", pages_of_book())[:-300])
    (root / "list.xml").write_bytes(b"<list><item/></list>")
    summary = prep(tmp_path / "out", root=root, files=".", crops={})
    assert summary.kept_for_training == 2
    reasons = rejected(tmp_path / "out")
    assert "gone.xml: No such file" in reasons["PPN3"]
    assert "html_page: Wartung" in reasons["PPN3#2"]
    assert "the end of the document is missing" in reasons["half.xml"]
    assert "no <mets> in it" in reasons["list.xml"]
    assert "html_page" in reasons["other/bad.xml"]
    assert summary.harvested == 2 + len(reasons) == 7


def test_example_configuration_runs_on_a_folder(tmp_path: Path) -> None:
    write_book(tmp_path / "sbb" / "PPN1")
    given = PrepConfig.load(ROOT / "configs/prep/mets_alto.yaml").to_json()
    split = {"val": 0, "test": 0, "allow_one_sided": ["illustrations", "de"]}
    given |= {"out": tmp_path / "out", "root": tmp_path / "sbb", "workers": 1, "split": split}
    summary = run_prep(PrepConfig.model_validate(given))
    assert (summary.harvested, summary.kept_for_training) == (2, 2)
    found = samples(tmp_path / "out")
    assert [record.captions[0].text for _, (record, _) in sorted(found.items())] == [
        CAPTION,
        "Geschichte der Stadt Wismar",
    ]


def test_alto_outside_the_root_is_not_read(tmp_path: Path) -> None:
    root = write_book(tmp_path / "sbb")
    (tmp_path / "secret.xml").write_bytes(layout().write())
    (root / "FULLTEXT" / "4.xml").unlink()
    (root / "FULLTEXT" / "4.xml").symlink_to(tmp_path / "secret.xml")
    with pytest.raises(IconoclipError, match="no record is left"):
        prep(tmp_path / "out", root=root, files="mets.xml", crops={})


def test_two_files_about_one_object_are_both_counted(tmp_path: Path) -> None:
    root = write_book(tmp_path / "sbb")
    write_book(root / "copy")
    summary = prep(tmp_path / "out", root=root, files="**/mets.xml", crops={})
    assert (summary.harvested, summary.kept_for_training) == (4, 2)
    assert summary.rejected == {"id_duplicate": 2}


def test_local_run_goes_on_and_says_when_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_book(tmp_path / "sbb")
    whole = tmp_path / "whole"
    prep(whole, root=root, files="mets.xml", crops={})
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("data_prep.pipeline.write_card", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prep(out, root=root, files="mets.xml", crops={})
    prep(out, root=root, files="mets.xml", crops={})
    assert [(p.name, p.read_bytes()) for p in out.rglob("*.tar")] == [
        (p.name, p.read_bytes()) for p in whole.rglob("*.tar")
    ]
    assert any("nothing to do" in note for note in prep(out, root=root, files="mets.xml", crops={}).notes)


# --- from addresses


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Library"]:
    library = Library()
    with played({HOST: library, IMAGES: library.images}, tmp_path / "world", monkeypatch) as world:
        library.world = world
        yield library


class Library:
    """Berlin: METS at ``/dc/{id}.mets.xml``, ALTO at ``/fulltext/{id}/{n}.xml``, pictures on the image host."""

    world: ReplayWorld

    def __init__(self) -> None:
        pages = {f"PPN{n}-{p}": draw_page(SIZE, PARTS if p == 4 else {}) for n in (1, 2, 3) for p in range(1, 5)}
        self.images = PageServer(pages, prefix="/dc/")
        self.missing: set[str] = set()
        self.down_after: int | None = None
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Response:
        if not request.path.startswith(("/dc/", "/fulltext/")):
            return Response(404)
        self.asked.append(request.path)
        if request.path in self.missing or (self.down_after is not None and len(self.asked) > self.down_after):
            return Response(404 if request.path in self.missing else 401)
        name = request.path.rpartition("/")[2]
        if request.path.startswith("/fulltext/"):
            body = layout().write() if name == "4.xml" else Layout(SIZE, []).write()
        elif name == "PPN0.mets.xml":
            body = write_mets(
                "PPN0", [], title="Alle Bände", volumes=[f"https://{HOST}/dc/PPN{n}.mets.xml" for n in (1, 2)]
            )
        else:
            body = self.mets(name.removesuffix(".mets.xml"))
        return Response(body=body, headers={"Content-Type": "application/xml"})

    def mets(self, name: str) -> bytes:
        pages = [
            Page(
                {
                    "DEFAULT": f"https://{IMAGES}/dc/{name}-{n}/full/max/0/default.jpg",
                    "FULLTEXT": f"https://{HOST}/fulltext/{name}/{n}.xml",
                }
            )
            for n in range(1, 5)
        ]
        pages[2].role, pages[2].label = "illustration", LABEL
        return write_mets(name, pages, title=f"Geschichte der Stadt Wismar, Band {name}")


TEMPLATE = f"https://{HOST}/dc/{{id}}.mets.xml"


def test_addresses_are_asked_for_and_illustrations_cut_by_the_server(library: Library, tmp_path: Path) -> None:
    summary = prep(tmp_path / "out", documents=["PPN1", "PPN2"], template=TEMPLATE, crops={})
    assert (summary.harvested, summary.kept_for_training) == (4, 4)
    found = samples(tmp_path / "out")
    assert set(found) == {f"PPN{n}#4-{box}" for n in (1, 2) for box in ("IL1", "IL2")}
    assert is_all(found["PPN2#4-IL1"][1].crop((2, 2, 62, 46)), RED)
    assert found["PPN1#4-IL1"][0].captions[0].text == CAPTION
    cut = sorted(name for name in library.images.asked if "," in name)
    assert cut == sorted(
        f"PPN{n}-4/{region}/!64,64/0/default.jpg" for n in (1, 2) for region in ("200,150,400,300", "100,800,200,150")
    )
    assert sum(name.endswith("info.json") for name in library.images.asked) == 2, "once a page"
    assert len(library.asked) == 2 * (1 + 4), "each METS with the ALTO of its four pages"
    assert library.world.strays == []


def test_alto_is_asked_for_wanted_pages_only_and_not_without_crops(library: Library, tmp_path: Path) -> None:
    prep(tmp_path / "pages", documents=["PPN1"], template=TEMPLATE, pages={"role": "illustration"})
    assert library.asked == ["/dc/PPN1.mets.xml"]
    record, _ = samples(tmp_path / "pages")["PPN1#3"]
    assert (record.iiif_service, record.captions[0].text) == (f"https://{IMAGES}/dc/PPN1-3", LABEL)
    with pytest.raises(IconoclipError, match="no record is left"):
        prep(tmp_path / "out", documents=["PPN1"], template=TEMPLATE, pages={"role": "illustration"}, crops={})
    assert library.asked[1:] == ["/dc/PPN1.mets.xml", "/fulltext/PPN1/3.xml"]


def test_page_can_be_cut_here_where_a_server_gives_no_parts(library: Library, tmp_path: Path) -> None:
    library.images.level = 1
    prep(tmp_path / "out", documents=["PPN1"], template=TEMPLATE, crops={"cut": "here"})
    found = samples(tmp_path / "out")
    assert is_all(found["PPN1#4-IL1"][1].crop((4, 4, 60, 44)), RED)
    assert is_all(found["PPN1#4-IL2"][1].crop((4, 4, 60, 44)), BLUE)
    assert [name for name in library.images.asked if "full/" in name] == ["PPN1-4/full/,453/0/default.jpg"], (
        "one page for both, at 64 px / sqrt(2 %) = 453 px"
    )


def test_static_service_gives_a_reason(library: Library, tmp_path: Path) -> None:
    library.images.level = 0
    with pytest.raises(IconoclipError, match="no record is left"):
        prep(tmp_path / "out", documents=["PPN1"], template=TEMPLATE, crops={})


def test_volumes_of_a_work_are_followed(library: Library, tmp_path: Path) -> None:
    summary = prep(tmp_path / "out", documents=[f"https://{HOST}/dc/PPN0.mets.xml"], crops={})
    assert set(samples(tmp_path / "out")) == {f"PPN{n}#4-{box}" for n in (1, 2) for box in ("IL1", "IL2")}
    assert summary.rejected == {"image_missing": 1}, "the work itself has no picture"
    asked = len(library.asked)
    with pytest.raises(IconoclipError, match="no record is left"):
        prep(tmp_path / "alone", documents=[f"https://{HOST}/dc/PPN0.mets.xml"], crops={}, volumes=False)
    assert len(library.asked) == asked + 1


def test_list_of_identifiers_is_read_from_a_file(library: Library, tmp_path: Path) -> None:
    (tmp_path / "ppn.txt").write_text("\ufeff# ours\nPPN1\n\nPPN2 # the second\n", encoding="utf-8")
    source = {"documents": "ppn.txt", "template": TEMPLATE, "pages": {"role": "illustration"}, "root": tmp_path}
    assert prep(tmp_path / "out", **source).harvested == 2
    asked = len(library.asked)
    (tmp_path / "ppn.txt").write_text("PPN1\nPPN2\nPPN3\n", encoding="utf-8")
    assert prep(tmp_path / "out", **source).harvested == 3
    assert library.asked[asked:] == ["/dc/PPN3.mets.xml"], "what is known is not asked for again"


def test_documents_and_alto_that_fail_are_counted(library: Library, tmp_path: Path) -> None:
    library.missing = {"/dc/PPN2.mets.xml", "/fulltext/PPN3/2.xml"}
    summary = prep(tmp_path / "out", documents=["PPN1", "PPN2", "PPN3"], template=TEMPLATE, crops={})
    assert (summary.harvested, summary.kept_for_training) == (6, 4)
    reasons = rejected(tmp_path / "out")
    assert reasons[f"https://{HOST}/dc/PPN2.mets.xml"].startswith("fetch_failed: http_404")
    assert "the layout of page 2" in reasons["PPN3#2"]
    assert "http_404" in reasons["PPN3#2"]


def test_interrupted_harvest_goes_on_where_it_was(library: Library, tmp_path: Path) -> None:
    source = {"documents": ["PPN1", "PPN2", "PPN3"], "template": TEMPLATE, "crops": {}}
    library.down_after = 7
    with pytest.raises(IconoclipError, match="what came so far is kept"):
        prep(tmp_path / "out", **source)
    library.down_after = None
    before = set(library.asked[:7])
    asked = len(library.asked)
    assert prep(tmp_path / "out", **source).kept_for_training == 6
    assert not before & set(library.asked[asked:]), "nothing that had come is asked for again"
    whole = tmp_path / "whole"
    prep(whole, **source)
    tars = [{p.name: p.read_bytes() for p in folder.rglob("*.tar")} for folder in (whole, tmp_path / "out")]
    assert tars[0] == tars[1]


def test_limit_stops_the_walk_and_the_full_run_goes_on(library: Library, tmp_path: Path) -> None:
    source = {"documents": ["PPN1", "PPN2", "PPN3"], "template": TEMPLATE, "crops": {}}
    assert prep(tmp_path / "out", limit=1, **source).harvested == 1
    assert not any("PPN3/" in path for path in library.asked), "the ALTO of the others is not asked for"
    assert prep(tmp_path / "out", **source).harvested == 6
    assert len(library.asked) == len(set(library.asked)) == 15


# --- configuration


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ({}, "either `documents`"),
        ({"files": "x", "documents": ["https://a/b.xml"]}, "either `documents`"),
        ({"documents": ["PPN1"]}, "entry 1, 'PPN1', is no http"),
        ({"documents": ["file:///etc/passwd"]}, "no http"),
        ({"documents": ["PPN1"], "template": "https://x/dc.xml"}, "has no {id}"),
        ({"files": "x", "template": TEMPLATE}, "leave it out"),
        ({"files": "x", "crops": {"min_share": 2}}, "less than 1"),
        ({"files": "x", "crops": {"caption": "nearest"}}, "nearest_text_below"),
        ({"files": "x", "crops": {"min_share": 0.5, "max_share": 0.2}}, "min_share"),
    ],
)
def test_mistakes_in_the_configuration_are_named(source: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, ConfigError), match=complaint):
        configure(tmp_path / "out", **source)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "No such file"), (b"\xff\xfe\x00", "not a text file in UTF-8"), (b"# nothing\n", "holds no address"),
     (b"https://a/b.xml\nPPN1\n", "entry 2, 'PPN1'")],
)  # fmt: skip
def test_list_that_cannot_be_used_is_named(content: bytes | None, complaint: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(IconoclipError, match=complaint):
        prep(tmp_path / "out", root=tmp_path, documents="list.txt")


def test_boxes_are_named_by_their_ids_unless_these_repeat() -> None:
    blocks = [Block("B", 0, 0, 300, 300), Block("B", 400, 0, 300, 300), Block("C", 0, 400, 300, 300)]
    (page,) = mets_alto.parse_alto(Layout(SIZE, blocks).write())
    assert [name for name, _ in mets_alto.CropsRule().boxes(page)] == ["box1", "box2", "C"]
