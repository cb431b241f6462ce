"""The shared core of iconoclip: what preparing, training and evaluating have in common."""

__version__ = "0.1.0"
