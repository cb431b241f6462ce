"""Readers of what libraries and museums answer: bytes in, :class:`parsed.Parsed` out, without a network.

One module per format; ``answer.parse_answer(data)`` tells which one is meant from the content. Input is never trusted:
the only exception that leaves this package is :class:`parsed.ParseError`.
"""
