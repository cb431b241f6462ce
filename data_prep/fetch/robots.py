"""Read what hosts say to robots and miners: robots.txt, TDMRep and ``X-Robots-Tag``; pure functions on their texts.

robots.txt: RFC 9309 (by protego). TDMRep: W3C Community Group report of 2024-02-02, ``/.well-known/tdmrep.json`` and
the headers ``tdm-reservation`` and ``tdm-policy``. Who obeys what stands in ``policy.Obedience``.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from protego import Protego

from .answers import FailReason, FetchError, Signals
from .policy import PRODUCT, Obedience
from .redaction import redact

ROBOTS_PATH = "/robots.txt"
TDM_PATH = "/.well-known/tdmrep.json"
MAX_FILE_BYTES = 512 * 1024  # RFC 9309, 2.5: a parser must read at least 500 KiB

# Product tokens by which hosts address crawlers that gather for AI; ours is none of them, but the wish is worth noting.
AI_TOKENS = (
    "GPTBot", "CCBot", "Google-Extended", "ClaudeBot", "anthropic-ai", "Applebot-Extended", "Bytespider",
    "Meta-ExternalAgent", "PerplexityBot", "img2dataset", "Diffbot", "cohere-ai",
)  # fmt: skip

_VALUED_DIRECTIVES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


@dataclass(frozen=True, slots=True)
class HostFile:
    """A robots.txt or tdmrep.json: ``state`` is found, none (the host has no such file) or unreachable."""

    state: str
    text: str = ""


def read_signals(url: str, robots: HostFile, tdm: HostFile) -> Signals:
    """What the two files of a host say about one of its URLs."""
    return _read_tdm_file(_read_robots(Signals(), url, robots), url, tdm)


def with_headers(signals: Signals, headers: Mapping[str, str]) -> Signals:
    """``signals`` with what an answer's headers add; a stated header overrides the file, an absent one does not."""
    reservation = headers.get("tdm-reservation", "").strip()
    if reservation in ("0", "1"):
        signals = replace(
            signals,
            tdm_reservation=int(reservation),
            tdm_policy=redact(headers.get("tdm-policy", "").strip())[:500],
            tdm_source="header",
        )
    directives = parse_x_robots(headers.get("x-robots-tag", ""))
    return replace(signals, x_robots=directives) if directives else signals


def obey(signals: Signals, obedience: Obedience, *, is_picture: bool) -> Signals:
    """``signals`` with the refusals that the configuration overrides.

    Raises:
        FetchError: ``robots``, ``tdm`` or ``x_robots``, with the signals.
    """
    overridden = []
    found = (
        (signals.robots == "unreachable", obedience.robots, FailReason.CONNECT,
         "robots.txt could not be read, so nothing may be asked now (RFC 9309, 2.3.1.4); is the address right, and the "
         "host up? Run again later"),
        (signals.robots == "disallowed", obedience.robots, FailReason.ROBOTS, "robots.txt disallows it"),
        (bool(signals.ai_disallowed), obedience.ai_tokens, FailReason.ROBOTS,
         f"robots.txt shuts out {', '.join(signals.ai_disallowed)}"),
        (signals.tdm_reservation == 1 and is_picture, obedience.tdm, FailReason.TDM,
         f"text and data mining is reserved ({signals.tdm_source}); {signals.tdm_policy or 'no policy named'}"),
    )  # fmt: skip
    for is_refusal, what, reason, detail in found:
        if is_refusal and what == "obey":
            raise _refuse(reason, detail, signals)
        if is_refusal:
            overridden.append(FailReason.ROBOTS.value if reason is FailReason.CONNECT else reason.value)
    refusing = [each for each in signals.x_robots if each in obedience.x_robots]
    if refusing and is_picture:
        raise _refuse(FailReason.X_ROBOTS, f"X-Robots-Tag: {', '.join(refusing)}", signals)
    return replace(signals, overridden=tuple(dict.fromkeys(overridden))) if overridden else signals


def _refuse(reason: FailReason, detail: str, signals: Signals) -> FetchError:
    error = FetchError(reason, detail)
    error.signals = signals
    return error


@lru_cache(maxsize=256)
def _parse_robots(text: str) -> Protego:
    return Protego.parse(text[:MAX_FILE_BYTES].removeprefix("\ufeff"))


def _read_robots(signals: Signals, url: str, file: HostFile) -> Signals:
    if file.state != "found":
        return replace(signals, robots=file.state)
    rules = _parse_robots(file.text)
    delay = rules.crawl_delay(PRODUCT)
    rate = rules.request_rate(PRODUCT)
    if rate is not None and rate.requests:
        delay = max(delay or 0.0, rate.seconds / rate.requests)
    # A token is reported only where it is treated worse than everybody: `*` shutting us out is no opinion about AI.
    is_allowed = rules.can_fetch(url, PRODUCT)
    worse = tuple(token for token in AI_TOKENS if is_allowed and not rules.can_fetch(url, token))
    return replace(
        signals, robots="allowed" if is_allowed else "disallowed", crawl_delay_s=delay or None, ai_disallowed=worse
    )


def _read_tdm_file(signals: Signals, url: str, file: HostFile) -> Signals:
    if file.state != "found":
        return signals
    parts = urlsplit(url)
    target = unquote(parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    for rule in _tdm_rules(file.text):
        if not _matches(str(rule.get("location", "")), target):
            continue
        reservation = rule.get("tdm-reservation")
        if isinstance(reservation, str) and reservation.strip() in ("0", "1"):
            reservation = int(reservation)
        if reservation not in (0, 1):
            return signals
        policy = rule.get("tdm-policy")
        return replace(
            signals,
            tdm_reservation=int(reservation),
            tdm_policy=redact(policy)[:500] if isinstance(policy, str) else "",
            tdm_source="file",
        )
    return signals


def _tdm_rules(text: str) -> Sequence[dict[str, Any]]:
    try:
        rules = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else ()


def _matches(location: str, target: str) -> bool:
    """Whether a ``location`` (a path with ``*`` for any text and ``$`` for the end) covers a path; first match wins."""
    if not location.startswith("/"):
        return False
    is_whole = location.endswith("$")
    pieces = [re.escape(unquote(piece)) for piece in location.removesuffix("$").split("*")]
    return re.match(".*".join(pieces) + ("$" if is_whole else ""), target, re.DOTALL) is not None


def parse_x_robots(value: str) -> tuple[str, ...]:
    """Directives of an ``X-Robots-Tag`` that are for everybody or for us, lower case, each once.

    ``otherbot: noai, noindex`` speaks to another robot, up to the next name; httpx2 joins repeated headers by commas.
    """
    found: list[str] = []
    is_ours = True
    for part in value.lower().split(","):
        name, colon, rest = (piece.strip() for piece in part.partition(":"))
        if colon and name not in _VALUED_DIRECTIVES:
            is_ours, directive = name in (PRODUCT, "*"), rest
        else:
            directive = name
        if is_ours and directive and re.fullmatch(r"[a-z_-]+", directive):
            found.append(directive)
    return tuple(dict.fromkeys(found))
