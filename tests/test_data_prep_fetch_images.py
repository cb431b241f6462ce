"""Pictures at the needed size: what is asked for, in which order, and what comes back from servers of every level."""

import asyncio
import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from servers.clients import loopback_config
from servers.http import LocalServer, Request, Response
from servers.iiif import ImageServer, draw

from data_prep.fetch.answers import Answer, FailReason, Fetched, FetchFailed
from data_prep.fetch.fetcher import Fetcher
from data_prep.fetch.image_sizes import (
    ImageService,
    SizeAsk,
    merge_services,
    needs_info,
    note_size,
    plan_sizes,
    read_service,
)
from data_prep.fetch.images import PictureFetcher, PictureRequest, mix_hosts
from data_prep.fetch.pictures import RemotePicture, fetch_pictures
from data_prep.sources.base import PictureError
from iconoclip.records import RejectReason


def segments(service: ImageService, size_px: int, **how) -> list[str]:
    return [ask.url.removeprefix(f"{service.id}/full/").split("/")[0] for ask in plan_sizes(service, size_px, **how)]


def service(**known) -> ImageService:
    return ImageService("https://iiif.library.example/1", **known)


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        ({}, ["!1024,1024", "max", "full"]),
        ({"version": 3, "width": 4000, "height": 3000}, ["!1024,1024", "1024,", "max"]),
        # only `max` keeps to a limit, only `full` is known to 2.0
        ({"version": 2, "width": 3000, "height": 4000}, ["!1024,1024", ",1024", "max", "full"]),
        ({"version": 2, "level": 1, "width": 3000, "height": 4000}, [",1024", "!1024,1024", "max", "full"]),
        ({"version": 3, "width": 800, "height": 600}, ["max"]),
        ({"version": 2, "width": 800, "height": 600}, ["full", "max"]),
        ({"width": 800, "height": 600}, ["max", "full"]),
        ({"version": 1, "width": 4000, "height": 3000}, ["!1024,1024", "1024,", "full"]),
        # maxWidth holds for both sides where maxHeight is not given
        ({"version": 3, "width": 4000, "height": 3000, "max_width": 600}, ["!600,600", "600,", "max"]),
        ({"version": 3, "width": 3000, "height": 4000, "max_width": 600}, ["!600,600", ",600", "max"]),
        # 1200 x 900 = 1,080,000 is the most: a third of 4000 x 3000 by side is 0.3
        ({"version": 3, "width": 4000, "height": 3000, "max_area": 1_080_000}, ["!1024,1024", "1024,", "max"]),
        ({"version": 3, "width": 4000, "height": 3000, "max_area": 480_000}, ["!800,800", "800,", "max"]),
        # static: the smallest listed size that is large enough, in the version's canonical form
        ({"version": 2, "level": 0, "width": 4000, "height": 3000, "sizes": ((500, 375), (1000, 750), (2000, 1500))},
         ["2000,", "full", "max"]),
        ({"version": 3, "level": 0, "width": 4000, "height": 3000, "sizes": ((500, 375), (1000, 750), (2000, 1500))},
         ["2000,1500", "max"]),
        ({"version": 3, "level": 0, "width": 4000, "height": 3000, "sizes": ((500, 375),)}, ["500,375", "max"]),
        ({"version": 2, "level": 0, "width": 4000, "height": 3000, "sizes": ((500, 375), (4000, 3000))},
         ["full", "max"]),
        ({"version": 2, "level": 0, "width": 4000, "height": 3000}, ["full", "max"]),
        # some list sizes above the picture's own; those cannot be had
        ({"version": 3, "level": 0, "width": 1100, "height": 825, "sizes": ((500, 375), (1200, 900))},
         ["500,375", "max"]),
        # a listed size a little larger is at hand on the server; one much larger is not worth its bytes
        ({"version": 2, "level": 2, "width": 4000, "height": 3000, "sizes": ((1100, 825), (2200, 1650))},
         ["1100,", "!1024,1024", "1024,", "max", "full"]),
        ({"version": 2, "level": 2, "width": 4000, "height": 3000, "sizes": ((2000, 1500),)},
         ["!1024,1024", "1024,", "2000,", "max", "full"]),
    ],
)  # fmt: skip
def test_sizes_are_asked_for_in_the_best_order_and_never_full_first(known: dict, wanted: list[str]) -> None:
    assert segments(service(**known), 1024) == wanted


def test_forms_that_a_host_refuses_come_late() -> None:
    known = service(version=2, width=4000, height=3000)
    assert segments(known, 1024, avoid=["confined"]) == ["1024,", "!1024,1024", "max", "full"]


@pytest.mark.parametrize(
    ("known", "is_needed"),
    [
        ({}, True),
        ({"version": 2}, True),
        ({"version": 1, "level": 2}, True),
        ({"version": 3}, False),  # API 3 refuses to enlarge
        ({"version": 3, "level": 0}, True),  # which sizes are there?
        ({"version": 3, "level": 0, "sizes": ((500, 375),)}, False),
        ({"version": 2, "width": 4000, "height": 3000}, False),
        # a manifest's size may be a canvas's, twice the picture's: 2046 / 2 is less than wanted
        ({"width": 2046, "height": 1500}, True),
        ({"width": 2048, "height": 1500}, False),
        ({"width": 1024, "height": 700}, False),
        ({"version": 3, "width": 2046, "height": 1500}, False),
        ({"version": 2, "is_info": True}, False),
    ],
)
def test_info_json_is_read_first_only_where_a_size_could_go_wrong(known: dict, is_needed: bool) -> None:
    assert needs_info(service(**known), 1024) is is_needed


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {"@context": "http://iiif.io/api/image/2/context.json", "@id": "https://l.example/i/1/",
             "profile": ["http://iiif.io/api/image/2/level1.json", {"maxWidth": 20, "formats": ["jpg"]}],
             "width": 40, "height": 30,
             "sizes": [{"width": 20, "height": 15}, {"width": 10, "height": 8}]},
            ImageService("https://l.example/i/1", 2, 1, 40, 30, ((10, 8), (20, 15)), 20),
        ),
        (
            {"@context": ["x", "http://iiif.io/api/image/3/context.json"], "id": "https://l.example/i/1",
             "profile": "level2", "type": "ImageService3",
             "width": 40, "height": 30, "maxArea": 900, "maxHeight": "25"},
            ImageService("https://l.example/i/1", 3, 2, 40, 30, (), 0, 25, 900),
        ),
        (
            {"@context": "http://library.stanford.edu/iiif/image-api/1.1/context.json", "@id": "https://l.example/i/1",
             "profile": "http://library.stanford.edu/iiif/image-api/1.1/compliance.html#level1"},
            ImageService("https://l.example/i/1", 1, 1),
        ),
        ({"id": "https://l.example/i/1", "profile": "level0"}, ImageService("https://l.example/i/1", 3, 0)),
        ({"@id": "https://l.example/i/1", "@type": "ImageService2", "profile": None, "sizes": "none", "width": -3},
         ImageService("https://l.example/i/1", 2)),
        ({"profile": "level0"}, None),
        ({"@id": 5}, None),
    ],
)  # fmt: skip
def test_services_of_all_versions_are_read(data: dict, expected: ImageService | None) -> None:
    assert read_service(data) == expected


def test_info_json_fills_up_what_the_manifest_said() -> None:
    hint = ImageService("https://l.example/asked", 2, None, 4000, 3000)
    info = ImageService("http://internal:8080/real", 0, 0, 0, 0, ((500, 375),), is_info=True)
    merged = merge_services(hint, info)
    assert (merged.id, merged.version, merged.level, merged.width) == ("https://l.example/asked", 2, 0, 4000)
    assert merge_services(replace(hint, level=1), replace(info, level=None)).level == 1


@pytest.mark.parametrize(
    ("longer_px", "got", "note"),
    [
        (1024, (1024, 768), ""),
        (1024, (1023, 767), ""),
        (1024, (4000, 3000), "larger than asked: 4000 px where 1024 px were asked for"),
        (1024, (600, 450), "smaller than asked: 600 px where 1024 px were asked for"),
        (600, (600, 450), "the service gives 600 px at most where 1024 px were wanted"),
        (1024, (1024, 1024), "another shape: 1024 x 1024 px of a picture of 4000 x 3000 px"),
        (0, (50, 37), ""),
    ],
)
def test_the_size_that_came_is_compared_with_what_was_asked(longer_px: int, got: tuple[int, int], note: str) -> None:
    known = service(width=4000, height=3000)
    assert note_size(known, SizeAsk("", "confined", longer_px), got, size_px=1024) == note


@pytest.mark.parametrize(
    ("known", "is_doubtful"),
    [({"version": 2}, True), ({"version": 3}, False), ({"version": 2, "width": 4000, "height": 3000}, False)],
)
def test_a_size_that_may_have_been_blown_up_is_noted(known: dict, is_doubtful: bool) -> None:
    note = note_size(service(**known), SizeAsk("", "confined", 1024), (1024, 768), size_px=1024)
    assert note == ("nobody states how large the picture is: it may have been blown up" if is_doubtful else "")


def fetch(server_of: ImageServer, folder: Path, *, size_px: int = 256, **hint) -> tuple[Answer, list[str]]:
    async def work() -> tuple[Answer, list[str]]:
        async with LocalServer(server_of) as server, Fetcher(loopback_config(), folder) as fetcher:
            known = ImageService(f"{server.url}/a", **hint)
            answer = await PictureFetcher(fetcher).fetch(PictureRequest(service=known, size_px=size_px))
            return answer, list(server_of.asked)

    return asyncio.run(work())


LARGE, SMALL, TALL = {"a": (1200, 900)}, {"a": (200, 150)}, {"a": (900, 1200)}
STATIC = {version: ImageServer(LARGE, version, 0, sizes_px=(150, 300, 600)) for version in (2, 3)}
V2, V3 = ({"version": version, "width": 1200, "height": 900} for version in (2, 3))


@pytest.mark.parametrize(
    ("server", "hint", "size", "asked"),
    [
        (ImageServer(LARGE, 2, 2), {}, (256, 192), ["info", "!256,256"]),
        (ImageServer(LARGE, 2, 2), V2, (256, 192), ["!256,256"]),
        (ImageServer(LARGE, 3, 2), {"version": 3}, (256, 192), ["!256,256"]),
        (ImageServer(LARGE, 3, 2), V3, (256, 192), ["!256,256"]),
        # small, and the manifest did not say so: API 3 refuses to enlarge, the info tells, `max` is small
        (ImageServer(SMALL, 3, 2), {"version": 3}, (200, 150), ["!256,256", "info", "max"]),
        (ImageServer(SMALL, 3, 2), V3 | {"width": 200, "height": 150}, (200, 150), ["max"]),
        # ... and is all that is asked for where larger could be had
        (ImageServer(SMALL, 3, 2, enlarges=True), {"version": 3}, (200, 150), ["!256,256", "info", "max"]),
        (ImageServer(SMALL, 2, 2, enlarges=True), {}, (200, 150), ["info", "full"]),
        # ... even where the manifest gives the size of a canvas, which is twice that of a small picture
        (ImageServer(SMALL, 2, 2, enlarges=True), {"width": 400, "height": 300}, (200, 150), ["info", "full"]),
        (ImageServer(SMALL, 3, 2), {"version": 3, "width": 400, "height": 300}, (200, 150),
         ["!256,256", "info", "max"]),
        (ImageServer(SMALL, 2, 2), V2 | {"width": 200, "height": 150}, (200, 150), ["full"]),
        (ImageServer(SMALL, 2, 2, has_max=False), {}, (200, 150), ["info", "full"]),
        # level 1 has one side only
        (ImageServer(LARGE, 2, 1), V2 | {"level": 1}, (256, 192), ["256,"]),
        (ImageServer(TALL, 2, 1), {}, (192, 256), ["info", ",256"]),
        (ImageServer(TALL, 3, 1), {"version": 3}, (192, 256), ["!256,256", "info", ",256"]),
        # static trees, with and without being told
        (STATIC[2], {}, (300, 225), ["info", "300,"]),
        (STATIC[2], V2, (300, 225), ["!256,256", "info", "300,"]),
        (STATIC[3], V3, (300, 225), ["!256,256", "info", "300,225"]),
        (STATIC[3], V3 | {"level": 0}, (300, 225), ["info", "300,225"]),
        (STATIC[3], V3 | {"level": 0, "sizes": ((300, 225),)}, (300, 225), ["300,225"]),
        (ImageServer(SMALL, 2, 0, sizes_px=(100,)), {}, (200, 150), ["info", "full"]),
        (ImageServer(SMALL, 3, 0, sizes_px=(100,)), {"level": 0}, (200, 150), ["info", "max"]),
        # limits of API 3, and of 2.1
        (ImageServer(LARGE, 3, 2, max_width=128), V3, (128, 96), ["!256,256", "info", "!128,128"]),
        (ImageServer(LARGE, 3, 2, max_height=96), V3, (128, 96), ["!256,256", "info", "!128,128"]),
        (ImageServer(LARGE, 3, 2, max_area=30_000), V3, (200, 150), ["!256,256", "info", "!200,200"]),
        (ImageServer(LARGE, 3, 2, max_area=30_000), V3 | {"max_area": 30_000}, (200, 150), ["!200,200"]),
        (ImageServer(LARGE, 2, 1, max_width=128), {}, (128, 96), ["info", "128,"]),
        # nothing said and no info.json: `max` is the last resort
        (ImageServer(SMALL, 3, 2, has_info=False), {"version": 3}, (200, 150), ["!256,256", "info", "max"]),
        (ImageServer(SMALL, 2, 2, has_info=False), {}, (200, 150), ["info", "!256,256", "max"]),
    ],
)  # fmt: skip
def test_servers_of_every_level_give_the_needed_size(
    tmp_path: Path, server: ImageServer, hint: dict, size: tuple[int, int], asked: list[str]
) -> None:
    server.asked.clear()
    answer, requests = fetch(server, tmp_path, **hint)
    assert isinstance(answer, Fetched), answer
    assert (answer.width, answer.height) == size
    assert [request.removeprefix("full/").split("/")[0].removesuffix(".json") for request in requests] == asked


def test_only_who_has_not_stated_the_size_leaves_a_doubt(tmp_path: Path) -> None:
    silent = ImageServer(SMALL, 2, 2, enlarges=True, has_info=False)
    answer, _ = fetch(silent, tmp_path)
    assert isinstance(answer, Fetched)
    assert (answer.width, answer.note) == (256, "nobody states how large the picture is: it may have been blown up")


def test_a_host_that_does_not_give_info_json_now_is_asked_again_later(tmp_path: Path) -> None:
    is_up = False
    images = ImageServer(SMALL, 2, 2, enlarges=True)

    def answer(request: Request) -> Response:
        is_lost = request.path.endswith("info.json") and not is_up
        return Response(delivery="reset") if is_lost else images(request)

    async def work() -> list[Answer]:
        nonlocal is_up
        answers = []
        async with LocalServer(answer) as server:
            for is_up in (False, True):  # noqa: B007
                async with Fetcher(loopback_config(), tmp_path) as fetcher:
                    request = PictureRequest(service=ImageService(f"{server.url}/a"), size_px=256)
                    answers.append(await PictureFetcher(fetcher).fetch(request))
        return answers

    first, second = asyncio.run(work())
    assert isinstance(first, FetchFailed)
    assert first.reason is FailReason.RESET
    assert isinstance(second, Fetched)
    assert (second.width, images.asked) == (200, ["info.json", "full/full/0/default.jpg"])


@pytest.mark.parametrize(
    ("server", "segment", "expected"),
    [
        (ImageServer(LARGE, 3, 2), "1300,", 400),
        (ImageServer(LARGE, 3, 2), "^1300,", 400),
        (ImageServer(LARGE, 3, 2, enlarges=True), "1300,", 400),
        (ImageServer(LARGE, 3, 2, enlarges=True), "^!1600,1600", (1600, 1200)),
        (ImageServer(LARGE, 3, 2, enlarges=True, max_width=1500), "^!1600,1600", 400),
        (ImageServer(LARGE, 3, 2, max_width=300), "max", (300, 225)),
        (ImageServer(LARGE, 3, 2, max_area=120_000), "max", (400, 300)),
        (ImageServer(LARGE, 3, 2, max_area=120_000), "404,", 400),
        (ImageServer(LARGE, 3, 2), "full", 400),
        (ImageServer(LARGE, 2, 2), "1300,", 400),
        (ImageServer(LARGE, 2, 2, enlarges=True), "1600,", (1600, 1200)),
        (ImageServer(LARGE, 2, 2, enlarges=True), "^1600,", 400),
        (ImageServer(LARGE, 2, 1), "!256,256", 501),
        (STATIC[2], "256,", 404),
        (STATIC[3], "300,225", (300, 225)),
    ],
)
def test_our_image_server_is_as_strict_as_the_standard(
    server: ImageServer, segment: str, expected: int | tuple[int, int]
) -> None:
    response = server(Request(f"/a/full/{segment}/0/default.jpg", {}, 0.0))
    got = Image.open(io.BytesIO(response.body)).size if response.status == 200 else response.status
    assert got == expected


def test_a_server_that_ignores_the_size_is_noticed(tmp_path: Path) -> None:
    answer, _ = fetch(ImageServer(LARGE, ignores_size=True), tmp_path, version=2, width=1200, height=900)
    assert isinstance(answer, Fetched)
    assert answer.note == "larger than asked: 1200 px where 256 px were asked for"


def test_a_picture_that_is_not_there_costs_two_requests(tmp_path: Path) -> None:
    async def work() -> tuple[Answer, list[str]]:
        async with LocalServer(ImageServer({})) as server, Fetcher(loopback_config(), tmp_path) as fetcher:
            request = PictureRequest(service=ImageService(f"{server.url}/gone"), size_px=256)
            answers = [await PictureFetcher(fetcher).fetch(request) for _ in range(2)]
            return answers[1], server.paths()

    answer, asked = asyncio.run(work())
    assert isinstance(answer, FetchFailed)
    assert answer.reject_reason is RejectReason.IMAGE_MISSING
    assert asked == ["/gone/info.json", "/gone/full/!256,256/0/default.jpg"]


def test_a_host_that_refuses_a_form_is_asked_in_it_once(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(10)]
    images = ImageServer(dict.fromkeys(names, (1200, 900)), 2, 1)

    async def work() -> list[Answer]:
        async with LocalServer(images) as server, Fetcher(loopback_config(), tmp_path) as fetcher:
            pictures = PictureFetcher(fetcher)
            services = [ImageService(f"{server.url}/{name}", 2, None, 1200, 900) for name in names]
            return [await pictures.fetch(PictureRequest(service=each, size_px=256)) for each in services]

    answers = asyncio.run(work())
    assert all(isinstance(answer, Fetched) and answer.width == 256 for answer in answers)
    assert len(images.asked) == 2 + 10  # one refusal, one info.json


def test_a_size_is_remembered_and_another_one_is_another_picture(tmp_path: Path) -> None:
    images = ImageServer(LARGE, 2, 1)

    async def work() -> list[bool]:
        async with LocalServer(images) as server:
            states = []
            for size_px in (256, 256, 128):
                async with Fetcher(loopback_config(), tmp_path) as fetcher:
                    request = PictureRequest(service=ImageService(f"{server.url}/a"), size_px=size_px)
                    answer = await PictureFetcher(fetcher).fetch(request)
                    assert isinstance(answer, Fetched)
                    assert (answer.width, answer.request.name) == (size_px, request.name)
                    states.append(answer.from_store)
            return states

    assert asyncio.run(work()) == [False, True, False]


def test_hosts_take_turns() -> None:
    urls = ["http://a/1", "http://a/2", "http://a/3", "http://b/1", "http://c/1", "http://c/2"]
    mixed = [request.url for request in mix_hosts(PictureRequest(url) for url in urls)]
    assert mixed == ["http://a/1", "http://b/1", "http://c/1", "http://a/2", "http://c/2", "http://a/3"]


def test_the_pipeline_gets_pictures_that_know_their_file(tmp_path: Path) -> None:
    async def serve(ready: asyncio.Event, work) -> object:
        pages = {
            "/a.jpg": Response(body=draw((50, 40)), headers={"tdm-reservation": "0"}),
            "/b.jpg": Response(body=b"<html>", headers={"Content-Type": "text/html"}),
        }
        async with LocalServer(lambda asked: pages.get(asked.target, Response(404))) as server:
            return await asyncio.to_thread(work, server)

    seen = []

    def work(server: LocalServer) -> tuple[list[RemotePicture], int]:
        paths = ("/a.jpg", "/b.jpg", "/gone.jpg", "/a.jpg")
        pictures = [RemotePicture(PictureRequest(server.url + path), turn_deg=90) for path in paths]
        pictures.append(RemotePicture(PictureRequest("pipe:rm -rf x")))
        done, reports = fetch_pictures(
            loopback_config(), tmp_path, pictures, on_answer=lambda _, picture: seen.append(picture)
        )
        assert [report.host for report in reports] == [server.host]
        return done, server.paths().count("/a.jpg")

    done, num_asked = asyncio.run(serve(asyncio.Event(), work))
    assert num_asked == 1
    assert len(seen) == 5
    assert done[0].read() == done[3].read() == draw((50, 40))
    assert done[0].tdm == "robots=none; tdm-reservation=0 (header)"
    assert done[0].turn_deg == 90
    assert done[0].fingerprint() == done[3].fingerprint() != done[1].fingerprint()
    reasons = [done[position].reason for position in (1, 2, 4)]
    assert reasons == [RejectReason.FETCH_FAILED, RejectReason.IMAGE_MISSING, RejectReason.FETCH_FAILED]
    with pytest.raises(PictureError, match=r"unexpected_content: a picture was asked for, html came \(text/html\)"):
        done[1].read()
    with pytest.raises(PictureError, match="not fetched yet"):
        RemotePicture(PictureRequest("http://a/1")).read()
    Path(done[0].path).write_bytes(b"damaged")
    with pytest.raises(PictureError, match="damaged on disk"):
        done[0].read()
