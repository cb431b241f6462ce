"""Parts of pages asked of IIIF services: the right pixels, no more than needed, and a reason where there are none."""

import asyncio
import io
from pathlib import Path

import pytest
from PIL import Image
from servers.clients import loopback_config
from servers.http import LocalServer
from servers.pages import PageServer, draw_page

from data_prep.fetch.image_sizes import ImageService, narrow, plan_sizes
from data_prep.fetch.images import PictureRequest
from data_prep.fetch.pictures import RemotePicture, fetch_pictures
from data_prep.sources.base import PictureError
from iconoclip.records import RejectReason

RED, BLUE = (190, 40, 40), (40, 60, 190)
# A page of 1,600 x 2,400 px with a picture of 800 x 600 px at (400, 300) and one of 320 x 240 px at (160, 1,800)
PAGE = draw_page((1600, 2400), {(400, 300, 800, 600): RED, (160, 1800, 320, 240): BLUE})
LARGE, SMALL = (0.25, 0.125, 0.5, 0.25), (0.1, 0.75, 0.2, 0.1)


def ask(server_url: str, folder: Path, *boxes, size_px: int = 400) -> list[RemotePicture]:
    service = ImageService(f"{server_url}/0001")
    pictures = [RemotePicture(PictureRequest(service=service, size_px=size_px, box=box)) for box in boxes]
    done, _ = fetch_pictures(loopback_config(), folder, pictures)
    return done


def serve(pages: PageServer, folder: Path, *boxes, size_px: int = 400) -> list[RemotePicture]:
    async def run() -> list[RemotePicture]:
        async with LocalServer(pages) as server:
            return await asyncio.to_thread(lambda: ask(server.url, folder, *boxes, size_px=size_px))

    return asyncio.run(run())


def open_picture(picture: RemotePicture) -> Image.Image:
    return Image.open(io.BytesIO(picture.read())).convert("RGB")


def is_all(image: Image.Image, colour: tuple[int, int, int]) -> bool:
    return all(
        abs(low - part) < 16 and abs(high - part) < 16
        for (low, high), part in zip(image.getextrema(), colour, strict=True)
    )


def test_region_is_in_pixels_of_the_page_and_its_size_in_those_of_the_part() -> None:
    whole = ImageService("https://x/1", version=2, width=1600, height=2400, sizes=((400, 600), (800, 1200)))
    part = narrow(whole, LARGE)
    assert (part.region, part.size, part.sizes) == ("400,300,800,600", (800, 600), ())
    asks = plan_sizes(part, 400)
    assert [each.url for each in asks][:2] == [
        "https://x/1/400,300,800,600/!400,400/0/default.jpg",
        "https://x/1/400,300,800,600/400,/0/default.jpg",
    ]
    # A part that is smaller than wanted is taken as it is, not blown up
    assert [each.url for each in plan_sizes(part, 1024)] == [
        "https://x/1/400,300,800,600/full/0/default.jpg",
        "https://x/1/400,300,800,600/max/0/default.jpg",
    ]


@pytest.mark.parametrize(
    ("box", "region"),
    [
        ((0.0, 0.0, 1.0, 1.0), "0,0,1600,2400"),
        ((0.9999, 0.9999, 0.0001, 0.0001), "1599,2399,1,1"),
        ((0.5, 0.5, 0.6, 0.6), "800,1200,800,1200"),  # what leads out of the page is cut off
        ((0.12345, 0.5, 0.1, 0.1), "198,1200,160,240"),  # 0.12345 x 1600 = 197.52
    ],
)
def test_region_stays_on_the_page(box, region) -> None:
    assert narrow(ImageService("https://x/1", width=1600, height=2400), box).region == region


def test_parts_of_a_page_come_with_one_description(tmp_path: Path) -> None:
    pages = PageServer({"0001": PAGE})
    large, small = serve(pages, tmp_path, LARGE, SMALL)
    assert open_picture(large).size == (400, 300)
    assert is_all(open_picture(large), RED)
    assert open_picture(small).size == (320, 240)
    assert is_all(open_picture(small), BLUE)
    assert sorted(pages.asked) == [
        "0001/160,1800,320,240/full/0/default.jpg",
        "0001/400,300,800,600/!400,400/0/default.jpg",
        "0001/info.json",
    ]
    assert large.fingerprint() != small.fingerprint()


def test_known_part_is_not_asked_for_again_and_the_whole_page_is_another_picture(tmp_path: Path) -> None:
    pages = PageServer({"0001": PAGE})

    async def run() -> list[list[RemotePicture]]:
        async with LocalServer(pages) as server:
            return [await asyncio.to_thread(ask, server.url, tmp_path, *boxes) for boxes in ([LARGE], [LARGE, None])]

    (first,), (again, whole) = asyncio.run(run())
    assert again.fingerprint() == first.fingerprint() != whole.fingerprint()
    assert open_picture(whole).size == (267, 400)
    assert [name for name in pages.asked if "," in name] == [
        "0001/400,300,800,600/!400,400/0/default.jpg",
        "0001/full/!400,400/0/default.jpg",
    ]


@pytest.mark.parametrize(
    ("pages", "reason", "detail"),
    [
        (PageServer({"0001": PAGE}, level=0), RejectReason.FETCH_FAILED, "whole pictures only"),
        (PageServer({"0001": PAGE}, has_info=False), RejectReason.IMAGE_MISSING, "404"),
        (PageServer({}), RejectReason.IMAGE_MISSING, "404"),
    ],
)
def test_service_without_parts_has_its_reason(pages, reason, detail, tmp_path: Path) -> None:
    (picture,) = serve(pages, tmp_path, LARGE)
    assert picture.reason is reason
    assert detail in picture.detail
    with pytest.raises(PictureError):
        picture.read()
