"""Fetch the pictures of a plan, between planning and the workers, which never touch the network."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from iconoclip.files import write_text
from iconoclip.records import RejectReason

from .config import PrepConfig
from .fetch.pictures import RemotePicture, fetch_pictures
from .fetch.placeholders import FetchedPicture, find_placeholders
from .fetch.report import HostReport, write_letter
from .plan import Plan, Planned
from .progress import Progress


def fetch_planned(
    config: PrepConfig,
    plan: Plan,
    chunks: Sequence[tuple[int, int]],
    *,
    on_chunk: Callable[[int, int], None],
) -> list[HostReport]:
    """Give every remote picture of ``plan`` its file, or the reason why there is none; what is stored is not asked for.

    The host's word on robots and text-and-data mining goes into the record (``tdm``). ``on_chunk(start, stop)`` is
    called when the pictures of one of ``chunks`` (bounds in ``plan.planned``) are all there and some of them are new.

    Raises:
        IconoclipError: no contact is configured, or another run uses the store.
    """
    remote = {n: each.picture for n, each in enumerate(plan.planned) if isinstance(each.picture, RemotePicture)}
    if not remote:
        return []
    places, waiting = list(remote), _Waiting(chunks, set(remote))
    log_path = config.out / "prep.jsonl"
    with Progress("pictures asked for", total=len(remote), unit="img", log_path=log_path) as progress:

        def take(number: int, picture: RemotePicture) -> None:
            place = places[number]
            plan.planned[place] = Planned(replace(plan.planned[place].record, tdm=picture.tdm), picture)
            progress.add(1, from_state=not picture.is_new, failed=picture.reason is not None)
            chunk = waiting.take(place, is_new=picture.is_new)
            if chunk is not None:
                on_chunk(*chunk)

        _, reports = fetch_pictures(config.fetch, config.store_folder, list(remote.values()), on_answer=take)
    _refuse_placeholders(plan)
    return reports


def _refuse_placeholders(plan: Plan) -> None:
    """What a host serves in place of missing pictures is no picture of anything."""
    fetched = [
        FetchedPicture(
            each.record.key, each.record.work_group, each.picture.request.name, each.picture.sha256, each.record.source
        )
        for each in plan.planned
        if isinstance(each.picture, RemotePicture) and each.picture.sha256
    ]
    found = find_placeholders(fetched)
    for place, each in enumerate(plan.planned) if found else ():
        if each.record.key in found and isinstance(each.picture, RemotePicture):
            detail = found[each.record.key]
            picture = replace(each.picture, reason=RejectReason.IMAGE_PLACEHOLDER, detail=detail, path="", sha256="")
            plan.planned[place] = Planned(each.record, picture)


def write_letters(config: PrepConfig, reports: Sequence[HostReport]) -> Path:
    """Write what each host was asked, over all runs, as text that one can send to the library; returns the file."""
    path = config.store_folder / "requests.txt"
    agent = config.fetch.user_agent
    write_text(path, "\n".join(write_letter(report, user_agent=agent) for report in reports))
    return path


class _Waiting:
    """Which chunks still wait for pictures."""

    def __init__(self, chunks: Sequence[tuple[int, int]], places: set[int]) -> None:
        self._chunk_of = {place: chunk for chunk in chunks for place in range(*chunk) if place in places}
        self._left = Counter(self._chunk_of.values())
        self._fresh: set[tuple[int, int]] = set()

    def take(self, place: int, *, is_new: bool) -> tuple[int, int] | None:
        """The chunk of a picture that has come, if it is complete now and holds something new."""
        chunk = self._chunk_of[place]
        self._left[chunk] -= 1
        if is_new:
            self._fresh.add(chunk)
        return chunk if not self._left[chunk] and chunk in self._fresh else None
