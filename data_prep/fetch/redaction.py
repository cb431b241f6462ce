"""Take keys, signatures and passwords out of URLs and texts, and name requests without them.

Europeana's ``guid`` and ``link`` carry the caller's key: no text that came over the network is logged, stored in a
record or shown in an error before it went through :func:`redact`.
"""

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit, urlunsplit

# Query parameters whose values are keys. `resumptionToken`, `cursor` and `token` are not: they say which page is meant.
_KEY_PARAMS = frozenset(
    {
        "wskey", "apikey", "api_key", "api-key", "key", "access_token", "accesstoken", "auth_token", "id_token",
        "client_secret", "secret", "password", "passwd", "pwd", "x-api-key", "subscription-key",
        "ocp-apim-subscription-key",
    }
)  # fmt: skip
_SIGNATURE_PARAMS = frozenset(
    {"sig", "signature", "x-amz-signature", "x-amz-credential", "x-amz-security-token", "x-goog-signature", "token"}
)
_HIDDEN = "***"
_PARAM = re.compile(r"([?&;])([^=&#;\s]+)=([^&#;\s\"'<>]*)")
_USERINFO = re.compile(r"(https?://)[^/@\s\"'<>]+@", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without keys, signatures, passwords and the given secrets; for logs, errors, ledgers and records."""
    text = _USERINFO.sub(rf"\1{_HIDDEN}@", text)
    text = _PARAM.sub(_hide, text)
    for secret in secrets:
        text = text.replace(secret, _HIDDEN) if len(secret) > 3 else text
    return text


def _hide(match: re.Match[str]) -> str:
    before, name, _ = match.groups()
    return f"{before}{name}={_HIDDEN}" if name.lower() in _KEY_PARAMS | _SIGNATURE_PARAMS else match.group()


def without_keys(url: str) -> str:
    """``url`` without the parameters that only say who asks: what the same thing is called for everybody."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if not any(name.lower() in _KEY_PARAMS for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        return url
    kept = [item for item in parts.query.split("&") if item.partition("=")[0].lower() not in _KEY_PARAMS]
    return urlunsplit(parts._replace(query="&".join(kept)))


def request_key(url: str, *more: str) -> str:
    """Name of a request in the store: the same in every run and for every key holder, holding no secret."""
    text = "\n".join([without_keys(url.partition("#")[0]), *more])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
