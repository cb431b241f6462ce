"""Libraries' hosts on the loopback: every connection of the fetcher ends here, under the real names, with real TLS.

    with ReplayWorld({"oai.bnf.fr": answer_oai, "openapi.bnf.fr": answer_iiif}, tmp_path) as world:
        world.enter(monkeypatch)
        run_prep(PrepConfig.load(path))
    world.requests  # [(host, target), ...]; world.strays: hosts that nobody plays

The servers run in a thread of their own. ``draw_picture`` answers IIIF image requests with a picture of the size that
was asked for; what it draws depends on the identifier alone.
"""

import asyncio
import hashlib
import io
import json
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import httpcore2
import numpy as np
import pytest
from PIL import Image

from data_prep.fetch import transport

from .http import LocalServer, Request, Response

Answer = Callable[[Request], Response]

_SIZE = re.compile(r"/full/(?P<size>[^/]+)/0/(?:default|native)\.jpg$")


class ReplayWorld:
    """Plays the hosts of ``answers``; ``files`` (by host and path) may hold their robots.txt and tdmrep.json."""

    def __init__(self, answers: Mapping[str, Answer], folder: Path) -> None:
        self.answers, self._folder = answers, folder
        self.files: dict[tuple[str, str], Response] = {}
        self.requests: list[tuple[str, str]] = []
        self.strays: list[str] = []

    def __enter__(self) -> Self:
        self._certificate = _make_certificate(self._folder, sorted(self.answers))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers = [LocalServer(self._answer), LocalServer(self._answer, tls=self._tls())]
        for server in self._servers:
            self._run(server.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            self._run(server.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let every fetcher of this process connect to this world and trust its certificate."""
        ports = {80: self._servers[0].port, 443: self._servers[1].port}
        inner: Any = httpcore2.AnyIOBackend()

        async def connect(backend: object, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
            if host not in self.answers or port not in ports:
                self.strays.append(host)
                raise httpcore2.ConnectError(f"{host} is not played here")
            return await inner.connect_tcp("127.0.0.1", ports[port], *args, **kwargs)

        context = ssl.create_default_context(cafile=str(self._certificate))
        monkeypatch.setattr(transport.GuardedBackend, "connect_tcp", connect)
        monkeypatch.setattr(transport.httpcore2, "default_ssl_context", lambda: context)

    def pictures(self, host: str) -> list[str]:
        """Targets of IIIF image requests to a host."""
        return [target for target in self.asked(host) if "/full/" in target]

    def asked(self, host: str) -> list[str]:
        """Targets that a host was asked for, robots.txt and tdmrep.json left out."""
        return [
            target
            for name, target in self.requests
            if name == host and target not in ("/robots.txt", "/.well-known/tdmrep.json")
        ]

    def _answer(self, request: Request) -> Response:
        host = request.headers.get("host", "").partition(":")[0]
        self.requests.append((host, request.target))
        if request.path in ("/robots.txt", "/.well-known/tdmrep.json"):
            return self.files.get((host, request.path), Response(404))
        return self.answers[host](request)

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._folder / "key.pem")
        return context

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)


def _make_certificate(folder: Path, hosts: list[str]) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program is not installed")
    names = ",".join(f"DNS:{host}" for host in hosts)
    certificate = folder / "certificate.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=replay", "-addext", f"subjectAltName={names}", "-keyout", folder / "key.pem", "-out", certificate,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return certificate


def params(request: Request) -> dict[str, str]:
    """Query parameters of a request."""
    return dict(parse_qsl(urlsplit(request.target).query, keep_blank_values=True))


def draw_picture(request: Request, *, full: tuple[int, int] = (1600, 1200)) -> Response:
    """A JPEG for any address: of the size asked for where it is a IIIF image request, else of 640 x 480 px.

    An ``info.json`` says that the picture has the size ``full`` (pixels).
    """
    if request.path.endswith("/info.json"):
        return _info(request, full)
    found = _SIZE.search(request.path)
    name = request.path[: found.start()] if found else unquote(request.target)
    width, height = _size(found["size"], full) if found else (640, 480)
    seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
    blocks = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=80)
    return Response(body=buffer.getvalue(), headers={"Content-Type": "image/jpeg"})


def _info(request: Request, full: tuple[int, int]) -> Response:
    name = f"https://{request.headers['host']}{request.path.removesuffix('/info.json')}"
    info = {"@context": "http://iiif.io/api/image/3/context.json", "id": name, "type": "ImageService3"}
    info |= {"profile": "level2", "protocol": "http://iiif.io/api/image", "width": full[0], "height": full[1]}
    return Response(body=json.dumps(info).encode(), headers={"Content-Type": "application/ld+json"})


def _size(text: str, full: tuple[int, int]) -> tuple[int, int]:
    width, height = full
    bounds = [int(number) for number in re.findall(r"\d+", text)]
    if not bounds:
        return full
    scale = min(bounds[0] / width, bounds[-1] / height) if text.startswith("!") else bounds[0] / width
    return max(1, round(width * scale)), max(1, round(height * scale))


def file_answer(path: Path, content_type: str = "text/xml") -> Response:
    """A stored answer as it is."""
    return Response(body=path.read_bytes(), headers={"Content-Type": content_type})
