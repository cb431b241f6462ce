"""The silhouettes of the charges, one function each, drawn for this project.

`figure(kind)` returns the `Figure` of a charge in a box about 100 units high.
"""

import itertools
import math
from collections.abc import Callable
from functools import cache

import numpy as np

from .beasts import eagle, lion
from .grammar import ChargeKind
from .paths import Figure, Part, Points, circle, mirror, path, ring, spline, stroke


@cache
def figure(kind: ChargeKind) -> Figure:
    """The silhouette, inner lines and holes of a charge; made once."""
    makers: dict[str, Callable[[], Figure]] = {
        "lion": lion, "eagle": eagle, "anchor": _anchor, "fleur_de_lis": _fleur_de_lis,
        "mullet": _mullet, "crescent": _crescent, "rose": _rose, "roundel": _roundel,
        "billet": _billet, "escallop": _escallop, "tower": _tower, "key": _key, "sword": _sword,
        "annulet": _annulet, "lozenge": _lozenge, "oak_leaf": _oak_leaf,
        "cross_crosslet": _cross_crosslet, "trefoil": _trefoil,
    }  # fmt: skip
    return makers[kind]()


def _fleur_de_lis() -> Figure:
    centre = Part(path("M 50 1 C 34 17 33 29 40 43 C 44 51 46 56 46 63 L 54 63 "
                       "C 54 56 56 51 60 43 C 67 29 66 17 50 1 Z"))  # fmt: skip
    side = Part(
        path(
            "M 46 63 C 46 46 39 33 26 29 C 12 25 2 36 5 49 C 8 60 22 61 26 51 C 28 46 24 42 20 44 C 24 39 33 44 35 63 Z"
        )
    )
    foot = Part(path("M 45 68 C 42 80 34 85 25 83 C 28 90 40 90 45 82 Z"))
    stem = Part(path("M 45 66 L 55 66 C 56 78 58 86 50 98 C 42 86 44 78 45 66 Z"))
    band = Part(path("M 29 61 L 71 61 L 71 69 L 29 69 Z"))
    parts = (side, mirror(side), centre, foot, mirror(foot), stem, band)
    return Figure(parts, (spline("50,14 50,40 50,58"),))


def _mullet() -> Figure:
    points = []
    for index in range(10):
        radius = 52 if index % 2 == 0 else 20.5
        angle = math.radians(-90 + 36 * index)
        points.append((50 + radius * math.cos(angle), 52 + radius * math.sin(angle)))
    star = np.array(points)
    centre = np.array([[50.0, 52.0]])
    details = tuple(np.concatenate([centre, star[index : index + 1]]) for index in range(0, 10, 2))
    return Figure((Part(star),), details)


def _crescent() -> Figure:
    outer = [math.radians(each) for each in np.linspace(-38, 218, 44)]
    inner = [math.radians(each) for each in np.linspace(212, -32, 40)]
    moon = [(50 + 48 * math.cos(a), 50 + 48 * math.sin(a)) for a in outer]
    moon += [(50 + 36 * math.cos(a), 36 + 36 * math.sin(a)) for a in inner]
    return Figure((Part(np.array(moon)),))


def _rose() -> Figure:
    barbs, petals, details = [], [], []
    for index in range(5):
        angle = math.radians(-90 + 72 * index)
        between = angle + math.radians(36)
        petals.append(Part(circle(50 + 27 * math.cos(angle), 50 + 27 * math.sin(angle), 22)))
        tip = np.array([50 + 52 * math.cos(between), 50 + 52 * math.sin(between)])
        side = 7 * np.array([-math.sin(between), math.cos(between)])
        root = np.array([50 + 26 * math.cos(between), 50 + 26 * math.sin(between)])
        barbs.append(Part(np.stack([root - side, tip, root + side])))
        toward = np.array([math.cos(between), math.sin(between)])
        details.append(np.stack([50 + 12 * toward, 50 + 33 * toward]))
    heart = circle(50, 50, 12)
    details.append(np.concatenate([heart, heart[:1]]))
    return Figure((*barbs, *petals), tuple(details), (circle(50, 50, 6),))


def _roundel() -> Figure:
    return Figure((Part(circle(50, 50, 48, num_points=72)),))


def _billet() -> Figure:
    return Figure((Part(path("M 26 1 L 74 1 L 74 99 L 26 99 Z")),))


def _escallop() -> Figure:
    """A fan of ribs, its rim uppermost, over a hinge with two ears."""
    rim: list[Points] = []
    ribs = []
    hinge = np.array([50.0, 88.0])
    angles = np.linspace(200, 340, 8)
    for first, second in itertools.pairwise(angles):
        for step in np.linspace(0, 1, 7):
            angle = math.radians(first + (second - first) * step)
            reach = 76 + 7 * math.sin(math.pi * step) - 14 * abs(math.cos(angle)) ** 2
            rim.append(hinge + np.array([math.cos(angle) * 0.78, math.sin(angle)]) * reach)
        if second != angles[-1]:
            angle = math.radians(second)
            end = hinge + np.array([math.cos(angle) * 0.78, math.sin(angle)]) * 66
            ribs.append(np.stack([hinge + (end - hinge) * 0.16, end]))
    foot = np.array([7.0, 0.0])
    fan = Part(np.stack([hinge - foot, *rim, hinge + foot]))
    ears = Part(path("M 30 78 L 70 78 L 68 96 L 54 92 L 46 92 L 32 96 Z"))
    return Figure((ears, fan), tuple(ribs))


def _tower() -> Figure:
    parts = (
        Part(path("M 24 36 L 76 36 L 80 90 L 20 90 Z")),
        Part(path("M 14 88 L 86 88 L 86 99 L 14 99 Z")),
        Part(path("M 14 4 L 29 4 L 29 15 L 42 15 L 42 4 L 58 4 L 58 15 L 71 15 L 71 4 L 86 4 "
                  "L 86 28 L 77 37 L 23 37 L 14 28 Z")),
    )  # fmt: skip
    door = path("M 40 88 L 40 72 C 40 60 60 60 60 72 L 60 88 Z")
    window = path("M 46 54 L 46 46 C 46 41 54 41 54 46 L 54 54 Z")
    courses = ("M 23 52 L 40 52", "M 60 52 L 77 52", "M 22 66 L 37 66", "M 63 66 L 78 66",
               "M 31 52 L 31 66", "M 69 52 L 69 66", "M 15 28 L 85 28")  # fmt: skip
    return Figure(parts, tuple(path(each) for each in courses), (door, window))


def _key() -> Figure:
    """Palewise, the wards uppermost and to dexter, the bow in base."""
    bow = (ring(38, 78, 13, 6), ring(62, 78, 13, 6), ring(50, 90, 12, 5.5))
    shaft = stroke("50,3 50,40 50,76", 8.5, 8.5, 8.5)
    collar = Part(path("M 42 58 L 58 58 L 58 65 L 42 65 Z"))
    wards = Part(
        path("M 50 7 L 18 7 L 18 17 L 27 17 L 27 21 L 18 21 L 18 29 L 27 29 L 27 33 L 18 33 L 18 41 L 50 41 Z")
    )
    return Figure((*bow, wards, shaft, collar))


def _sword() -> Figure:
    """Palewise, the point uppermost."""
    blade = Part(path("M 43 66 L 43.5 13 L 50 0 L 56.5 13 L 57 66 Z"))
    guard = stroke("27,70 38,66.5 50,66 62,66.5 73,70", 7, 6, 7, 6, 7)
    grip = stroke("50,66 50,80 50,92", 6.5, 7.5, 6)
    pommel = Part(circle(50, 94, 6.5))
    return Figure((blade, guard, grip, pommel), (spline("50,14 50,40 50,60"),))


def _anchor() -> Figure:
    """The ring uppermost, the stock beneath it."""
    shank = stroke("50,20 50,55 50,90", 8, 9, 10)
    stock = Part(path("M 27 24 L 73 24 L 73 32 L 27 32 Z"))
    arm = stroke("50,92 30,86 18,66", 10, 9, 7)
    fluke = Part(path("M 14 52 L 31 66 L 21 66 L 8 74 Z"))
    parts = (ring(50, 10, 10, 5), shank, stock, arm, mirror(arm), fluke, mirror(fluke))
    return Figure(parts)


def _annulet() -> Figure:
    return Figure((ring(50, 50, 47, 28),))


def _lozenge() -> Figure:
    return Figure((Part(path("M 50 1 L 88 50 L 50 99 L 12 50 Z")),))


def _oak_leaf() -> Figure:
    right = (
        "M 50 2 C 58 2 62 8 59 15 C 68 12 76 19 71 28 C 69 31 66 32 64 33 C 74 32 82 40 77 49 "
        "C 74 53 70 54 66 54 C 74 55 79 64 73 71 C 68 76 59 76 54 80 L 50 82"
    )
    half = path(right)
    left = np.stack([100 - half[:, 0], half[:, 1]], axis=1)[::-1]
    stem = stroke("50,74 50,88 55,99", 5, 4.5, 4)
    veins = ["50,12 50,45 50,80"]
    veins += ["50,34 57,28 64,25", "50,54 60,48 70,44", "50,72 58,67 67,63"]
    lines = [spline(each) for each in veins]
    lines += [mirror(Part(each)).polygon for each in lines[1:]]
    return Figure((stem, Part(np.concatenate([half, left]))), tuple(lines))


def _cross_crosslet() -> Figure:
    """A cross whose every limb is crossed again."""
    arm = 6.5
    bars = [(50 - arm, 1, 50 + arm, 99), (1, 50 - arm, 99, 50 + arm)]
    bars += [(33, 14, 67, 26), (33, 74, 67, 86), (14, 33, 26, 67), (74, 33, 86, 67)]
    return Figure(tuple(Part(path(f"M {a} {b} L {c} {b} L {c} {d} L {a} {d} Z")) for a, b, c, d in bars))


def _trefoil() -> Figure:
    leaves = [Part(circle(x, y, 20.5)) for x, y in ((50, 22), (26, 52), (74, 52))]
    heart = Part(circle(50, 43, 11))
    slip = stroke("50,44 51,72 62,97", 6, 6.5, 8)
    return Figure((slip, *leaves, heart))
