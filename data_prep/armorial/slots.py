"""The boxes charges are fitted into, by arrangement and ordinary.

    slots_for("around", "fess")  ->  three slots: two in chief, one in base

Shield coordinates, as in `shields`: x from 0 to 1, y from 0 in chief.
"""

from .grammar import OrdinaryKind

Slot = tuple[float, float, float, float]  # centre x, centre y, width, height


def slots_for(arrangement: str, ordinary: OrdinaryKind | None) -> tuple[Slot, ...]:
    """As many slots as there are charges, in the order they are blazoned."""
    if arrangement == "on":
        return _SLOTS_ON[ordinary or "fess"]
    if arrangement == "around":
        return _SLOTS_AROUND[ordinary or "fess"]
    if ordinary == "chief":
        return _SLOTS_UNDER_CHIEF[arrangement]
    if ordinary == "bordure" and arrangement in _SLOTS_IN_BORDURE:
        return _SLOTS_IN_BORDURE[arrangement]
    return _SLOTS[arrangement]


_SLOTS: dict[str, tuple[Slot, ...]] = {
    "alone": ((0.5, 0.53, 0.84, 0.90),),
    "in_fess": ((0.26, 0.48, 0.41, 0.60), (0.74, 0.48, 0.41, 0.60)),
    "in_pale": ((0.5, 0.29, 0.60, 0.44), (0.5, 0.80, 0.60, 0.44)),
    "two_and_one": ((0.27, 0.28, 0.40, 0.44), (0.73, 0.28, 0.40, 0.44), (0.5, 0.79, 0.40, 0.44)),
    "two_and_two": (
        (0.28, 0.27, 0.38, 0.40), (0.72, 0.27, 0.38, 0.40),
        (0.31, 0.73, 0.38, 0.40), (0.69, 0.73, 0.38, 0.40),
    ),
    "in_saltire": (
        (0.22, 0.20, 0.28, 0.31), (0.78, 0.20, 0.28, 0.31), (0.5, 0.49, 0.28, 0.31),
        (0.27, 0.78, 0.28, 0.31), (0.73, 0.78, 0.28, 0.31),
    ),
    "three_two_one": (
        (0.19, 0.20, 0.27, 0.30), (0.5, 0.20, 0.27, 0.30), (0.81, 0.20, 0.27, 0.30),
        (0.345, 0.535, 0.27, 0.30), (0.655, 0.535, 0.27, 0.30), (0.5, 0.87, 0.27, 0.30),
    ),
}  # fmt: skip
_SLOTS_UNDER_CHIEF: dict[str, tuple[Slot, ...]] = {
    "alone": ((0.5, 0.70, 0.60, 0.60),),
    "in_fess": ((0.27, 0.62, 0.36, 0.46), (0.73, 0.62, 0.36, 0.46)),
    "two_and_one": ((0.28, 0.54, 0.32, 0.29), (0.72, 0.54, 0.32, 0.29), (0.5, 0.88, 0.32, 0.29)),
}
_SLOTS_IN_BORDURE: dict[str, tuple[Slot, ...]] = {
    "two_and_one": (
        (0.325, 0.335, 0.31, 0.35), (0.675, 0.335, 0.31, 0.35), (0.5, 0.73, 0.31, 0.35),
    ),
}  # fmt: skip
_SLOTS_AROUND: dict[str, tuple[Slot, ...]] = {
    "fess": ((0.25, 0.20, 0.34, 0.29), (0.75, 0.20, 0.34, 0.29), (0.5, 0.87, 0.34, 0.30)),
    "pale": ((0.18, 0.44, 0.25, 0.42), (0.82, 0.44, 0.25, 0.42)),
    "bend": ((0.73, 0.26, 0.36, 0.36), (0.30, 0.76, 0.36, 0.36)),
    "bend_sinister": ((0.27, 0.26, 0.36, 0.36), (0.70, 0.76, 0.36, 0.36)),
    "chevron": ((0.22, 0.23, 0.33, 0.34), (0.78, 0.23, 0.33, 0.34), (0.5, 0.90, 0.31, 0.28)),
    "cross": (
        (0.205, 0.19, 0.29, 0.28), (0.795, 0.19, 0.29, 0.28),
        (0.22, 0.73, 0.29, 0.28), (0.78, 0.73, 0.29, 0.28),
    ),
    "saltire": (
        (0.5, 0.16, 0.27, 0.25), (0.165, 0.50, 0.27, 0.25),
        (0.835, 0.50, 0.27, 0.25), (0.5, 0.86, 0.27, 0.25),
    ),
    "pall": ((0.5, 0.17, 0.28, 0.26), (0.215, 0.64, 0.30, 0.32), (0.785, 0.64, 0.30, 0.32)),
}  # fmt: skip
_SLOTS_ON: dict[str, tuple[Slot, ...]] = {
    "chief": ((0.2, 0.185, 0.25, 0.25), (0.5, 0.185, 0.25, 0.25), (0.8, 0.185, 0.25, 0.25)),
    "fess": ((0.2, 0.53, 0.24, 0.22), (0.5, 0.53, 0.24, 0.22), (0.8, 0.53, 0.24, 0.22)),
    "pale": ((0.5, 0.19, 0.24, 0.26), (0.5, 0.53, 0.24, 0.26), (0.5, 0.87, 0.24, 0.26)),
    "bend": ((0.23, 0.23, 0.20, 0.20), (0.47, 0.47, 0.20, 0.20), (0.71, 0.71, 0.20, 0.20)),
    "chevron": ((0.5, 0.49, 0.19, 0.19), (0.27, 0.70, 0.19, 0.19), (0.73, 0.70, 0.19, 0.19)),
    "cross": (
        (0.5, 0.47, 0.18, 0.18), (0.5, 0.16, 0.18, 0.18), (0.5, 0.80, 0.18, 0.18),
        (0.19, 0.47, 0.18, 0.18), (0.81, 0.47, 0.18, 0.18),
    ),
}  # fmt: skip
