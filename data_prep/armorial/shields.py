"""Where things lie on a shield: outlines, ordinaries, lines of partition, charges.

Shield coordinates: x from 0 (dexter, the viewer's left) to 1, y from 0 (chief) to `HEIGHT`.

    place_charges("heater", arms.charges, "fess")  ->  centres, height of one charge, tilt
"""

from functools import cache
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from .charges import figure
from .grammar import ChargeKind, Charges, Division, OrdinaryKind, Variation
from .paths import Points, path
from .slots import slots_for

Shape = Literal["heater", "round", "french"]

HEIGHT = 1.17
BORDURE_WIDTH = 0.115
_AREA_PX = 400  # rows to a unit when ordinaries are compared with charges
_AIR = 1.06  # a charge made this much larger must still clear the ordinary
_MARGIN = 0.035  # of bare field between a charge and the edge
_OUTLINES: dict[Shape, str] = {
    "heater": "M 0 0 L 1 0 L 1 .42 C 1 .80 .76 1.03 .5 1.17 C .24 1.03 0 .80 0 .42 Z",
    "round": "M 0 0 L 1 0 L 1 .67 C 1 .946 .776 1.17 .5 1.17 C .224 1.17 0 .946 0 .67 Z",
    "french": "M 0 0 L 1 0 L 1 .94 Q 1 1.06 .88 1.06 L .64 1.06 Q .53 1.06 .5 1.17 "
              "Q .47 1.06 .36 1.06 L .12 1.06 Q 0 1.06 0 .94 Z",
}  # fmt: skip


# Plain shapes stand smaller when alone, or a billet would pass for a pale couped.
_LONE_SHARE: dict[ChargeKind, float] = {
    "billet": 0.62, "roundel": 0.74, "annulet": 0.82, "lozenge": 0.82,
}  # fmt: skip


@cache
def outline(shape: Shape) -> Points:
    """The shield's edge as one closed line, from the dexter chief clockwise."""
    return path(_OUTLINES[shape])


@cache
def _half_width_table(shape: Shape) -> tuple[Points, Points]:
    right = np.array([point for point in outline(shape) if point[0] >= 0.5])
    right = right[np.argsort(right[:, 1], kind="stable")]
    return right[:, 1], right[:, 0] - 0.5


def half_width(shape: Shape, y: Points) -> Points:
    """Half the shield's width at heights `y`; negative outside it."""
    heights, widths = _half_width_table(shape)
    inside = np.interp(y, heights, widths)
    return np.where((y < 0) | (y > HEIGHT), -1.0, inside)


def partition_polygons(division: Division) -> list[Points]:
    """Polygons that bear the second tincture of a divided field; the first lies under them."""
    high, far = HEIGHT, 2.0
    match division:
        case "plain":
            boxes = []
        case "per_pale":
            boxes = [_box(0.5, 0, far, far)]
        case "per_fess":
            boxes = [_box(0, 0.5 * high - 0.03, far, far)]
        case "per_bend":
            boxes = [_polygon((-far, -far), (far, far), (-far, far))]
        case "per_bend_sinister":
            boxes = [_polygon((1 + far, -far), (1 - far, far), (1 + far, far))]
        case "per_saltire":
            boxes = [
                _polygon((0, 0), (0.5, 0.5), (0, 1), (-far, far), (-far, -far)),
                _polygon((1, 0), (0.5, 0.5), (1, 1), (far, far), (far, -far)),
            ]
        case "quarterly":
            middle = 0.5 * high - 0.03
            boxes = [_box(0.5, 0, far, middle), _box(-1, middle, 0.5, far)]
        case _:
            boxes = _varied_polygons(division)
    return boxes


def _varied_polygons(division: Variation) -> list[Points]:
    """Of six pieces, as blazoned; chequy of six columns, lozengy of five."""
    stripe = HEIGHT / 6
    match division:
        case "barry":
            boxes = [_box(0, row * stripe, 1, (row + 1) * stripe) for row in (1, 3, 5)]
        case "paly":
            boxes = [_box(column / 6, 0, (column + 1) / 6, 2) for column in (1, 3, 5)]
        case "bendy":
            boxes = _bendy()
        case "chequy":
            boxes = [
                _box(column / 6, row / 6, (column + 1) / 6, (row + 1) / 6)
                for row in range(8) for column in range(6) if (row + column) % 2
            ]  # fmt: skip
        case "lozengy":
            boxes = [
                _polygon(
                    (x / 5, y * 0.29 - 0.145), (x / 5 + 0.1, y * 0.29),
                    (x / 5, y * 0.29 + 0.145), (x / 5 - 0.1, y * 0.29),
                )
                for y in range(5) for x in range(6)
            ]  # fmt: skip
    return boxes


def _bendy() -> list[Points]:
    """Six bends falling from dexter chief; the first tincture begins in the sinister chief."""
    edges = np.linspace(1.0, -0.80, 7)  # x - y along each edge
    return [
        _polygon((a - 3, -3), (a + 3, 3), (b + 3, 3), (b - 3, -3))
        for a, b in ((edges[1], edges[2]), (edges[3], edges[4]), (edges[5], -3.0))
    ]


def ordinary_polygons(kind: OrdinaryKind) -> list[Points]:
    """The ordinary's area, to be clipped by the shield; the bordure is what its inner edge leaves."""
    cross_y = 0.47
    match kind:
        case "chief":
            return [_box(-1, -1, 2, 0.35)]
        case "fess":
            return [_box(-1, 0.385, 2, 0.675)]
        case "pale":
            return [_box(0.345, -1, 0.655, 2)]
        case "bend":
            return [_band((-1, -1), (2, 2), 0.135)]
        case "bend_sinister":
            return [_band((2, -1), (-1, 2), 0.135)]
        case "chevron":
            return [_polygon((0.5, 0.31), (1.5, 1.31), (1.5, 1.63), (0.5, 0.63), (-0.5, 1.63), (-0.5, 1.31))]
        case "cross":
            w = 0.115
            return [_polygon((0.5 - w, -1), (0.5 + w, -1), (0.5 + w, cross_y - w),
                             (2, cross_y - w), (2, cross_y + w), (0.5 + w, cross_y + w),
                             (0.5 + w, 2), (0.5 - w, 2), (0.5 - w, cross_y + w),
                             (-1, cross_y + w), (-1, cross_y - w), (0.5 - w, cross_y - w))]  # fmt: skip
        case "saltire":
            d = 0.105 * 2**0.5  # half the band, measured along an axis
            return [_polygon((0.5, 0.5 - d), (2, -1 - d), (2 + d, -1), (0.5 + d, 0.5),
                             (2 + d, 2), (2, 2 + d), (0.5, 0.5 + d), (-1, 2 + d), (-1 - d, 2),
                             (0.5 - d, 0.5), (-1 - d, -1), (-1, -1 - d))]  # fmt: skip
        case "pall":
            d, w = 0.105 * 2**0.5, 0.105
            return [_polygon((0.5, 0.5 - d), (2, -1 - d), (2 + d, -1), (0.5 + w, 0.5 + d - w),
                             (0.5 + w, 2), (0.5 - w, 2), (0.5 - w, 0.5 + d - w), (-1 - d, -1),
                             (-1, -1 - d))]  # fmt: skip
        case "bordure":
            return []  # all that `bordure_inner` leaves


@cache
def bordure_inner(shape: Shape) -> Points:
    """The field within a bordure: the shield's outline worn away evenly from all sides."""
    turns = np.linspace(-np.pi / 2, np.pi / 2, 61)
    heights = np.linspace(BORDURE_WIDTH, HEIGHT - BORDURE_WIDTH, 160)
    reach = heights[:, None] + BORDURE_WIDTH * np.sin(turns)[None, :]
    clear = (half_width(shape, reach) - BORDURE_WIDTH * np.cos(turns)[None, :]).min(axis=1)
    heights, clear = heights[clear > 0], clear[clear > 0]
    right = np.stack([0.5 + clear, heights], axis=1)
    left = np.stack([0.5 - clear, heights], axis=1)
    return np.concatenate([right, left[::-1]])


def place_charges(
    shape: Shape, charges: Charges, ordinary: OrdinaryKind | None
) -> tuple[tuple[tuple[float, float], ...], float, float]:
    """Centres, height of each charge and its tilt in degrees, none of them over the edge."""
    return _place(shape, charges.kind, charges.arrangement, ordinary)


@cache
def _place(
    shape: Shape, kind: ChargeKind, arrangement: str, ordinary: OrdinaryKind | None
) -> tuple[tuple[tuple[float, float], ...], float, float]:
    slots = slots_for(arrangement, ordinary)
    tilt_deg = -45.0 if arrangement == "on" and ordinary == "bend" else 0.0
    points = silhouette(kind)
    size = np.ptp(points, axis=0)
    height = min(min(slot[2] / size[0], slot[3] / size[1]) for slot in slots)
    if arrangement == "alone":
        height *= _LONE_SHARE.get(kind, 1.0)
    if tilt_deg:
        points = rotate(points, tilt_deg)
    margin = _MARGIN + (BORDURE_WIDTH if ordinary == "bordure" else 0.0)
    while True:
        placed = [points * height + (slot[0], slot[1]) for slot in slots]
        wide = [points * height * _AIR + (slot[0], slot[1]) for slot in slots]
        if all(_fits(shape, each, margin) for each in placed) and all(
            _clears(each, ordinary, is_on=arrangement == "on") for each in wide
        ):
            return tuple((slot[0], slot[1]) for slot in slots), height, tilt_deg
        height *= 0.97


def _fits(shape: Shape, points: Points, margin: float) -> bool:
    """Within the sides and the top by `margin`; the sides slope, so the base is kept as well."""
    x, y = points[:, 0], points[:, 1]
    if float(y.min()) < margin:
        return False
    clear = half_width(shape, np.minimum(y + margin * 0.6, HEIGHT + 1)) - margin
    return bool(np.all(np.abs(x - 0.5) <= clear))


def _clears(points: Points, ordinary: OrdinaryKind | None, *, is_on: bool) -> bool:
    """Wholly on the ordinary when `is_on`, wholly off it when not."""
    if ordinary is None or ordinary == "bordure":
        return True
    area = ordinary_area(ordinary)
    column, row = np.clip(points * _AREA_PX, 0, _AREA_PX * 1.2 - 1).astype(int).T
    return bool(np.all(area[row, column] == is_on))


@cache
def ordinary_area(kind: OrdinaryKind) -> np.ndarray:
    """Bool, `_AREA_PX` rows to a unit: where the ordinary lies."""
    side = int(_AREA_PX * 1.2)
    image = Image.new("L", (side, side), 0)
    for polygon in ordinary_polygons(kind):
        corners = [(float(x), float(y)) for x, y in polygon * _AREA_PX]
        ImageDraw.Draw(image).polygon(corners, fill=1)
    return np.asarray(image) == 1


@cache
def silhouette(kind: ChargeKind) -> Points:
    """All points of a charge, centred on its bounding box, its height made 1."""
    points = np.concatenate([part.polygon for part in figure(kind).parts])
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - (low + high) / 2) / (high[1] - low[1])


def rotate(points: Points, angle_deg: float) -> Points:
    """Turned anticlockwise as seen (y runs down)."""
    angle = np.deg2rad(angle_deg)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ matrix


def _polygon(*corners: tuple[float, float]) -> Points:
    return np.array(corners, dtype=np.float64)


def _box(x0: float, y0: float, x1: float, y1: float) -> Points:
    return _polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def _band(start: tuple[float, float], end: tuple[float, float], half: float) -> Points:
    a, b = np.array(start), np.array(end)
    along = (b - a) / np.linalg.norm(b - a)
    normal = half * np.array([-along[1], along[0]])
    return np.stack([a + normal, b + normal, b - normal, a - normal])
