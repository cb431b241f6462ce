"""Pages of books on a small, strict IIIF server: API 2, regions in pixels, no enlarging; and as plain files.

``PageServer({"0001": page})`` answers ``/0001/info.json``, ``/0001/<region>/<size>/0/default.jpg`` and ``/0001.jpg``.
``draw_page`` makes a page of which every part can be told by its colour.
"""

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image

from .http import Request, Response

PAPER = (236, 228, 206)


def draw_page(size: tuple[int, int], parts: Mapping[tuple[int, int, int, int], tuple[int, int, int]]) -> Image.Image:
    """Paper with rectangles of colour: ``{(left, top, width, height): colour}`` in pixels."""
    page = Image.new("RGB", size, PAPER)
    for (left, top, width, height), colour in parts.items():
        page.paste(colour, (left, top, left + width, top + height))
    return page


def encode(page: Image.Image, kind: str = "JPEG") -> bytes:
    """A file of the page."""
    buffer = io.BytesIO()
    page.save(buffer, kind, **({"quality": 92} if kind == "JPEG" else {}))
    return buffer.getvalue()


@dataclass
class PageServer:
    """``level`` 0 gives whole pages only; ``prefix`` stands before the names."""

    pages: Mapping[str, Image.Image]
    prefix: str = "/"
    level: int = 2
    has_info: bool = True
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        if not request.path.startswith(self.prefix):
            return Response(404)
        name, _, rest = request.path.removeprefix(self.prefix).partition("/")
        page = self.pages.get(name.removesuffix(".jpg"))
        if page is None:
            return Response(404)
        self.asked.append(request.path.removeprefix(self.prefix))
        if name.endswith(".jpg") and not rest:
            return Response(body=encode(page), headers={"Content-Type": "image/jpeg"})
        if rest == "info.json":
            return self._info(request, name, page) if self.has_info else Response(404)
        match = re.fullmatch(r"(full|\d+,\d+,\d+,\d+)/(max|full|!?\d*,\d*)/0/default\.jpg", rest)
        if match is None:
            return Response(400)
        return self._cut(page, match[1], match[2])

    def _info(self, request: Request, name: str, page: Image.Image) -> Response:
        info = {
            "@context": "http://iiif.io/api/image/2/context.json",
            "@id": f"https://{request.headers['host']}{self.prefix}{name}",
            "protocol": "http://iiif.io/api/image",
            "width": page.width,
            "height": page.height,
            "profile": [f"http://iiif.io/api/image/2/level{self.level}.json"],
        }
        return Response(body=json.dumps(info).encode(), headers={"Content-Type": "application/ld+json"})

    def _cut(self, page: Image.Image, region: str, size: str) -> Response:
        if region != "full":
            left, top, width, height = map(int, region.split(","))
            if self.level == 0 or not width or not height or left + width > page.width or top + height > page.height:
                return Response(400)
            page = page.crop((left, top, left + width, top + height))
        sides = [int(side) for side in re.findall(r"\d+", size)]
        if sides:
            scale = min(sides[0] / page.width, sides[-1] / page.height) if size.startswith("!") else 0.0
            if not scale:
                scale = sides[0] / (page.height if size.startswith(",") else page.width)
            if scale > 1 or self.level == 0:
                return Response(400)  # it would have to be blown up
            page = page.resize((max(1, round(page.width * scale)), max(1, round(page.height * scale))))
        return Response(body=encode(page), headers={"Content-Type": "image/jpeg"})
