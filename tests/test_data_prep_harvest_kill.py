"""A harvest that is killed at ten random moments ends with the same shards as one that is left alone."""

import asyncio
import hashlib
import itertools
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from servers.http import LocalServer, Request, Response
from servers.oai import OaiRecord, OaiRepository, write_dc
from servers.replay import draw_picture

NUM_RECORDS = 100
NUM_KILLS = 10
CONCURRENT = 8


class _Library:
    """A repository and its pictures on one loopback port, a little slow; counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __enter__(self) -> "_Library":
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = LocalServer(self._answer)
        asyncio.run_coroutine_threadsafe(self._server.__aenter__(), self._loop).result(10)
        self.url = self._server.url
        self._repository = OaiRepository([self._record(n) for n in range(NUM_RECORDS)], page_size=20)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._server.__aexit__(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _record(self, number: int) -> OaiRecord:
        fields = {
            "identifier": f"{self.url}/object/{number}",
            "title": f"A view of tower number {number}",
            "rights": "https://creativecommons.org/publicdomain/mark/1.0/",
            "relation": f"{self.url}/picture/{number}.jpg",
            "format": "image/jpeg",
        }
        metadata = write_dc(**fields)
        return OaiRecord(f"oai:library:{number}", f"2026-01-{1 + number // 20:02d}T10:{number % 60:02d}:00Z", metadata)

    async def _answer(self, request: Request) -> Response:
        self.asked[request.target] += 1
        if request.path in ("/robots.txt", "/.well-known/tdmrep.json"):
            return Response(404)
        await asyncio.sleep(0.02)
        return draw_picture(request) if request.path.startswith("/picture/") else self._repository(request)


@pytest.fixture
def library() -> Iterator[_Library]:
    with _Library() as library:
        yield library


def write_config(folder: Path, library: _Library) -> Path:
    config = {
        "verb": "prep", "name": "set", "out": str(folder / "out"), "workers": 1, "image": {"max_px": 96},
        "fetch": {
            "contact": "curator@library.example", "allow_private": ["127.0.0.1"],
            "default": {"requests_per_s": None, "max_concurrent": CONCURRENT},
        },
        "collections": {
            "views": {"kind": "oai_pmh", "url": f"{library.url}/oai", "institution": "The Library", "language": "en",
                      "rights": {"text": {"value": "CC0 1.0", "asserted_by": "The Library", "source_url": library.url}}}
        },
    }  # fmt: skip
    path = folder / "prep.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def start(config: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "data_prep", str(config)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(config: Path) -> None:
    process = start(config)
    _, problem = process.communicate(timeout=120)
    assert process.returncode == 0, problem


def hash_tars(folder: Path) -> dict[str, str]:
    tars = sorted((folder / "out").rglob("*.tar"))
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in tars}


def test_killed_harvest_gives_the_same_shards(library: _Library, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    began = time.monotonic()
    finish(write_config(whole, library))
    seconds = time.monotonic() - began
    single, expected = Counter(library.asked), hash_tars(whole)
    assert len(expected) >= 2
    assert single.total() > NUM_RECORDS

    dice, num_kills = random.Random(20261120), 0
    for number in itertools.count():  # a run that is through before the tenth kill is followed by a fresh one
        if num_kills == NUM_KILLS:
            break
        folder = tmp_path / f"killed-{number}"
        folder.mkdir()
        config = write_config(folder, library)
        library.asked.clear()
        kills_here = 0
        while num_kills < NUM_KILLS and kill(config, after_s=dice.uniform(0.2, 0.8) * seconds):
            num_kills += 1
            kills_here += 1
        finish(config)
        assert hash_tars(folder) == expected
        assert set(library.asked) == set(single)
        repeated = library.asked.total() - single.total()
        assert repeated <= kills_here * CONCURRENT, "only what was in flight is asked for again"


def kill(config: Path, *, after_s: float) -> bool:
    """Start the run and kill it after a time; say whether it was still running."""
    process = start(config)
    try:
        process.wait(timeout=after_s)
    except subprocess.TimeoutExpired:
        return True
    finally:
        process.kill()
        process.communicate()
    return False
