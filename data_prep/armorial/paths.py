"""Outlines as points: a small path language, tapered strokes, and the parts a figure is made of.

Coordinates are in a figure's own box, 100 units high, x to the right and y down.

    Part(path("M 50 0 L 100 100 L 0 100 Z"))
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

Points = np.ndarray  # [num_points, 2], float64

_STEPS = 12  # per curve; the longest curve then shows no corner at 400 px


@dataclass(frozen=True, eq=False)
class Part:
    """A filled polygon; `outlines` are inked around it where its edge is not one closed line."""

    polygon: Points
    outlines: tuple[Points, ...] = ()


@dataclass(frozen=True, eq=False)
class Figure:
    """Parts in one silhouette and `details`, thin lines inked inside it; width of detail in units."""

    parts: tuple[Part, ...]
    details: tuple[Points, ...] = ()
    holes: tuple[Points, ...] = ()  # filled with ink: windows, eyes, a rose's heart


def path(text: str) -> Points:
    """Points of an outline in absolute M, L, C (cubic), Q (quadratic) and Z commands."""
    tokens = text.split()
    points: list[tuple[float, float]] = []
    index = 0
    command = "L"
    while index < len(tokens):
        if tokens[index].isalpha():
            command = tokens[index]
            index += 1
            continue
        count = {"M": 1, "L": 1, "Q": 2, "C": 3}[command]
        numbers = [float(token) for token in tokens[index : index + 2 * count]]
        index += 2 * count
        controls = list(zip(numbers[::2], numbers[1::2], strict=True))
        points.extend(controls if count == 1 else _curve([points[-1], *controls]))
    return np.array(points, dtype=np.float64)


def _curve(controls: list[tuple[float, float]]) -> list[tuple[float, float]]:
    points = []
    for step in range(1, _STEPS + 1):
        level = [np.array(each) for each in controls]
        while len(level) > 1:  # de Casteljau
            fraction = step / _STEPS
            level = [a + (b - a) * fraction for a, b in itertools.pairwise(level)]
        points.append((float(level[0][0]), float(level[0][1])))
    return points


def circle(x: float, y: float, radius: float, *, num_points: int = 40) -> Points:
    """A circle as [num_points, 2], not closed."""
    return ellipse(x, y, radius, radius, num_points=num_points)


def ellipse(x: float, y: float, radius_x: float, radius_y: float, *, num_points: int = 40) -> Points:
    """An ellipse as [num_points, 2], not closed."""
    angles = np.arange(num_points) * (2 * math.pi / num_points)
    return np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], axis=1)


def ring(x: float, y: float, outer: float, inner: float) -> Part:
    """An annulus as one even-odd polygon, its two edges inked apart."""
    out = circle(x, y, outer, num_points=60)
    inside = circle(x, y, inner, num_points=60)
    closed = [out, out[:1], inside[::-1][-1:], inside[::-1], out[:1]]
    return Part(np.concatenate(closed), (out, inside))


def spline(text: str, *, steps: int = 8) -> Points:
    """A smooth line through the points "x,y x,y ..." (Catmull-Rom), ends included."""
    knots = np.array([[float(each) for each in pair.split(",")] for pair in text.split()])
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    points = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for step in range(steps):
            t = step / steps
            points.append(
                0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2
                       + (3 * b - a - 3 * c + d) * t**3)
            )  # fmt: skip
    points.append(knots[-1])
    return np.array(points)


def stroke(text: str, *widths: float) -> Part:
    """A limb: a spline as `spline` takes, its width running evenly through `widths`."""
    spine = spline(text)
    along = np.linspace(0, len(widths) - 1, len(spine))
    half = np.interp(along, np.arange(len(widths)), widths)[:, None] / 2
    tangent = np.gradient(spine, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    cap = _cap(spine[-1], tangent[-1], float(half[-1, 0]))
    start = _cap(spine[0], -tangent[0], float(half[0, 0]))
    return Part(np.concatenate([spine + normal * half, cap, (spine - normal * half)[::-1], start]))


def _cap(end: Points, direction: Points, radius: float) -> Points:
    """A half circle closing a stroke, from its left side round to its right."""
    start = math.atan2(direction[0], -direction[1])
    angles = start - np.linspace(0, math.pi, 8)[1:-1]
    return end + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def mirror(part: Part, *, axis_x: float = 50.0) -> Part:
    """The part turned over about the vertical at `axis_x`."""

    def flip(points: Points) -> Points:
        return np.stack([2 * axis_x - points[:, 0], points[:, 1]], axis=1)

    return Part(flip(part.polygon), tuple(flip(each) for each in part.outlines))
