"""What the configuration says about the network: who we are, how each host is treated, what is obeyed.

``FetchConfig(contact="digital@library.example", hosts={"iiif.library.example": {"requests_per_s": 0.5}})``. The
defaults suit a host that published no limits: two connections, one request a second.
"""

import fnmatch
import os
import re
from functools import cached_property
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from iconoclip import __version__
from iconoclip.config import Config
from iconoclip.errors import IconoclipError

PRODUCT = "iconoclip"  # the token that robots.txt files may address

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_CONTACT = re.compile(r"(mailto:)?[^@\s()<>;]+@[^@\s()<>;]+\.[a-zA-Z]{2,}|https?://[^\s()<>;]+")


class Budget(Config):
    """The most that a whole harvest, over all its runs, takes from one host; null is no limit.

    ``hours`` counts the time in which the host was being asked.
    """

    requests: int | None = Field(default=None, ge=1)
    gigabytes: float | None = Field(default=None, gt=0)
    hours: float | None = Field(default=None, gt=0)


class HostPolicy(Config):
    """How one host is treated.

    ``requests_per_s: null`` asks as fast as answers come. A request is tried ``max_attempts`` times, with pauses that
    double from ``backoff_s``. After ``breaker_failures`` failures in a row the host rests for ``breaker_rest_s``
    (doubling); after ``breaker_trips`` such rests without one good answer it is left alone until the next run, as it is
    when it asks for a pause above ``max_pause_s`` or refuses ``max_refusals`` requests in a row (403).
    ``headers_from_env`` and ``params_from_env`` name the environment variables whose values are sent as headers or
    added to the query: no key ever stands in a file.
    """

    max_concurrent: int = Field(default=2, ge=1, le=256)
    requests_per_s: float | None = Field(default=1.0, gt=0, le=10_000)
    burst: int = Field(default=1, ge=1)
    max_attempts: int = Field(default=5, ge=1, le=20)
    backoff_s: float = Field(default=2.0, gt=0)
    max_backoff_s: float = Field(default=300.0, gt=0)
    max_pause_s: float = Field(default=3600.0, gt=0)
    breaker_failures: int = Field(default=10, ge=1)
    breaker_rest_s: float = Field(default=60.0, gt=0)
    breaker_trips: int = Field(default=3, ge=1)
    max_refusals: int = Field(default=100, ge=1)
    connect_timeout_s: float = Field(default=10.0, gt=0)
    read_timeout_s: float = Field(default=60.0, gt=0)
    total_timeout_s: float = Field(default=180.0, gt=0)
    max_bytes: int = Field(default=200_000_000, ge=1)
    budget: Budget = Budget()
    headers_from_env: dict[str, str] = Field(default_factory=dict)
    params_from_env: dict[str, str] = Field(default_factory=dict)

    @field_validator("headers_from_env", "params_from_env")
    @classmethod
    def _check_variables(cls, variables: dict[str, str]) -> dict[str, str]:
        if not all(_VARIABLE.fullmatch(name) for name in variables.values()):
            raise ValueError("the right side is the name of an environment variable (A to Z, 0 to 9, _), never a key")
        return variables

    @property
    def has_secrets(self) -> bool:
        """Whether a key goes with each request."""
        return bool(self.headers_from_env or self.params_from_env)

    def secrets(self) -> list[str]:
        """All keys, to be kept out of every text; raises as :meth:`secret_headers` does."""
        return [*self.secret_headers().values(), *self.secret_params().values()]

    def secret_headers(self) -> dict[str, str]:
        """Headers whose values come from the environment.

        Raises:
            IconoclipError: a variable is not set.
        """
        return {name: _read_env(variable) for name, variable in self.headers_from_env.items()}

    def secret_params(self) -> dict[str, str]:
        """Query parameters whose values come from the environment; raises as :meth:`secret_headers` does."""
        return {name: _read_env(variable) for name, variable in self.params_from_env.items()}


class Obedience(Config):
    """Which opt-out signals stop us; what is not obeyed is still read, logged and kept with the record.

    ``ai_tokens`` are the lines of robots.txt that address other people's AI crawlers (GPTBot, CCBot, ...) and not us.
    ``x_robots`` are the values of ``X-Robots-Tag`` that refuse a picture; on metadata they are only noted, since
    ``noindex`` on an API's answer speaks to search engines.
    """

    robots: Literal["obey", "log"] = "obey"
    ai_tokens: Literal["obey", "log"] = "log"
    tdm: Literal["obey", "log"] = "obey"
    x_robots: tuple[str, ...] = ("noai", "noimageai", "noindex", "noimageindex")
    max_age_h: float = Field(default=24.0, gt=0)


class FetchConfig(Config):
    """The whole network section of a configuration.

    ``contact`` is an e-mail address or page of the person who runs the harvest; without one nothing is asked.
    ``hosts`` maps a host name, or a pattern such as ``*.bnf.fr``, to its policy; the longest pattern that fits counts.
    ``retry_final`` asks again for what was refused for good (403, 404, too large) in an earlier run.
    ``recheck_pictures_after_days`` asks whether a picture has changed that was fetched longer ago (null: never).
    ``allow_private`` names hosts that may lie in a private network (an institution's own server). ``proxy`` is the URL
    of an HTTP proxy; it then resolves names, so only addresses written as numbers are checked here.
    """

    contact: str | None = None
    hosts: dict[str, HostPolicy] = Field(default_factory=dict)
    default: HostPolicy = HostPolicy()
    obedience: Obedience = Obedience()
    max_in_flight: int = Field(default=64, ge=1, le=1024)
    lookahead: int = Field(default=1024, ge=1, le=100_000)
    max_redirects: int = Field(default=5, ge=0, le=20)
    seed: int = 0
    retry_final: bool = False
    recheck_pictures_after_days: int | None = Field(default=None, ge=0)
    allow_private: tuple[str, ...] = ()
    proxy: str | None = None

    @field_validator("contact")
    @classmethod
    def _check_contact(cls, contact: str | None) -> str | None:
        if contact is not None and not _CONTACT.fullmatch(contact.strip()):
            raise ValueError("give an e-mail address or a web page where a library reaches you")
        return contact and contact.strip()

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, hosts: dict[str, HostPolicy]) -> dict[str, HostPolicy]:
        bad = [name for name in hosts if "/" in name or name != name.lower() or not name]
        if bad:
            raise ValueError(f"{', '.join(map(repr, bad))}: a lower-case host name without scheme or path is wanted")
        return hosts

    @field_validator("proxy")
    @classmethod
    def _check_proxy(cls, proxy: str | None) -> str | None:
        if proxy is not None and (not proxy.startswith("http://") or "@" in proxy):
            raise ValueError("an http:// URL without a password is wanted")
        return proxy

    @model_validator(mode="after")
    def _check_timeouts(self) -> Self:
        for name, policy in {"default": self.default, **self.hosts}.items():
            if policy.total_timeout_s < policy.connect_timeout_s:
                raise ValueError(f"{name}: total_timeout_s is shorter than connect_timeout_s")
        return self

    @cached_property
    def user_agent(self) -> str:
        """``iconoclip/0.1.0 (+mailto:digital@library.example)``: who asks, and whom to write to.

        Raises:
            IconoclipError: no contact is configured.
        """
        if not self.contact:
            raise IconoclipError(
                "fetch.contact is missing: give an e-mail address or a web page; libraries want to know who asks"
            )
        is_mail = "@" in self.contact and not self.contact.startswith(("mailto:", "http"))
        return f"{PRODUCT}/{__version__} (+{'mailto:' if is_mail else ''}{self.contact})"

    def policy_of(self, host: str) -> HostPolicy:
        """Policy of ``host`` (with its port where that is not the scheme's): exact name, longest pattern, default."""
        bare = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
        for name in (host, bare):
            if name in self.hosts:
                return self.hosts[name]
        fitting = [name for name in self.hosts if "*" in name and fnmatch.fnmatchcase(bare, name)]
        return self.hosts[max(fitting, key=len)] if fitting else self.default


def _read_env(variable: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise IconoclipError(f"the environment variable {variable} is not set; it holds the key that the host wants")
    return value
