"""How often each sample is drawn: weights by source, language and institution, a temperature, a cap on repeats.

``expected_draws`` gives a number for each sample, 1 for all of them where nothing is configured; `order.py` makes a
schedule of it. ``describe`` says what share each source, language and institution has of what is seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iconoclip.errors import ConfigError

from .columns import Membership
from .config import BalanceConfig, MixtureConfig

_SHOWN_ROWS = 24  # of each attribute, in the log; run.json has them all


@dataclass(frozen=True)
class ShareRow:
    """What a run sees of one source, language or institution.

    ``num_samples`` counts samples that have it at all; ``available`` is its share of the samples, ``drawn`` its share
    of what is seen; ``repeats`` how often one of its samples comes in an epoch on average, ``most`` the commonest one.
    """

    attribute: str
    name: str
    num_samples: int
    available: float
    drawn: float
    repeats: float
    most: float


def expected_draws(
    config: MixtureConfig,
    memberships: Mapping[str, Membership],
    source_of: np.ndarray,
    weights: Sequence[float] | None,
) -> np.ndarray:
    """float [N], sum N: how often each sample comes in N draws; 1 for each where nothing is configured.

    Sources share out the N draws by ``weights``, or by their size to the power of ``config.source.temperature``;
    neither may take more than its samples times ``max_repeats``. Within a source a sample counts as the product of the
    factors of its language and its institution, and none comes more often than ``max_repeats``. A factor is the value's
    weight times its number of samples to the power of (temperature - 1), so that shares go with size^temperature.

    Raises:
        ConfigError: a weight is for a language or institution that no sample has.
    """
    num_samples = len(source_of)
    factors = np.ones(num_samples)
    for name, balance in (("language", config.language), ("institution", config.institution)):
        factors *= _factors(name, balance, memberships[name], num_samples)
    cap = np.inf if config.max_repeats is None else config.max_repeats
    sizes = np.bincount(source_of)
    if weights is None and config.source.temperature == 1:
        return fill(factors, np.full(num_samples, cap), num_samples)
    wanted = np.array(weights) if weights is not None else sizes**config.source.temperature
    draws = np.zeros(num_samples)
    for source, total in enumerate(fill(wanted, sizes * cap, num_samples)):
        own = source_of == source
        draws[own] = fill(factors[own], np.full(sizes[source], cap), total)
    return draws


def _factors(attribute: str, balance: BalanceConfig, members: Membership, num_samples: int) -> np.ndarray:
    if balance == BalanceConfig():
        return np.ones(num_samples)
    unknown = sorted(set(balance.weights) - set(members.names))
    if unknown:
        known = ", ".join(members.names[:12])
        raise ConfigError(f"mixture.{attribute}.weights: no sample has {', '.join(unknown)}; there are {known}")
    counts = np.bincount(members.value, weights=members.part, minlength=len(members.names))
    weight = np.array([balance.weights.get(name, 1.0) for name in members.names])
    factor = weight * np.maximum(counts, 1e-9) ** (balance.temperature - 1)
    return np.bincount(members.sample, weights=members.part * factor[members.value], minlength=num_samples)


def fill(weights: np.ndarray, caps: np.ndarray, total: float) -> np.ndarray:
    """Share ``total`` out by ``weights`` so that none has more than its cap; what is cut off goes to the others.

    Example: weights 8, 1, 1, caps 2 and total 3: 2.4, 0.3, 0.3 is cut to 2, and the rest of 1 gives 2, 0.5, 0.5. With
    caps that add up to less than ``total``, everybody has its cap.
    """
    shares, is_open = np.array(caps, dtype=np.float64), np.ones(len(weights), dtype=bool)
    while is_open.any():
        left = total - shares[~is_open].sum()
        scaled = weights * (left / weights[is_open].sum())
        over = is_open & (scaled > caps)
        if not over.any():
            shares[is_open] = scaled[is_open]
            break
        is_open &= ~over
    return shares


def share_rows(memberships: Mapping[str, Membership], draws: np.ndarray) -> list[ShareRow]:
    """One row for each source, language and institution, the largest share of what is seen first."""
    rows = []
    for attribute, members in memberships.items():
        size = len(members.names)
        available = np.bincount(members.value, weights=members.part, minlength=size)
        drawn = np.bincount(members.value, weights=members.part * draws[members.sample], minlength=size)
        count = np.bincount(members.value, minlength=size)
        most = np.zeros(size)
        np.maximum.at(most, members.value, draws[members.sample])
        for value in sorted(np.flatnonzero(count), key=lambda value: -drawn[value]):
            part = float(available[value] / len(draws)), float(drawn[value] / draws.sum())
            mean = float(drawn[value] / available[value])
            rows.append(ShareRow(attribute, members.names[value], int(count[value]), *part, mean, float(most[value])))
    return rows


def describe(rows: Sequence[ShareRow], *, num_epochs: float) -> str:
    """Table for the log; ``num_epochs`` is the length of the run in epochs of the whole pool."""
    shown, lines = [], []
    for attribute in dict.fromkeys(row.attribute for row in rows):
        own = [row for row in rows if row.attribute == attribute]
        shown += [(f"{attribute} {row.name}", row) for row in own[:_SHOWN_ROWS]]
        if len(own) > _SHOWN_ROWS:
            lines.append(f"and {len(own) - _SHOWN_ROWS} more by {attribute}: see `mixture` in run.json")
    width = max(len(name) for name, _ in shown)
    head = (
        f"{'what is seen':<{width}}  {'samples':>10}  {'available':>9}  {'seen':>6}  {'times each':>10}  {'at most':>7}"
    )
    table = [
        f"{name:<{width}}  {row.num_samples:10,}  {row.available:9.1%}  {row.drawn:6.1%}  "
        f"{row.repeats * num_epochs:10.2f}  {row.most * num_epochs:7.2f}"
        for name, row in shown
    ]
    return "\n".join([head, *table, *lines])
