"""A shield as a picture, from its arms, a style and a seed.

    draw(arms, size_px=256, style=ROLLS[0].style, seed=7)  ->  a square RGB image

Everything is drawn three times too large and averaged down; charges come from masks that are
rasterised once per charge and weight of line.
"""

import random
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from .charges import figure
from .grammar import Arms, ChargeKind, Ordinary
from .paths import Points
from .shields import (
    HEIGHT,
    Shape,
    bordure_inner,
    ordinary_polygons,
    outline,
    partition_polygons,
    place_charges,
)

Colour = tuple[int, int, int]
_OVERSAMPLING = 3
_MASTER_PX = 400  # height of a charge's master masks
_LINE_STEP = 0.004  # weights of line are rounded to this share of a charge's height


@dataclass(frozen=True)
class Style:
    """How one roll is painted; widths are shares of the shield's width."""

    shape: Shape
    palette: tuple[tuple[str, Colour], ...]
    ink: Colour
    light_ink: Colour  # details on sable, where ink would not show
    line_width: float
    paper: Colour
    paper_kind: Literal["parchment", "white", "grey"]
    grain: float  # standard deviation of the noise, in 8-bit steps


@dataclass(frozen=True)
class _Frame:
    """The shield's place on the oversampled canvas."""

    scale: float
    left: float
    top: float
    line_px: int

    def points(self, points: Points) -> list[tuple[float, float]]:
        moved = points * self.scale + (self.left, self.top)
        return [(float(x), float(y)) for x, y in moved]


def draw(arms: Arms, *, size_px: int = 256, style: Style, seed: int) -> Image.Image:
    """RGB, [size_px, size_px]; the same arguments give the same pixels."""
    rng = random.Random(seed)
    side = size_px * _OVERSAMPLING
    frame = _frame(side, style, rng)
    palette = _vary_palette(style, rng)
    canvas = Image.new("RGB", (side, side), _vary(style.paper, 3, rng))
    art = _paint_arms(arms, side, frame, style, palette)
    edge = frame.points(outline(style.shape))
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).polygon(edge, fill=255)
    canvas.paste(art, (0, 0), mask)
    _ink_line(ImageDraw.Draw(canvas), edge, style.ink, round(frame.line_px * 1.5))
    return _add_grain(canvas.reduce(_OVERSAMPLING), style, rng)


def charge_mask(arms: Arms, *, size_px: int, style: Style, seed: int) -> Image.Image:
    """L, 255 where `draw` with the same arguments lays a charge or its ink, unclipped."""
    side = size_px * _OVERSAMPLING
    frame = _frame(side, style, random.Random(seed))
    mask = Image.new("L", (side, side), 0)
    for masks, corner in _placed_charges(arms, frame, style):
        mask.paste(255, corner, masks[0])
    return mask.reduce(_OVERSAMPLING)


def shield_mask(*, size_px: int, style: Style, seed: int) -> Image.Image:
    """L, 255 where `draw` with the same arguments has the shield."""
    side = size_px * _OVERSAMPLING
    frame = _frame(side, style, random.Random(seed))
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).polygon(frame.points(outline(style.shape)), fill=255)
    return mask.reduce(_OVERSAMPLING)


def _frame(side: int, style: Style, rng: random.Random) -> _Frame:
    height = side * rng.uniform(0.86, 0.93)
    scale = height / HEIGHT
    slack = side * 0.02
    left = (side - scale) / 2 + rng.uniform(-slack, slack)
    top = (side - height) / 2 + rng.uniform(-slack, slack)
    width = style.line_width * rng.uniform(0.85, 1.2)
    return _Frame(scale, left, top, max(2, round(width * scale)))


def _vary(colour: Colour, spread: int, rng: random.Random) -> Colour:
    red, green, blue = (min(255, max(0, each + rng.randint(-spread, spread))) for each in colour)
    return red, green, blue


def _vary_palette(style: Style, rng: random.Random) -> dict[str, Colour]:
    return {name: _vary(colour, 6, rng) for name, colour in style.palette}


def _paint_arms(arms: Arms, side: int, frame: _Frame, style: Style, palette: dict[str, Colour]) -> Image.Image:
    art = _paint_field(arms.field.tinctures, arms, side, frame, style, palette)
    if arms.ordinary is not None:
        _paint_ordinary(art, arms.ordinary, frame, style, palette)
    if arms.charges is not None:
        swapped = None
        if arms.charges.tincture == "counterchanged":
            swapped = _paint_field(arms.field.tinctures[::-1], arms, side, frame, style, palette)
        _paint_charges(art, arms, frame, style, palette, swapped)
    return art


def _paint_ordinary(
    art: Image.Image, ordinary: Ordinary, frame: _Frame, style: Style, palette: dict[str, Colour]
) -> None:
    pen = ImageDraw.Draw(art)
    colour = palette[ordinary.tincture]
    for polygon in ordinary_polygons(ordinary.kind):
        points = frame.points(polygon)
        pen.polygon(points, fill=colour)
        _ink_line(pen, points, style.ink, frame.line_px)
    if ordinary.kind == "bordure":
        inner = frame.points(bordure_inner(style.shape))
        field_mask = Image.new("L", art.size, 255)
        ImageDraw.Draw(field_mask).polygon(inner, fill=0)
        art.paste(colour, (0, 0), field_mask)
        _ink_line(pen, inner, style.ink, frame.line_px)


def _paint_field(
    tinctures: tuple[str, ...], arms: Arms, side: int, frame: _Frame, style: Style,
    palette: dict[str, Colour],
) -> Image.Image:  # fmt: skip
    field = Image.new("RGB", (side, side), palette[tinctures[0]])
    pen = ImageDraw.Draw(field)
    for polygon in partition_polygons(arms.field.division):
        points = frame.points(polygon)
        pen.polygon(points, fill=palette[tinctures[1]])
        _ink_line(pen, points, style.ink, max(1, frame.line_px // 2))
    return field


def _paint_charges(
    art: Image.Image, arms: Arms, frame: _Frame, style: Style, palette: dict[str, Colour],
    swapped: Image.Image | None,
) -> None:  # fmt: skip
    charges = arms.charges
    assert charges is not None
    detail_ink = style.light_ink if charges.tincture == "sable" else style.ink
    for (ink, fill, detail), corner in _placed_charges(arms, frame, style):
        art.paste(style.ink, corner, ink)
        if swapped is None:
            art.paste(palette[charges.tincture], corner, fill)
        else:
            right, low = corner[0] + fill.width, corner[1] + fill.height
            art.paste(swapped.crop((corner[0], corner[1], right, low)), corner, fill)
        art.paste(detail_ink, corner, detail)


def _placed_charges(arms: Arms, frame: _Frame, style: Style) -> list[tuple[tuple[Image.Image, ...], tuple[int, int]]]:
    """Masks (ink, fill, detail) of each charge and the corner each is pasted at."""
    if arms.charges is None:
        return []
    kind = arms.ordinary.kind if arms.ordinary is not None else None
    centres, height, tilt_deg = place_charges(style.shape, arms.charges, kind)
    height_px = height * frame.scale
    line = max(1, round(frame.line_px / height_px / _LINE_STEP))
    masters = _master_masks(arms.charges.kind, line, tilt_deg)
    factor = height_px / _MASTER_PX
    size = (max(1, round(masters[0].width * factor)), max(1, round(masters[0].height * factor)))
    masks = tuple(each.resize(size, Image.Resampling.BOX) for each in masters)
    return [
        (masks, (round(frame.left + x * frame.scale - size[0] / 2),
                 round(frame.top + y * frame.scale - size[1] / 2)))
        for x, y in centres
    ]  # fmt: skip


@lru_cache(maxsize=2048)
def _master_masks(kind: ChargeKind, line_steps: int, tilt_deg: float) -> tuple[Image.Image, ...]:
    """Silhouette with its ink, silhouette alone, inner lines; `_MASTER_PX` for a height of 1."""
    drawn = figure(kind)
    points = np.concatenate([part.polygon for part in drawn.parts])
    low, high = points.min(axis=0), points.max(axis=0)
    line_px = max(2, round(line_steps * _LINE_STEP * _MASTER_PX))
    factor = _MASTER_PX / float(high[1] - low[1])
    pad = line_px + 2
    size = tuple(round(each * factor) + 2 * pad for each in (high - low))

    def place(polygon: Points) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in (polygon - low) * factor + pad]

    ink, fill, detail = (Image.new("L", (size[0], size[1]), 0) for _ in range(3))
    for part in drawn.parts:
        ImageDraw.Draw(fill).polygon(place(part.polygon), fill=255)
        ImageDraw.Draw(ink).polygon(place(part.polygon), fill=255)
    for part in drawn.parts:
        for edge in part.outlines or (part.polygon,):
            _ink_line(ImageDraw.Draw(ink), place(edge), 255, line_px)
    for line in drawn.details:
        ImageDraw.Draw(detail).line(place(line), fill=255, width=max(2, round(line_px * 0.7)))
    for hole in drawn.holes:
        ImageDraw.Draw(detail).polygon(place(hole), fill=255)
    masks = (ink, fill, detail)
    if not tilt_deg:
        return masks
    return tuple(each.rotate(-tilt_deg, Image.Resampling.BILINEAR, expand=True) for each in masks)


def _ink_line(pen: ImageDraw.ImageDraw, points: list[tuple[float, float]], colour: Colour | int, width: int) -> None:
    """A closed line with round joints."""
    pen.line([*points, points[0], points[1]], fill=colour, width=width, joint="curve")


def _add_grain(image: Image.Image, style: Style, rng: random.Random) -> Image.Image:
    """Paper and pigment: fine noise, on parchment with slow stains, on grey with fine rules."""
    size = image.width
    tile = _noise_tile(style.paper_kind)
    row, column = (rng.randrange(tile.shape[0]) for _ in range(2))
    window = np.roll(tile, (-row, -column), axis=(0, 1))
    while window.shape[0] < size:
        window = np.tile(window, (2, 2))
    pixels = np.asarray(image, dtype=np.float32) + style.grain * window[:size, :size, None]
    return Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))


@cache
def _noise_tile(kind: str) -> np.ndarray:
    """[512, 512] float32, mean 0, the fine part with standard deviation 1; wraps at its edges."""
    noise = np.random.Generator(np.random.PCG64(len(kind))).standard_normal((512, 512))
    noise = noise.astype(np.float32)
    if kind == "parchment":
        small = np.random.Generator(np.random.PCG64(11)).standard_normal((16, 16))
        wide = np.pad(small, 2, mode="wrap").astype(np.float32)
        stains = Image.fromarray(wide).resize((640, 640), Image.Resampling.BICUBIC)
        noise = noise + 2.0 * np.asarray(stains)[64:576, 64:576]
    if kind == "grey":
        noise[::2] -= 0.8
        noise[1::2] += 0.8
    return noise
