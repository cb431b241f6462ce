"""Our side of ``benchmarks/fetch.py``: fetch, convert in processes, write tars and ledger."""

import argparse
import asyncio
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from data_prep.fetch.fetcher import Fetcher
from data_prep.fetch.images import PictureFetcher, PictureRequest
from data_prep.fetch.pictures import RemotePicture
from data_prep.fetch.policy import FetchConfig, HostPolicy
from data_prep.images import normalise_picture
from data_prep.ledger import write_rejected
from data_prep.sources.base import PictureError
from iconoclip.provenance import utc_now
from iconoclip.records import Caption, Record, Rejection, RejectReason
from iconoclip.shards import Sample, plan_shards, write_ledger, write_shard

CHUNK_SIZE = 32


@dataclass(frozen=True)
class Converted:
    """A picture in a chunk file, or why it is none."""

    tag: str
    path: str = ""
    offset: int = 0
    length: int = 0
    sha256: str = ""
    size: tuple[int, int] = (0, 0)
    orig_size: tuple[int, int] = (0, 0)
    reason: RejectReason | None = None
    detail: str = ""


def run_ours(url: str, out: Path, options: argparse.Namespace) -> None:
    """Fetch ``options.pictures`` pictures from ``url`` into ``out``."""
    out.mkdir()
    asyncio.run(_run(url, out, options))


async def _run(url: str, out: Path, options: argparse.Namespace) -> None:
    from fetch import MAX_ATTEMPTS, TIMEOUT_S

    policy = HostPolicy(
        max_concurrent=options.concurrency,
        requests_per_s=None,
        max_attempts=MAX_ATTEMPTS,
        backoff_s=0.25,
        breaker_failures=200,
        read_timeout_s=TIMEOUT_S,
        connect_timeout_s=TIMEOUT_S,
        total_timeout_s=TIMEOUT_S,
    )
    config = FetchConfig(contact="benchmark@library.example", default=policy, allow_private=("127.0.0.1",))
    requests = [PictureRequest(f"{url}/picture/{n}.jpg", tag=str(n)) for n in range(options.pictures)]
    (out / "chunks").mkdir()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        await asyncio.gather(*(_convert_later(pool, (), out, -n) for n in range(1, options.processes + 1)))  # start
        chunks, waiting = [], []
        async with Fetcher(config, out / "fetch") as fetcher:
            async for answer in PictureFetcher(fetcher).fetch_all(requests):
                request = PictureRequest(answer.request.url, tag=answer.request.tag)
                waiting.append(RemotePicture(request).resolved(answer))
                if len(waiting) == CHUNK_SIZE:
                    chunks.append(_convert_later(pool, waiting, out, len(chunks)))
                    waiting = []
        chunks.append(_convert_later(pool, waiting, out, len(chunks)))
        converted = [each for chunk in await asyncio.gather(*chunks) for each in chunk]
    _write(out, sorted(converted, key=lambda each: int(each.tag)), url)


def _convert_later(
    pool: ProcessPoolExecutor, pictures: Sequence[RemotePicture], out: Path, number: int
) -> "asyncio.Future[list[Converted]]":
    path = out / "chunks" / f"{number:05d}"
    return asyncio.get_running_loop().run_in_executor(pool, convert, tuple(pictures), path)


def convert(pictures: Sequence[RemotePicture], path: Path) -> list[Converted]:
    """Normalise pictures into one file."""
    done = []
    with path.open("wb") as file:
        for picture in pictures:
            tag = picture.request.tag
            try:
                data = picture.read()
                made = normalise_picture(data, max_px=512, quality=90, max_source_px=300_000_000)
            except PictureError as error:
                done.append(Converted(tag, reason=error.reason, detail=error.detail))
                continue
            sizes = made.image.size, (made.orig_width, made.orig_height)
            done.append(Converted(tag, str(path), file.tell(), len(made.jpeg), picture.sha256, *sizes))
            file.write(made.jpeg)
    return done


def _write(out: Path, converted: Sequence[Converted], url: str) -> None:
    kept, rejected = [], []
    for each in converted:
        record = Record(
            id=each.tag,
            source="benchmark",
            institution="Loopback",
            image_url=f"{url}/picture/{each.tag}.jpg",
            captions=(Caption(f"picture {each.tag}", "en", "title"),),
            split="train",
        )
        if each.reason is not None:
            rejected.append(Rejection(record.id, record.source, record.institution, "image", each.reason, each.detail))
            continue
        width, height = each.size
        orig_width, orig_height = each.orig_size
        record = replace(
            record, width=width, height=height, orig_width=orig_width, orig_height=orig_height, sha256=each.sha256
        )
        kept.append((record, each))
    placed = []
    for number, run in enumerate(plan_shards([each.length for _, each in kept])):
        samples = (_sample(*kept[position]) for position in run)
        placed += write_shard(out, f"train/benchmark-{number:05d}.tar", samples)[1]
    write_ledger(out, "train", placed, [record for record, _ in kept])
    write_rejected(out, rejected, now=utc_now())


def _sample(record: Record, each: Converted) -> Sample:
    with Path(each.path).open("rb") as file:
        file.seek(each.offset)
        return Sample(file.read(each.length), record.captions[0].text, record)
