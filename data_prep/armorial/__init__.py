"""The armorial, a collection the project makes itself from a grammar of blazon."""

from .draw import draw
from .grammar import Arms
from .rolls import ROLLS, ArmorialEntry, Roll, generate

__all__ = ["ROLLS", "ArmorialEntry", "Arms", "Roll", "draw", "generate"]
