"""The connection pool: HTTP/1.1 and HTTP/2, to addresses that were checked at the moment of connecting.

httpx2's own transport cannot be given a network backend, so this one puts httpcore2's pool, with
:class:`GuardedBackend`, under httpx2's client. Limits are the host gates' matter; the pool has none.
"""

import select
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import httpcore2
import httpx2

from .answers import FailReason, FetchError
from .guard import resolve_public
from .policy import FetchConfig

_READ_BYTES = 1 << 20


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves names itself and connects to the addresses it has checked; ``trusted`` is the proxy, if any."""

    def __init__(self, allowed: Iterable[str], trusted: str = "") -> None:
        self._inner = cast(httpcore2.AsyncNetworkBackend, httpcore2.AnyIOBackend())
        self._allowed = frozenset(allowed) | ({trusted} if trusted else set())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first checked address that answers; each gets its share of ``timeout`` (seconds)."""
        addresses = await resolve_public(host.strip("[]"), port, self._allowed)
        share = None if timeout is None else timeout / len(addresses)
        last: Exception | None = None
        for address in addresses:
            try:
                return _LargeReads(await self._inner.connect_tcp(address, port, share, local_address, socket_options))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        assert last is not None  # getaddrinfo raises rather than giving no address
        raise last


class _LargeReads(httpcore2.AsyncNetworkStream):
    """Takes what has come at once: pictures arrive in hundreds of kilobytes, httpcore2 asks for 64 at a time."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._socket: socket.socket | None = None
        self._poll: select.poll | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come, at most ``max_bytes`` or a megabyte."""
        return await self._stream.read(max(max_bytes, _READ_BYTES), timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """As the stream does."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """As the stream does."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        """The same over TLS."""
        return _LargeReads(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """As the stream does; the pool asks every idle connection before each request whether it ``is_readable``."""
        if info != "is_readable" or not hasattr(select, "poll"):
            return self._stream.get_extra_info(info)
        if self._poll is None or self._socket is None:
            self._socket, self._poll = self._stream.get_extra_info("socket"), select.poll()
            if self._socket is not None and self._socket.fileno() >= 0:
                self._poll.register(self._socket.fileno(), select.POLLIN)
        is_closed = self._socket is None or self._socket.fileno() < 0  # its number may be another's by now
        return is_closed or bool(self._poll.poll(0))


class Transport(httpx2.AsyncBaseTransport):
    """httpx2's transport on a guarded pool; httpcore2's exceptions pass through as they are."""

    def __init__(self, config: FetchConfig, *, verify: ssl.SSLContext | None = None) -> None:
        common = {
            "ssl_context": verify or httpcore2.default_ssl_context(),
            "max_connections": None,
            "max_keepalive_connections": None,
            "keepalive_expiry": 15.0,
            "http1": True,
            "http2": True,
        }
        if config.proxy:
            backend = GuardedBackend(config.allow_private, trusted=httpcore2.URL(config.proxy).host.decode())
            self._pool = httpcore2.AsyncHTTPProxy(proxy_url=config.proxy, network_backend=backend, **common)
        else:
            self._pool = httpcore2.AsyncConnectionPool(network_backend=GuardedBackend(config.allow_private), **common)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; the body is read by the caller."""
        url = request.url
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        answer = await self._pool.handle_async_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx2.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


def classify(error: Exception) -> FetchError | None:
    """What a transport error means; None for what is none. All may pass, except bad certificates and refusals."""
    if isinstance(error, FetchError):
        return error
    text = str(error) or type(error).__name__
    tls = _find_tls_error(error)
    if tls is not None:
        is_certificate = isinstance(tls, ssl.SSLCertVerificationError)
        return FetchError(FailReason.TLS, tls.reason or str(tls), retry=not is_certificate)
    if isinstance(error, httpcore2.TimeoutException | TimeoutError):
        return FetchError(FailReason.TIMEOUT, type(error).__name__, retry=True)
    if isinstance(error, httpcore2.ConnectError):
        return FetchError(FailReason.CONNECT, text, retry=True)
    if isinstance(error, httpcore2.NetworkError | OSError):
        return FetchError(FailReason.RESET, f"connection lost: {text}", retry=True)
    if isinstance(error, httpcore2.RemoteProtocolError):
        return FetchError(_protocol_reason(text), text, retry=True)
    if isinstance(error, httpx2.DecodingError):
        return FetchError(FailReason.BAD_ENCODING, f"the content encoding is damaged: {text}", retry=True)
    if isinstance(error, httpcore2.ProtocolError | httpx2.InvalidURL | httpcore2.UnsupportedProtocol):
        return FetchError(FailReason.PROTOCOL, text)
    return None


def _protocol_reason(text: str) -> FailReason:
    if "complete message body" in text:
        return FailReason.TRUNCATED
    # "Server disconnected without sending a response" is how a kept connection looks that the server has closed.
    return FailReason.RESET if "disconnected" in text else FailReason.PROTOCOL


def _find_tls_error(error: BaseException) -> ssl.SSLError | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause
