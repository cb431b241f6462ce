"""One HTTP exchange: send a request, stream the body to disk within caps, look at what came.

``Exchange.send`` either gives a :class:`Reply` or raises :class:`FetchError`, whose ``retry`` says whether another try
may help. Redirects come back as replies: following them is the fetcher's matter, since each hop has its own host.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2

from .answers import Expect, FailReason, FetchError, FetchRequest
from .challenge import HEAD_BYTES, inspect_answer, is_challenge, is_cut_off
from .limits import parse_retry_after
from .policy import FetchConfig, HostPolicy
from .redaction import redact
from .store import BodyWriter, Store
from .transport import Transport, classify

_ACCEPT: dict[Expect, str] = {
    "picture": "image/jpeg,image/png;q=0.9,image/*;q=0.8,*/*;q=0.1",
    "xml": "application/xml,text/xml;q=0.9,*/*;q=0.1",
    "json": "application/json,application/ld+json;q=0.9,*/*;q=0.1",
    "any": "*/*",
}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRY_STATUSES = frozenset({408, 425, 429})
HeaderCheck = Callable[[httpx2.Headers], object]

_MAX_RATIO = 200  # a text compresses to a hundredth at most; what inflates more is made to do so
_RATIO_FREE_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Reply:
    """What came: a body in its place (200), "unchanged" (304), or the target of a redirect."""

    status: int
    headers: httpx2.Headers
    num_wire_bytes: int = 0
    location: str = ""
    sha256: str = ""
    path: Path = Path()
    num_bytes: int = 0


class Exchange:
    """Sends requests for one fetcher; knows nothing of limits, retries or rules."""

    def __init__(self, config: FetchConfig, store: Store, *, verify: ssl.SSLContext | None = None) -> None:
        self._store = store
        self._client = httpx2.AsyncClient(
            transport=Transport(config, verify=verify),
            headers={"User-Agent": config.user_agent},
            follow_redirects=False,
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def send(
        self,
        url: str,
        request: FetchRequest,
        policy: HostPolicy,
        *,
        conditions: dict[str, str],
        clock_now: float,
        check: HeaderCheck,
        max_bytes: int | None = None,
    ) -> Reply:
        """Ask once; ``url`` is the hop's, ``request`` says what is wanted of the last hop.

        ``check`` sees the headers of a good answer before its body is taken and may refuse it.

        Raises:
            FetchError: with ``num_wire_bytes`` of what was transferred all the same.
        """
        counted = _Counted()
        try:
            async with asyncio.timeout(policy.total_timeout_s):
                response = await self._open(url, request, policy, conditions)
                try:
                    if response.status_code in _REDIRECTS and "location" in response.headers:
                        return Reply(response.status_code, response.headers, location=response.headers["location"])
                    if response.status_code == 304 and conditions:
                        return Reply(304, response.headers)
                    if response.status_code not in (200, 203):
                        await _refuse_status(response, clock_now, counted)
                    check(response.headers)
                    return await self._read(response, request, max_bytes or policy.max_bytes, counted)
                finally:
                    await response.aclose()
        except Exception as caught:  # what is no transport error is raised again
            error = classify(caught)
            if error is None:
                raise
            error.detail = redact(f"{error.detail} ({url})", policy.secret_params().values())
            error.num_wire_bytes = counted.num_bytes
            raise error from None

    async def _open(
        self, url: str, request: FetchRequest, policy: HostPolicy, conditions: dict[str, str]
    ) -> httpx2.Response:
        # Pictures are compressed already; a content encoding on top only makes bombs possible.
        encoding = "identity" if request.expect == "picture" else "gzip, deflate"
        headers = {"Accept": request.accept or _ACCEPT[request.expect], "Accept-Encoding": encoding}
        asked = self._client.build_request(
            "GET",
            _with_params(url, policy.secret_params()),
            headers=headers | conditions | policy.secret_headers(),
            timeout=httpx2.Timeout(policy.read_timeout_s, connect=policy.connect_timeout_s, pool=None),
        )
        return await self._client.send(asked, stream=True)

    async def _read(
        self, response: httpx2.Response, request: FetchRequest, max_bytes: int, counted: "_Counted"
    ) -> Reply:
        declared = response.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > max_bytes:
            raise FetchError(
                FailReason.TOO_LARGE, f"{int(declared):,} bytes, at most {max_bytes:,} are taken", status=200
            )
        with self._store.new_body() as body:
            is_inspected = False
            async for data in _pieces(response):
                body.write(data)
                counted.num_bytes = response.num_bytes_downloaded
                _check_size(body.num_bytes, counted.num_bytes, max_bytes)
                if not is_inspected and body.num_bytes >= HEAD_BYTES:
                    _inspect(body, response, request)
                    is_inspected = True
            counted.num_bytes = response.num_bytes_downloaded
            if not is_inspected:
                _inspect(body, response, request)
            if not _is_length_known(response) and is_cut_off(body.head, body.tail):
                raise FetchError(
                    FailReason.TRUNCATED, "the picture has no end and nobody stated its length", retry=True
                )
            sha256, path = self._store.adopt(body)
        return Reply(200, response.headers, counted.num_bytes, sha256=sha256, path=path, num_bytes=body.num_bytes)


def _pieces(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Pieces of a body, decoded; without a content encoding the decoder's layers are left out."""
    is_encoded = response.headers.get("content-encoding", "identity") != "identity"
    return response.aiter_bytes() if is_encoded else response.aiter_raw()


def _is_length_known(response: httpx2.Response) -> bool:
    """Whether HTTP itself tells a whole body from one that was cut off."""
    stated = "content-length" in response.headers or "transfer-encoding" in response.headers
    return stated or response.http_version == "HTTP/2"


@dataclass
class _Counted:
    num_bytes: int = 0


def _inspect(body: BodyWriter, response: httpx2.Response, request: FetchRequest) -> None:
    inspect_answer(body.head, expect=request.expect, roots=request.roots, headers=response.headers)


def _check_size(num_bytes: int, num_wire_bytes: int, max_bytes: int) -> None:
    if num_bytes > max_bytes:
        raise FetchError(FailReason.TOO_LARGE, f"more than {max_bytes:,} bytes, the host's max_bytes")
    if num_bytes > max(_RATIO_FREE_BYTES, _MAX_RATIO * num_wire_bytes):
        raise FetchError(FailReason.BAD_ENCODING, f"{num_wire_bytes:,} bytes inflate to more than {num_bytes:,}")


async def _refuse_status(response: httpx2.Response, clock_now: float, counted: _Counted) -> None:
    """Turn an error status into its reason; the first kilobytes may show a challenge page."""
    status = response.status_code
    head = b""
    async for data in response.aiter_bytes():
        head += data
        counted.num_bytes = response.num_bytes_downloaded
        if len(head) >= HEAD_BYTES:
            break
    if is_challenge(status, response.headers, head[:HEAD_BYTES]):
        inspect_answer(head[:HEAD_BYTES], expect="any", roots=(), headers=response.headers, status=status)
    error = FetchError(reason_of(status), f"HTTP {status}", status=status, retry=may_pass(status))
    error.retry_after_s = parse_retry_after(response.headers.get("retry-after", ""), now=clock_now)
    raise error


def reason_of(status: int) -> FailReason:
    """Reason for a status that is no success."""
    if status in (401, 403, 404, 410, 429):
        return FailReason(f"http_{status}")
    if status in (407, 451):
        return FailReason.HTTP_403
    if status in (408, 425):  # the server gave up waiting, or wants it later: nothing is said about the thing itself
        return FailReason.TIMEOUT
    if status < 400:
        return FailReason.REDIRECT if status >= 300 else FailReason.UNEXPECTED_CONTENT
    return FailReason.HTTP_5XX if status >= 500 else FailReason.HTTP_4XX


def may_pass(status: int) -> bool:
    """Whether the same request may be answered later: overload and faults, not 501 or 505."""
    return status in _RETRY_STATUSES or (status >= 500 and status not in (501, 505, 510, 511))


def _with_params(url: str, params: dict[str, str]) -> httpx2.URL:
    return httpx2.URL(url).copy_merge_params(params) if params else httpx2.URL(url)
