"""The seam to the pipeline: a picture that lies at a library until it is fetched, and then in the fetch store.

A source yields ``Item(record, RemotePicture(PictureRequest(...)))``. Between planning and the workers,
:func:`fetch_pictures` asks for all of them and gives back pictures that know their file; workers never touch the
network.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from iconoclip.records import RejectReason

from ..sources.base import Box, PictureError
from .answers import Answer, Fetched
from .fetcher import Fetcher
from .image_sizes import ImageService
from .images import PictureFetcher, PictureRequest, mix_hosts
from .policy import FetchConfig
from .report import HostReport


@dataclass(frozen=True, slots=True)
class RemotePicture:
    """A picture at a library; after fetching either ``path`` and ``sha256`` or ``reason`` are set.

    ``tdm`` is what the host said about robots and mining, for ``Record.tdm``; ``note`` what is odd about the size;
    ``is_new`` says that it was not in the store before. ``box`` is cut out of what came; a part that the service itself
    gives is a matter of the request.
    """

    request: PictureRequest
    turn_deg: int = 0
    path: str = ""
    sha256: str = ""
    reason: RejectReason | None = None
    detail: str = ""
    tdm: str = ""
    note: str = ""
    is_new: bool = False
    box: Box | None = None

    def fingerprint(self) -> str:
        """The bytes' own hash once they are here; before, what was asked for."""
        part = f":{self.box}" if self.box else ""
        return f"remote:{self.sha256 or self.reason or self.request.name}:{self.turn_deg}{part}"

    def read(self) -> bytes:
        """The encoded picture, compared with its hash.

        Raises:
            PictureError: it was not fetched, or its file is gone or damaged.
        """
        if self.reason is not None:
            raise PictureError(self.reason, self.detail)
        if not self.path:
            raise PictureError(RejectReason.FETCH_FAILED, "not fetched yet")
        try:
            data = Path(self.path).read_bytes()
        except OSError as error:
            raise PictureError(RejectReason.FETCH_FAILED, f"{self.path}: {error.strerror}; run again") from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            Path(self.path).unlink(missing_ok=True)  # the next run asks for it again
            raise PictureError(RejectReason.FETCH_FAILED, f"{self.path}: damaged on disk, now removed; run again")
        return data

    def file_sha256(self, data: bytes) -> str:
        """The hash that :meth:`read` has compared: the same bytes from two addresses are the same picture."""
        return self.sha256

    def resolved(self, answer: Answer) -> "RemotePicture":
        """This picture with what came of its request."""
        tdm = answer.signals.to_text()
        is_new = not answer.from_store
        if isinstance(answer, Fetched):
            return replace(self, path=str(answer.path), sha256=answer.sha256, tdm=tdm, note=answer.note, is_new=is_new)
        return replace(self, reason=answer.reject_reason, detail=answer.text, tdm=tdm, is_new=is_new)


def is_web_address(text: str) -> bool:
    """Whether ``text`` is an address that can be asked for; other schemes are file names, which are not there."""
    return text.lower().startswith(("http://", "https://"))


def remote_picture(address: str, *, size_px: int, turn_deg: int = 0) -> RemotePicture:
    """The picture at an address: a IIIF image service where it ends in ``/info.json``, else a file as it is."""
    service = ImageService(address.removesuffix("/info.json")) if address.endswith("/info.json") else None
    return RemotePicture(PictureRequest("" if service else address, service, size_px), turn_deg)


def fetch_pictures(
    config: FetchConfig,
    folder: Path,
    pictures: Sequence[RemotePicture],
    *,
    on_answer: Callable[[int, RemotePicture], None] = lambda position, picture: None,
) -> tuple[list[RemotePicture], list[HostReport]]:
    """Fetch all ``pictures``, in their order in the result, and report what each host was asked.

    Pictures of the same request are fetched once. ``on_answer`` gets the position of each picture and the picture with
    what came of it, as answers come.

    Raises:
        IconoclipError: no contact is configured, or another fetch uses ``folder``.
    """
    return asyncio.run(_fetch_pictures(config, folder, pictures, on_answer))


async def _fetch_pictures(
    config: FetchConfig,
    folder: Path,
    pictures: Sequence[RemotePicture],
    on_answer: Callable[[int, RemotePicture], None],
) -> tuple[list[RemotePicture], list[HostReport]]:
    places: dict[str, list[int]] = {}
    for position, picture in enumerate(pictures):
        places.setdefault(picture.request.name, []).append(position)
    done = list(pictures)
    async with Fetcher(config, folder) as fetcher:
        requests = mix_hosts(pictures[positions[0]].request for positions in places.values())
        async for answer in PictureFetcher(fetcher).fetch_all(requests):
            for position in places[answer.request.name]:
                done[position] = done[position].resolved(answer)
                on_answer(position, done[position])
        return done, fetcher.report()
