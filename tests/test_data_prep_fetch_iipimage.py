"""Pictures at the needed size from a real image server: Debian's iipimage behind lighttpd, Image API 2, level 1."""

import asyncio
import contextlib
import http.client
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image, ImageChops, ImageStat
from servers.clients import loopback_config
from servers.iipimage import IipImage, Programs, draw_pyramid, write_pyramid

from data_prep.fetch.answers import Answer, FailReason, Fetched, FetchFailed
from data_prep.fetch.fetcher import Fetcher
from data_prep.fetch.image_sizes import ImageService, read_service
from data_prep.fetch.images import PictureFetcher, PictureRequest
from data_prep.fetch.pictures import RemotePicture, fetch_pictures
from data_prep.fetch.report import HostReport
from data_prep.parse.iiif_image import ImageInfo, parse_info, requests_for
from iconoclip.records import RejectReason

pytestmark = pytest.mark.services

SHAPES = {
    "landscape.tif": (3000, 2000),
    "portrait.tif": (1501, 2222),
    "odd.tif": (1999, 1333),
    "strip.tif": (2500, 77),
    "between.tif": (601, 801),
    "small.tif": (300, 200),
}
# Longer side as wanted, the other one rounded: 512 * 2000 / 3000 = 341.3, 1024 * 1333 / 1999 = 682.8, and so on; or a
# size up to a quarter larger that the server lists (halves of the original, rounded down): it has that at hand.
EXPECTED = {
    512: {
        "landscape.tif": ("512,", (512, 341)),
        "portrait.tif": ("375,", (375, 555)),
        "odd.tif": ("512,", (512, 341)),
        "strip.tif": ("625,", (625, 19)),
        "between.tif": (",512", (384, 512)),
        "small.tif": ("full", (300, 200)),
    },
    1024: {
        "landscape.tif": ("1024,", (1024, 683)),
        "portrait.tif": ("750,", (750, 1111)),
        "odd.tif": ("1024,", (1024, 683)),
        "strip.tif": ("1250,", (1250, 38)),
        "between.tif": ("full", (601, 801)),
        "small.tif": ("full", (300, 200)),
    },
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pyramids")
    for name, size_px in SHAPES.items():
        draw_pyramid(folder / name, size_px)
    return folder


@pytest.fixture
def serve(iipimage: Programs, pictures: Path) -> Callable[..., IipImage]:
    return lambda **how: IipImage(iipimage, pictures, **how)


def fetch(folder: Path, services: list[ImageService], size_px: int) -> tuple[dict[str, Answer], HostReport]:
    """Answers by the last part of the service's address, and what the host was asked."""

    async def work() -> tuple[dict[str, Answer], HostReport]:
        async with Fetcher(loopback_config(policy={"read_timeout_s": 5, "total_timeout_s": 10}), folder) as fetcher:
            requests = [PictureRequest(service=each, size_px=size_px, tag=each.id) for each in services]
            answers = [answer async for answer in PictureFetcher(fetcher).fetch_all(requests)]
            (report,) = fetcher.report()
            return {answer.request.tag.rpartition("/")[2]: answer for answer in answers}, report

    return asyncio.run(work())


def decoded(answer: Answer) -> Image.Image:
    assert isinstance(answer, Fetched), answer
    with Image.open(answer.path) as image:
        assert image.format == "JPEG"
        return image.convert("RGB")


@pytest.mark.parametrize("size_px", [512, 1024])
def test_pictures_of_all_shapes_come_at_the_needed_size(
    tmp_path: Path, serve: Callable[..., IipImage], size_px: int
) -> None:
    with serve() as server:
        answers, report = fetch(tmp_path, [ImageService(f"{server.url}/{name}") for name in SHAPES], size_px)
    asked = {each.path: each for each in server.asked_for_pictures()}
    paths = {name: f"{name}/full/{segment}/0/default.jpg" for name, (segment, _) in EXPECTED[size_px].items()}
    # info.json once, the picture once, nothing else: in particular never the whole of a large one
    assert sorted(asked) == sorted([*paths.values(), *(f"{name}/info.json" for name in SHAPES)])
    assert len(server.asked_for_pictures()) == len(asked)
    for name, (_, size) in EXPECTED[size_px].items():
        answer = answers[name]
        assert isinstance(answer, Fetched)
        assert decoded(answer).size == (answer.width, answer.height) == size
        assert answer.note == ""
        assert answer.num_bytes == asked[paths[name]].num_bytes
    # what we say that we took is what the server says that it gave
    assert (report.requests, report.num_bytes) == (len(server.asked), sum(each.num_bytes for each in server.asked))


@pytest.mark.parametrize(
    ("known", "segments"),
    [
        ({"version": 2}, {"portrait.tif": "!512,512", "small.tif": "full", "landscape.tif": "!512,512"}),
        ({"version": 2, "level": 1}, {"portrait.tif": ",512", "small.tif": "full", "landscape.tif": "512,"}),
        ({}, {"portrait.tif": "!512,512", "small.tif": "max", "landscape.tif": "!512,512"}),
    ],
)
def test_a_size_that_the_manifest_states_saves_info_json(
    tmp_path: Path, serve: Callable[..., IipImage], known: dict, segments: dict[str, str]
) -> None:
    with serve() as server:
        services = []
        for name in segments:
            width, height = SHAPES[name]
            services.append(ImageService(f"{server.url}/{name}", width=width, height=height, **known))
        answers, _ = fetch(tmp_path, services, 512)
    # 512 * 1501 / 2222 = 345.9
    sizes = {"portrait.tif": (346, 512), "small.tif": (300, 200), "landscape.tif": (512, 341)}
    assert {name: decoded(answers[name]).size for name in segments} == sizes
    assert sorted(each.path for each in server.asked_for_pictures()) == sorted(
        f"{name}/full/{segment}/0/default.jpg" for name, segment in segments.items()
    )


def test_the_whole_picture_comes_and_upright(tmp_path: Path, serve: Callable[..., IipImage]) -> None:
    with serve() as server:
        answers, _ = fetch(tmp_path, [ImageService(f"{server.url}/{name}") for name in SHAPES], 512)
    for name in ("landscape.tif", "portrait.tif", "small.tif"):
        image = decoded(answers[name])
        right, bottom = image.width - 8, image.height - 8
        # red grows from left to right, green from top to bottom
        for place, red, green in (((7, 7), 0, 0), ((right, 7), 255, 0), ((7, bottom), 0, 255)):
            got = image.getpixel(place)
            assert isinstance(got, tuple)
            assert got[:2] == pytest.approx((red, green), abs=24), (name, place)


def test_a_second_run_asks_nothing_even_of_a_server_that_is_gone(
    tmp_path: Path, serve: Callable[..., IipImage]
) -> None:
    config = loopback_config(policy={"read_timeout_s": 5, "total_timeout_s": 10})
    with serve() as server:
        wanted = [
            RemotePicture(PictureRequest(service=ImageService(f"{server.url}/{name}"), size_px=1024))
            for name in [*SHAPES, "gone.tif"]
        ]
        first, (before,) = fetch_pictures(config, tmp_path, wanted)
    second, (after,) = fetch_pictures(config, tmp_path, wanted)
    assert [picture.fingerprint() for picture in second] == [picture.fingerprint() for picture in first]
    assert after.requests == before.requests
    for name, picture in zip(SHAPES, second, strict=False):
        with Image.open(io.BytesIO(picture.read())) as image:
            assert image.size == EXPECTED[1024][name][1]
    assert second[-1].reason is RejectReason.IMAGE_MISSING


def test_an_unknown_identifier_is_a_missing_image(tmp_path: Path, serve: Callable[..., IipImage]) -> None:
    with serve() as server:
        answers, _ = fetch(tmp_path, [ImageService(f"{server.url}/gone.tif")], 512)
    answer = answers["gone.tif"]
    assert isinstance(answer, FetchFailed)
    assert (answer.reason, answer.reject_reason) == (FailReason.HTTP_404, RejectReason.IMAGE_MISSING)
    assert answer.text == f"http_404: HTTP 404 ({server.url}/gone.tif/full/!512,512/0/default.jpg)"
    assert [(each.path, each.status) for each in server.asked_for_pictures()] == [
        ("gone.tif/info.json", 404),
        ("gone.tif/full/!512,512/0/default.jpg", 404),
    ]


def test_info_json_is_read_as_version_2_level_1_by_both_readers(serve: Callable[..., IipImage]) -> None:
    with serve() as server:
        data = json.loads(get(f"{server.url}/portrait.tif/info.json")[1])
    sizes = ((93, 138), (187, 277), (375, 555), (750, 1111))  # halves of 1501 x 2222, rounded down
    address = f"{server.url}/portrait.tif"
    assert read_service(data, is_info=True) == ImageService(
        address, 2, 1, 1501, 2222, sizes, max_width=5000, max_height=5000, is_info=True
    )
    info = parse_info(data)
    assert isinstance(info, ImageInfo)
    assert (info.service, info.version, info.level, info.width, info.height) == (address, 2, 1, 1501, 2222)
    assert (info.sizes, info.max_width, info.max_height, info.max_area) == (sizes, 5000, 5000, None)
    assert info.tiles == ((256, (1, 2, 4, 8, 16)),)
    assert {"sizeByWh", "sizeAboveFull"} <= info.features
    assert requests_for(info, want_px=512)[0].url.startswith(f"{address}/full/")


@pytest.mark.parametrize("size_px", [512, 1024, 2048])
def test_the_addresses_of_the_parser_give_the_sizes_that_it_promises(
    serve: Callable[..., IipImage], size_px: int
) -> None:
    with serve() as server:
        for name in SHAPES:
            info = parse_info(json.loads(get(f"{server.url}/{name}/info.json")[1]))
            for request in requests_for(info, want_px=size_px)[:-1]:
                status, body = get(request.url)
                assert status == 200
                got = Image.open(io.BytesIO(body)).size
                assert request.width
                assert request.height
                assert got == pytest.approx((request.width, request.height), abs=3)  # a strip: see below


@pytest.mark.parametrize(
    ("how", "size_px", "size", "note"),
    [
        ({"max_px": 400}, 512, (400, 267), "the service gives 400 px at most where 512 px were wanted"),
        ({"enlarges": False}, 512, (512, 341), ""),
    ],
)
def test_a_limit_of_the_server_is_kept_and_noted(
    tmp_path: Path, serve: Callable[..., IipImage], how: dict, size_px: int, size: tuple[int, int], note: str
) -> None:
    with serve(**how) as server:
        answers, _ = fetch(tmp_path, [ImageService(f"{server.url}/landscape.tif")], size_px)
    answer = answers["landscape.tif"]
    assert isinstance(answer, Fetched)
    assert (decoded(answer).size, answer.note) == (size, note)
    assert len(server.asked_for_pictures()) == 2


def test_a_limit_that_the_manifest_did_not_tell_is_noticed(tmp_path: Path, serve: Callable[..., IipImage]) -> None:
    with serve(max_px=400) as server:
        answers, _ = fetch(tmp_path, [ImageService(f"{server.url}/landscape.tif", 2, 1, 3000, 2000)], 512)
    answer = answers["landscape.tif"]
    assert isinstance(answer, Fetched)
    assert answer.note == "smaller than asked: 400 px where 512 px were asked for"


@pytest.mark.parametrize(
    ("how", "name", "segment", "expected"),
    [
        ({}, "landscape.tif", "!512,512", (512, 341)),  # level 2, and given all the same
        ({}, "landscape.tif", "full", (3000, 2000)),
        ({}, "landscape.tif", "max", (3000, 2000)),
        ({}, "landscape.tif", "^max", 400),
        ({}, "landscape.tif", "^!512,512", 400),
        ({}, "landscape.tif", "6000,", (5000, 3333)),
        ({}, "strip.tif", "!2048,2048", (2048, 63)),
        # the shorter side is rounded first: 2048 * 77 / 2500 = 63.1, and 63 * 2500 / 77 = 2045.5
        ({}, "strip.tif", "2048,", (2045, 63)),
        ({}, "small.tif", "!512,512", (512, 341)),  # blown up
        ({}, "small.tif", "512,", (512, 341)),
        ({}, "small.tif", ",512", (768, 512)),
        ({"enlarges": False}, "small.tif", "!512,512", (300, 200)),
        ({"enlarges": False}, "small.tif", ",512", (300, 200)),
        ({"max_px": 400}, "landscape.tif", "max", (400, 267)),
        ({"max_px": 400}, "landscape.tif", "full", (400, 267)),
        ({"max_px": 400}, "landscape.tif", "512,", (400, 267)),
    ],
)
def test_what_iipimage_does_is_what_image_sizes_says_of_it(
    serve: Callable[..., IipImage], how: dict, name: str, segment: str, expected: int | tuple[int, int]
) -> None:
    with serve(**how) as server:
        status, body = get(f"{server.url}/{name}/full/{segment}/0/default.jpg")
    assert (Image.open(io.BytesIO(body)).size if status == 200 else status) == expected


def test_the_server_leaves_nothing_behind(serve: Callable[..., IipImage]) -> None:
    with serve() as server:
        folder = Path(server.folder)
        assert get(f"{server.url}/small.tif/info.json")[0] == 200
        running = commands(server.pid)
        assert sorted(running) == ["iipsrv.fcgi", "lighttpd"]
    assert commands(server.pid) == []
    assert not folder.exists()


@pytest.mark.real
def test_a_real_picture_is_the_one_that_the_library_has(tmp_path: Path, iipimage: Programs, shared_data: Path) -> None:
    import pyvips

    original = max((shared_data / "images" / "kb_album_amicorum_heyblocq" / "img").iterdir(), key=os.path.getsize)
    (tmp_path / "pyramids").mkdir()
    write_pyramid(pyvips.Image.new_from_file(str(original)), tmp_path / "pyramids" / "real.tif")
    with IipImage(iipimage, tmp_path / "pyramids") as server:
        answers, _ = fetch(tmp_path / "fetch", [ImageService(f"{server.url}/real.tif")], 300)
    got = decoded(answers["real.tif"])
    assert max(got.size) == 300
    with Image.open(original) as image:
        wanted = image.convert("RGB").resize(got.size, Image.Resampling.LANCZOS)
    # Another filter lies between, so strokes of a pen differ; what is larger does not, unless it is turned or cropped.
    coarse = [each.reduce(6) for each in (got, wanted)]
    assert max(ImageStat.Stat(ImageChops.difference(*coarse)).mean) < 3
    turned = got.transpose(Image.Transpose.ROTATE_180).reduce(6)
    assert max(ImageStat.Stat(ImageChops.difference(turned, coarse[1])).mean) > 9


def get(url: str) -> tuple[int, bytes]:
    """Status and body, as a plain client gets them."""
    parts = urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(parts.netloc, timeout=10)) as connection:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        return response.status, response.read()


def commands(session: int) -> list[str]:
    """Names of the running processes of a session; who has ended and waits for its parent does not run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, _, fields = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            state, _, _, of_session = fields.split()[:4]
            if int(of_session) == session and state != "Z":
                found.append(name)
    return found
