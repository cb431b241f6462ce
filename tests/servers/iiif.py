"""A small, strict IIIF image server on Pillow: API 2 and 3, levels 0 to 2, ``^`` and the three limits; not iipimage.

``ImageServer(pictures, version=3, level=2)`` answers ``/<name>/info.json`` and ``/<name>/full/<size>/0/default.jpg``.
What a level or version does not promise is refused with 400 or 501 (enlarging without ``^``, ``max`` of 2.0, ``full``
above a limit), and a static level 0 has only the files that it lists, as a folder of tiles has.
"""

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image

from .http import Request, Response


@dataclass
class ImageServer:
    """Pictures by name, as (width, height); the picture is drawn when it is asked for.

    ``enlarges`` is ``sizeUpscaling`` of API 3 (with ``^``), and the silent habit of many servers of API 2.
    """

    pictures: Mapping[str, tuple[int, int]]
    version: int = 2
    level: int = 2
    sizes_px: tuple[int, ...] = ()
    max_width: int = 0
    max_height: int = 0
    max_area: int = 0
    enlarges: bool = False
    has_info: bool = True
    has_max: bool = True
    ignores_size: bool = False
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        parts = request.path.strip("/").split("/")
        if parts[0] not in self.pictures:
            return Response(404)
        self.asked.append("/".join(parts[1:]))
        if parts[1:] == ["info.json"] and self.has_info:
            return Response(
                body=json.dumps(self.info(parts[0])).encode(), headers={"Content-Type": "application/ld+json"}
            )
        if len(parts) != 5 or parts[1] != "full" or parts[3:] != ["0", "default.jpg"]:
            return Response(404)
        size = self._size(parts[2], self.pictures[parts[0]])
        if isinstance(size, int):
            return Response(size, body=b"size not supported")
        return Response(body=draw(size), headers={"Content-Type": "image/jpeg"})

    def listed(self, full: tuple[int, int]) -> list[tuple[int, int]]:
        """Sizes that info.json lists."""
        return [_scaled(full, longer) for longer in self.sizes_px if longer <= max(full)]

    def info(self, name: str) -> dict:
        """The content of info.json."""
        width, height = self.pictures[name]
        limits = {"maxWidth": self.max_width, "maxHeight": self.max_height, "maxArea": self.max_area}
        limits = {key: value for key, value in limits.items() if value}
        common: dict[str, object] = {"width": width, "height": height}
        if self.sizes_px:
            common["sizes"] = [{"width": w, "height": h} for w, h in self.listed((width, height))]
        if self.version == 3:
            return {
                "@context": "http://iiif.io/api/image/3/context.json",
                "id": f"https://elsewhere.example/{name}",
                "type": "ImageService3",
                "profile": f"level{self.level}",
                **common,
                **limits,
                **({"extraFeatures": ["sizeUpscaling"]} if self.enlarges else {}),
            }
        profile = [f"http://iiif.io/api/image/2/level{self.level}.json", *([limits] if limits else [])]
        return {
            "@context": "http://iiif.io/api/image/2/context.json",
            "@id": f"https://elsewhere.example/{name}",
            "profile": profile,
            **common,
        }

    def _size(self, text: str, full: tuple[int, int]) -> tuple[int, int] | int:
        """Size that a segment stands for, or the status with which it is refused."""
        if self.ignores_size:
            return full
        if self.level == 0:
            names = {self._canonical(size, full): size for size in [*self.listed(full), full]}
            return names.get(text, 404)
        if text == "max":
            return self._limited(full) if self.has_max else 400
        if text == "full":
            return full if self.version == 2 and self._limited(full) == full else 400
        match = re.fullmatch(r"(\^?)(!?)(\d*),(\d*)", text)
        if match is None:
            return 400
        grows, confined, width, height = match.groups()
        is_size = (width and height) if confined else (width or height)
        if not is_size or (grows and not (self.version == 3 and self.enlarges)):
            return 400
        if (confined or (width and height)) and self.level < 2:
            return 501
        size = _fit(full, int(width or 0), int(height or 0), is_confined=bool(confined))
        if (size[0] > full[0] or size[1] > full[1]) and not (self.enlarges if self.version == 2 else grows):
            return 400
        limited = self._limited(size)
        return limited if limited == size else 400

    def _canonical(self, size: tuple[int, int], full: tuple[int, int]) -> str:
        if size == full:
            return "max" if self.version == 3 else "full"
        return f"{size[0]},{size[1]}" if self.version == 3 else f"{size[0]},"

    def _limited(self, size: tuple[int, int]) -> tuple[int, int]:
        width, height = size
        scale = min(1.0, self.max_width / width) if self.max_width else 1.0
        if self.max_height or self.max_width:  # without maxHeight, maxWidth holds for both
            scale = min(scale, (self.max_height or self.max_width) / height)
        if self.max_area and width * height > self.max_area:
            scale = min(scale, (self.max_area / (width * height)) ** 0.5)
        return size if scale == 1.0 else (int(width * scale), int(height * scale))


def _fit(full: tuple[int, int], width: int, height: int, *, is_confined: bool) -> tuple[int, int]:
    if is_confined:
        scale = min(width / full[0], height / full[1])
    elif width and height:
        return width, height
    else:
        scale = width / full[0] if width else height / full[1]
    return max(1, round(full[0] * scale)), max(1, round(full[1] * scale))


def _scaled(full: tuple[int, int], longer: int) -> tuple[int, int]:
    return _fit(full, longer, longer, is_confined=True)


def draw(size: tuple[int, int]) -> bytes:
    """A grey JPEG of a size."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (90, 120, 150)).save(buffer, "JPEG", quality=70)
    return buffer.getvalue()
