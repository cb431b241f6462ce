"""The lion rampant, the eagle displayed and the martlet, drawn limb by limb.

Beasts face dexter, the viewer's left. `lion()` returns a `Figure` in a box about 100 units high.
"""

import math

import numpy as np

from .paths import Figure, Part, circle, mirror, path, spline, stroke


def lion() -> Figure:
    torso = stroke("40,27 45,36 53,48 60,60 61,68", 19, 25, 20, 14, 16, 17)
    mane = Part(
        path(
            "M 26 8 L 33 3 L 36 7 L 44 3 L 45 9 L 54 9 L 52 15 L 60 20 L 55 24 L 61 32 L 55 33 "
            "L 58 43 L 50 41 L 49 50 L 43 44 L 38 52 L 35 44 L 28 46 L 30 38 L 25 30 Z"
        )
    )
    head = Part(
        path(
            "M 40 8 C 36 5 30 5 27 9 C 24 9 20 12 16 15 C 12 16 11 20 14 21 L 22 22 "
            "C 19 24 16 24 14 26 C 15 30 20 31 24 30 C 28 33 36 32 40 27 Z"
        )
    )
    ear = Part(path("M 33 8 C 33 2 37 0 40 1 C 42 5 41 9 38 11 Z"))
    tongue = stroke("21,23.5 14,23 9,25", 3, 2.5, 0.8)
    limbs = (
        stroke("44,33 34,35 24,31 15,21", 15, 11, 8, 6),
        stroke("46,46 37,53 27,53 18,47", 15, 11, 8, 6),
        stroke("58,64 48,67 38,65 34,71 32,79 24,80", 20, 17, 11, 8, 7, 6),
        stroke("62,64 70,73 71,80 63,86 62,93 52,95", 19, 18, 14, 9, 7, 6),
    )
    paws = (
        *_paw(12, 17, 225),
        *_paw(14, 44, 205),
        *_paw(19, 80, 185),
        *_paw(47, 95, 180),
    )
    tail = (
        stroke("66,70 76,73 83,64 79,52 74,42 77,31 85,25", 6, 5, 4.5, 4.5, 4.5, 4),
        stroke("77,45 69,40 66,34", 4.5, 5, 0.6),
        stroke("76,47 84,44 89,38", 4.5, 5, 0.6),
        Part(path("M 82 29 C 74 22 76 12 82 9 C 81 13 83 14 85 10 C 86 6 91 4 94 4 "
                  "C 91 8 92 11 95 12 C 98 17 95 27 86 31 C 85 31 83 31 82 29 Z")),
    )  # fmt: skip
    details = (
        spline("45,13 48,20 46,27"),
        spline("52,21 51,28 52,33"),
        spline("41,31 43,36 42,41"),
        spline("36,31 35,36 36,40"),
        spline("14,21 19,22.5 25,22"),
        spline("17,15.5 18,18"),
        spline("50,60 52,68 59,73"),
        spline("63,66 68,70"),
        spline("44,54 50,60"),
    )
    return Figure((*tail, torso, *limbs, *paws, mane, tongue, ear, head), details, (circle(26, 14, 1.9),))


def _paw(x: float, y: float, toward_deg: float) -> list[Part]:
    """A pad and three spread toes, each ending in a claw."""
    toes: list[Part] = [Part(circle(x, y, 4.6, num_points=20))]
    for spread_deg in (-52, 0, 52):
        angle = math.radians(toward_deg + spread_deg)
        step = np.array([math.cos(angle), math.sin(angle)])
        near, far = np.array([x, y]) + 4 * step, np.array([x, y]) + 9.5 * step
        toes.append(stroke(f"{x},{y} {near[0]},{near[1]} {far[0]},{far[1]}", 4.6, 4.2, 0.6))
    return toes


def eagle() -> Figure:
    body = Part(path("M 50 22 C 60 26 63 38 60 50 C 58 60 54 66 50 72 C 46 66 42 60 40 50 "
                     "C 37 38 40 26 50 22 Z"))  # fmt: skip
    neck = stroke("50,32 51,22 50,13", 15, 11, 10)
    head = Part(path("M 56 12 C 56 5 49 3 44 6 C 41 7 37 9 34 15 C 37 14 39 15 41 16 L 37 20 "
                     "C 41 20 44 20 47 22 C 53 22 56 18 56 12 Z"))  # fmt: skip
    wing: list[Part] = [stroke("45,33 36,22 26,17 16,17 11,12 15,6", 17, 14, 11, 8, 6, 2)]
    roots = ("14,16", "19,18", "25,20", "31,22", "37,27", "42,33")
    tips = ("1,30", "3,47", "10,60", "19,68", "28,70", "36,66")
    bends = ("6,22", "9,32", "16,42", "23,48", "31,50", "38,51")
    for root, bend, tip in zip(roots, bends, tips, strict=True):
        wing.append(stroke(f"{root} {bend} {tip}", 7, 8.5, 7.5, 1.2))
    leg: list[Part] = [
        stroke("46,58 38,66 31,74", 12, 9, 4.5),
        stroke("31,74 25,76 19,73", 4, 3.5, 0.8),
        stroke("31,74 25,80 20,84", 4, 3.5, 0.8),
        stroke("31,74 31,81 28,88", 4, 3.5, 0.8),
        stroke("31,74 36,77 38,81", 4, 3, 0.8),
    ]
    tail = [
        stroke("50,66 50,80 50,98", 8, 8, 9, 2),
        stroke("49,68 45,81 40,95", 6, 7, 8, 1.5),
        stroke("49,68 43,78 35,87", 5, 6, 6.5, 1.2),
    ]
    halves = [*wing, *leg, *tail[1:]]
    parts = (*(mirror(each) for each in halves), *halves, tail[0], body, neck, head)
    details = [spline(f"{root} {bend} {tip}")[10:-3] for root, bend, tip in zip(
        ("16,17", "22,19", "28,21", "34,25", "40,31"),
        ("7.5,27", "12.5,37", "19.5,45", "27,49", "34.5,50.5"),
        ("2,39", "7,54", "15,64", "24,69", "32,68"), strict=True)]  # fmt: skip
    details += [mirror(Part(each)).polygon for each in details]
    details += [spline("44,40 50,44 56,40"), spline("43,48 50,52 57,48"), spline("45,56 50,60 55,56")]
    return Figure(parts, tuple(details), (circle(46, 11, 1.7),))


def martlet() -> Figure:
    """A swallow-like bird with neither legs nor feet: tufts of feathers in their place."""
    body = Part(
        path(
            "M 4 30 L 14 27 C 17 16 30 14 37 24 C 40 30 46 33 54 34 C 66 35 78 42 87 47 L 116 50 "
            "L 98 57 L 114 68 L 86 64 C 78 74 66 78 56 78 C 38 78 22 66 20 50 C 19 44 18 40 15 36 Z"
        )
    )
    tufts = (
        Part(path("M 40 72 L 36 88 L 43 83 L 45 92 L 50 83 L 54 90 L 55 74 Z")),
        Part(path("M 56 74 L 57 88 L 62 82 L 66 89 L 68 80 L 73 83 L 70 70 Z")),
    )
    wing = spline("40,42 52,52 68,55 88,52")
    feather = spline("38,50 50,62 64,64 78,60")
    return Figure((*tufts, body), (wing, feather), (circle(24, 26, 2.6),))
