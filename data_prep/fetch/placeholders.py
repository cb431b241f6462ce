"""Find the "no picture available" card that a host serves with 200 for whatever it cannot show; a pure function.

``find_placeholders(pictures)`` -> record key -> what to write in the ledger. The card shows by repetition: the same
bytes for many addresses of many works. A photograph that several records share does not repeat like that: its records
ask for one address, or belong to one work.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from .redaction import redact

MIN_TIMES = 5


class FetchedPicture(NamedTuple):
    """A picture that came: for which record and work of which collection, for which request (``PictureRequest.name``).

    ``work`` is a name within its collection; ``sha256`` that of the bytes as the host sent them.
    """

    key: str
    work: str
    request_name: str
    sha256: str
    collection: str

    @property
    def host(self) -> str:
        """Host that was asked first; a redirect to the card does not change it."""
        return urlsplit(self.request_name).netloc.lower()


def find_placeholders(pictures: Iterable[FetchedPicture], *, min_times: int = MIN_TIMES) -> dict[str, str]:
    """Keys of the records whose picture is a placeholder, sorted, with a sentence that says why.

    A placeholder came from one host for at least ``min_times`` (2 or more) different requests and at least as many
    different works. The order of ``pictures`` makes no difference.
    """
    assert min_times > 1
    same_bytes: dict[tuple[str, str], list[FetchedPicture]] = defaultdict(list)
    for picture in pictures:
        same_bytes[picture.host, picture.sha256].append(picture)
    found: dict[str, str] = {}
    for several in same_bytes.values():
        requests = {each.request_name for each in several}
        works = {_work(each) for each in several}
        if min(len(requests), len(works)) >= min_times:
            found |= _describe(several, num_others=len(works) - 1)
    return dict(sorted(found.items()))


def _describe(several: list[FetchedPicture], *, num_others: int) -> dict[str, str]:
    """Each record is shown one address of another work, so that a person can look at both."""
    first = min(several, key=_order)
    second = min((each for each in several if _work(each) != _work(first)), key=_order)
    return {
        each.key: f"the same picture came for {num_others:,} other works: "
        + _address(second if _work(each) == _work(first) else first)
        for each in several
    }


def _work(picture: FetchedPicture) -> tuple[str, str]:
    return picture.collection, picture.work


def _order(picture: FetchedPicture) -> tuple[str, str, str]:
    return picture.request_name, picture.collection, picture.work


def _address(picture: FetchedPicture) -> str:
    return redact(picture.request_name.partition(" ")[0])  # behind the space stands the size
