"""Harvest web sources: walk their pages, remember every answer, and go on after any interruption.

``run.harvest_collections`` is the door; ``journal`` remembers, ``sweep`` asks, ``document`` is what was answered.
"""
