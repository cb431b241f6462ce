"""The lion rampant and the eagle displayed, drawn limb by limb.

Beasts face dexter, the viewer's left. `lion()` returns a `Figure` in a box about 100 units high.
"""

import math

import numpy as np

from .paths import Figure, Part, circle, mirror, path, spline, stroke


def lion() -> Figure:
    """Rampant: erect on one hind paw, the other three raised."""
    torso = stroke("40,27 45,36 53,48 60,60 61,68", 19, 26, 24, 17, 16, 17)
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
    tongue = stroke("22,23.5 15,23 11,24.5", 2, 1.6, 0.5)
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
        spline("38,10 42,17 41,25 35,31"),
        spline("46,12 49,19 47,26"),
        spline("52,21 51,28 52,33"),
        spline("41,31 43,36 42,41"),
        spline("36,31 35,36 36,40"),
        spline("14,21 19,22.5 25,22"),
        spline("17,15.5 18,18"),
        spline("50,60 52,68 59,73"),
        spline("63,66 68,70"),
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
    """Displayed: the body affronty, wings and legs spread, the head to dexter."""
    body = Part(path("M 50 24 C 59 28 62 40 59 52 C 57 61 54 68 50 76 C 46 68 43 61 41 52 "
                     "C 38 40 41 28 50 24 Z"))  # fmt: skip
    neck = stroke("50,36 52,24 50,11", 15, 9.5, 11)
    head = Part(path("M 57 9 C 57 1 49 -3 43 0 C 39 2 34 5 31 12 C 34 11 37 12 40 12.5 L 35 16.5 "
                     "C 39 17.5 43 17 46 18.5 C 53 20 57 16 57 9 Z"))  # fmt: skip
    tongue = stroke("39,13.5 34,13.5 31,15", 1.6, 1.4, 0.5)
    wing: list[Part] = [stroke("44,38 35,28 24,21 13,19 6,13 8,5 14,3", 18, 13, 11, 9, 7, 5, 1.5)]
    for root, bend, tip in _PINIONS:
        wing.append(stroke(f"{root} {bend} {tip}", 7, 7.6, 6.4, 0.8))
    leg: list[Part] = [
        stroke("46,60 37,69 28,77", 12, 9, 4),
        stroke("28,77 21,77 14,73", 3.6, 3.2, 0.6),
        stroke("28,77 21,81 15,86", 3.6, 3.2, 0.6),
        stroke("28,77 27,85 23,92", 3.6, 3.2, 0.6),
        stroke("28,77 34,80 36,86", 3.6, 2.8, 0.6),
    ]
    tail = [
        stroke("50,70 50,86 50,106", 7, 8, 8, 1.5),
        stroke("49,70 46,86 41,103", 6, 7, 7.5, 1.2),
        stroke("49,70 43,82 34,96", 5, 6, 6.5, 1),
    ]
    halves = [*wing, *leg, *tail[1:]]
    parts = (*(mirror(each) for each in halves), *halves, tail[0], body, neck, tongue, head)
    details = [spline(f"{root} {bend} {tip}")[4:-5] for root, bend, tip in _PINIONS]
    details += [mirror(Part(each)).polygon for each in details]
    chest = ("43,42 50,46 57,42", "42,51 50,55 58,51", "44,60 50,64 56,60")
    details += [spline(each) for each in chest]
    return Figure(parts, tuple(details), (circle(46, 8, 1.9),))


# Root, bend and tip of each flight feather of the dexter wing, outermost first.
_PINIONS = (
    ("11,19", "1,27", "-5,40"),
    ("17,21", "5,39", "0,57"),
    ("23,23", "12,48", "9,69"),
    ("30,27", "20,53", "19,75"),
    ("36,32", "28,55", "28,73"),
    ("42,38", "35,54", "35,66"),
)
