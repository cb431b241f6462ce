"""A small HTTP/1.1 server on asyncio whose answers may be late, cut off, dripping or reset, and which counts.

    async with LocalServer(answer) as server:   # answer: Request -> Response
        ... server.url, server.requests, server.max_in_flight

A request is in flight from its last header line until its answer has been handed to the kernel or the client is gone.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

_DRIPS = 64

Delivery = Literal["whole", "truncated", "reset", "hang", "drip", "until_close"]


@dataclass(frozen=True)
class Request:
    """What a client asked; ``at_s`` on the monotonic clock."""

    target: str
    headers: dict[str, str]
    at_s: float

    @property
    def path(self) -> str:
        """Decoded path, without the query."""
        return unquote(urlsplit(self.target).path)


@dataclass(frozen=True)
class Response:
    """What is answered, and how: ``truncated`` sends half, ``drip`` a 64th every ``delay_s``."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delivery: Delivery = "whole"
    delay_s: float = 0.0


Answer = Callable[[Request], Response | Awaitable[Response]]


class LocalServer:
    """Serves ``answer`` on a free port of the loopback."""

    def __init__(self, answer: Answer, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._answer, self._port, self._tls = answer, port, tls
        self.requests: list[Request] = []
        self.in_flight = self.max_in_flight = 0
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._tls, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 1)

    @property
    def host(self) -> str:
        """``127.0.0.1:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Address without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def paths(self) -> list[str]:
        """Paths that were asked for, in order, robots.txt and tdmrep.json left out."""
        return [each.path for each in self.requests if each.path not in ("/robots.txt", "/.well-known/tdmrep.json")]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                self.in_flight += 1
                self.max_in_flight = max(self.max_in_flight, self.in_flight)
                try:
                    response = self._answer(request)
                    if not isinstance(response, Response):
                        response = await response
                    is_over = await _deliver(response, reader, writer)
                finally:
                    self.in_flight -= 1
                if is_over:
                    return
        except (ConnectionError, asyncio.CancelledError, TimeoutError):
            return
        finally:
            self._connections.discard(task)
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *lines = text.strip().split("\r\n")
    pairs = (header.partition(":") for header in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Request(line.split(" ")[1], headers, time.monotonic())


async def _deliver(response: Response, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Send; return whether the connection is over."""
    if response.delivery == "hang":
        await reader.read()  # until the client gives up
        return True
    if response.delivery == "reset":
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        return True
    if response.delay_s and response.delivery != "drip":
        await asyncio.sleep(response.delay_s)
    writer.write(_head(response))
    body = response.body
    if response.delivery == "drip":
        return await _drip(response, reader, writer)
    writer.write(body[: len(body) // 2] if response.delivery == "truncated" else body)
    await writer.drain()
    return response.delivery in ("truncated", "until_close")


async def _drip(response: Response, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    gone = asyncio.ensure_future(reader.read())
    try:
        step = max(1, len(response.body) // _DRIPS)
        for start in range(0, len(response.body), step):
            writer.write(response.body[start : start + step])
            done, _ = await asyncio.wait([gone], timeout=response.delay_s)
            if done:
                return True
    finally:
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await gone
    return True


def _head(response: Response) -> bytes:
    headers = dict(response.headers)
    names = {name.lower() for name in headers}
    if "content-length" not in names and response.delivery != "until_close":
        headers["Content-Length"] = str(len(response.body))
    if response.delivery == "until_close":
        headers["Connection"] = "close"
    lines = [f"HTTP/1.1 {response.status} X", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
