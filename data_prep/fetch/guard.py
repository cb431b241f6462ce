"""Keep URLs from remote metadata harmless: web schemes only, no private addresses, no passwords.

``check_url`` looks at the text of a URL, ``resolve_public`` at what its name resolves to, at the moment of connecting,
so that a redirect or a name that changes its address (DNS rebinding) is seen too.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import SplitResult, urljoin, urlsplit

from .answers import FailReason, FetchError
from .redaction import redact

_MAX_URL_CHARS = 8192
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MIN_OTHER_PORT = 1024  # below it lie mail, shell and directory services: never a picture
_LOCAL_NAMES = ("localhost", "local", "internal", "localdomain", "home.arpa", "lan", "intranet")


def check_url(url: str) -> SplitResult:
    """Parts of a URL that may be asked for.

    Raises:
        FetchError: ``unsafe_url``: another scheme (``file:``, ``pipe:``, ``ftp:``, ...), a password, a control
            character, a low port, no host.
    """
    if len(url) > _MAX_URL_CHARS:
        raise FetchError(FailReason.UNSAFE_URL, f"{len(url):,} characters, at most {_MAX_URL_CHARS:,}")
    if _CONTROL.search(url):
        raise FetchError(FailReason.UNSAFE_URL, f"a space or control character in {redact(url)!r}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FetchError(FailReason.UNSAFE_URL, f"{redact(url)!r}: {error}") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise FetchError(FailReason.UNSAFE_URL, f"scheme {parts.scheme!r}; only http and https are opened")
    if not parts.hostname or "\\" in url:
        raise FetchError(FailReason.UNSAFE_URL, f"no host in {redact(url)!r}")
    if parts.username is not None or parts.password is not None:
        raise FetchError(FailReason.UNSAFE_URL, f"a user name or password in {redact(url)!r}")
    if port is not None and port not in _DEFAULT_PORTS.values() and port < _MIN_OTHER_PORT:
        raise FetchError(FailReason.UNSAFE_URL, f"port {port} of {redact(url)!r} is no web server's")
    return parts


def join_redirect(url: str, location: str) -> str:
    """Absolute target of a redirect; what RFC 3986 says of relative references holds."""
    return urljoin(url, location.strip().replace(" ", "%20"))


def host_of(parts: SplitResult) -> str:
    """``example.org``, or ``example.org:8080`` where the port is not the scheme's; http and https are one host."""
    host = (parts.hostname or "").lower().rstrip(".")
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{parts.port}"


def is_private(address: str) -> bool:
    """True for an address that is not on the public internet, also inside IPv4-mapped, 6to4, Teredo and NAT64 forms."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            embedded.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        inner = [each for each in embedded if each is not None]
        if inner:
            return any(is_private(str(each)) for each in inner)
    return not ip.is_global or ip.is_multicast or ip.is_reserved or ip.is_unspecified


def refuse_local_name(host: str, allowed: Iterable[str]) -> None:
    """Refuse numbers and names that are private without looking them up.

    Raises:
        FetchError: ``unsafe_url``.
    """
    if host in allowed:
        return
    try:
        private = is_private(host)
    except ValueError:
        labels = host.lower().rstrip(".").split(".")
        private = labels[-1] in _LOCAL_NAMES or ".".join(labels[-2:]) in _LOCAL_NAMES
    if private:
        raise FetchError(FailReason.UNSAFE_URL, f"{host} is a private address; fetch.allow_private would permit it")


async def resolve_public(host: str, port: int, allowed: Iterable[str]) -> list[str]:
    """Addresses of ``host``; one private address among them refuses all.

    Raises:
        FetchError: ``unsafe_url`` or ``dns``.
    """
    refuse_local_name(host, allowed)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchError(FailReason.DNS, f"{host}: {error}", retry=True) from None
    addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
    if host not in allowed and any(is_private(address) for address in addresses):
        raise FetchError(
            FailReason.UNSAFE_URL, f"{host} resolves to a private address; fetch.allow_private would permit it"
        )
    return addresses
