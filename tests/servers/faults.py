"""A picture server on which every picture has one of ten faults, a tenth of them each; most pass, some stay.

Picture ``n`` has fault ``n % 10``. Four in five recover after one or two bad answers, one in five never does (a picture
with the wrong content type is always good: its bytes say what it is; a redirect that never recovers is a loop).
``time_scale_s`` is the server's idea of a second, so that tests are fast.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from .http import Request, Response

FAULTS: Final = (
    "throttled", "unavailable", "error", "timeout", "truncated", "wrong_type", "html", "redirect", "drip", "reset",
)  # fmt: skip
_HTML = b"<!DOCTYPE html><html><head><title>Wartungsarbeiten</title></head><body>Bitte warten.</body></html>"
_JPEG = {"Content-Type": "image/jpeg"}


def fault_of(number: int) -> str:
    """Which fault picture ``number`` has."""
    return FAULTS[number % 10]


def is_recoverable(number: int) -> bool:
    """Whether picture ``number`` arrives in the end."""
    return number // 10 % 5 != 4 or fault_of(number) == "wrong_type"


def num_bad_answers(number: int) -> int:
    """How many bad answers come before the good one."""
    return 1 + number // 50 % 2


class FaultyPictures:
    """Answers ``/picture/<n>.jpg``; ``is_clean`` leaves all faults out."""

    def __init__(self, pictures: Sequence[bytes], *, time_scale_s: float = 1.0, is_clean: bool = False) -> None:
        self._pictures, self._scale, self._is_clean = pictures, time_scale_s, is_clean
        self._asked: Counter[int] = Counter()

    def __call__(self, request: Request) -> Response:
        if not request.path.startswith("/picture/"):
            return Response(404)
        number = int(request.path.removeprefix("/picture/").removesuffix(".jpg"))
        good = Response(body=self._pictures[number % len(self._pictures)], headers=_JPEG)
        if self._is_clean:
            return good
        if fault_of(number) == "redirect":
            return self._redirect(number, request, good)
        self._asked[number] += 1
        if (
            is_recoverable(number)
            and self._asked[number] > num_bad_answers(number)
            and fault_of(number) != "wrong_type"
        ):
            return good
        return self._bad(number, good)

    def _bad(self, number: int, good: Response) -> Response:
        match fault_of(number):
            case "throttled" if number // 10 % 2:
                return Response(429, headers={"Retry-After": f"{self._scale:g}"})
            case "throttled":
                return Response(429)
            case "unavailable" if number // 10 % 2:
                return Response(503, headers={"Retry-After": f"{self._scale:g}"})
            case "unavailable":
                return Response(503)
            case "error":
                return Response(500, body=b"Traceback")
            case "timeout":
                return Response(delivery="hang")
            case "truncated" if number // 10 % 2:
                return Response(body=good.body, headers=_JPEG, delivery="truncated")
            case "truncated":  # a length that nobody stated: only the picture itself can tell
                half = good.body[: len(good.body) // 2]
                return Response(body=half, headers=_JPEG, delivery="until_close")
            case "wrong_type":
                return Response(body=good.body, headers={"Content-Type": "text/plain"})
            case "html":
                return Response(body=_HTML, headers={"Content-Type": "text/html"})
            case "drip":
                return Response(body=good.body, headers=_JPEG, delivery="drip", delay_s=self._scale)
            case _:
                return Response(delivery="reset")

    def _redirect(self, number: int, request: Request, good: Response) -> Response:
        if not is_recoverable(number):
            return Response(302, headers={"Location": f"/picture/{number}.jpg"})
        hops = request.target.count("x")
        if hops >= num_bad_answers(number):
            return good
        return Response(301 + 6 * (number % 2), headers={"Location": f"{number}.jpg?{'x' * (hops + 1)}"})
