"""What each kind of rights statement allows: to train, to pass the stored pictures on, to publish a model's weights.

The table :data:`POLICY` is data with its reasons; a configuration can only make it tighter (:class:`Tighter`).
``permit(record, policy)`` gives the strictest answer over all that is stated about a record, and the rules behind it.
Not legal advice: `docs/rights.md` shows the table and where it comes from.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args
from urllib.parse import urlsplit

from iconoclip.config import Config
from iconoclip.records import Record, Rights

from .rights import RightsKind, kinds_of
from .sources.base import Terms

Allowed = Literal["yes", "non_commercial", "no"]
Use = Literal["train", "redistribute", "publish"]
PolicyKind = RightsKind | Literal["no_rehost"]

STRICTNESS: tuple[Allowed, ...] = get_args(Allowed)
USES: tuple[Use, ...] = get_args(Use)


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of the table: what is allowed, and why not more."""

    train: Allowed
    redistribute: Allowed
    publish: Allowed
    reason: str

    def allows(self, use: Use) -> Allowed:
        """The answer for one use."""
        answers: dict[Use, Allowed] = {"train": self.train, "redistribute": self.redistribute, "publish": self.publish}
        return answers[use]


POLICY: dict[PolicyKind, Rule] = {
    "public_domain": Rule("yes", "yes", "yes", "no rights are claimed; naming the institution is a courtesy"),
    "open": Rule("yes", "yes", "yes", "the licence asks that the makers are named: ATTRIBUTION.csv does"),
    "share_alike": Rule("yes", "yes", "yes", "shards that hold such pictures are passed on under the same licence"),
    "nc": Rule("non_commercial", "non_commercial", "non_commercial", "the statement excludes commercial use"),
    "nd": Rule("yes", "no", "yes", "only unchanged pictures may be passed on, and the stored ones are resized"),
    "restricted_use": Rule("no", "no", "no", "protected or bound by contract; only some uses are allowed"),
    "in_copyright": Rule("no", "no", "no", "protected; nobody has given a licence"),
    "undetermined": Rule("no", "no", "no", "whoever published it does not know whether it is free in Europe"),
    "unstated": Rule("no", "no", "no", "nobody has said anything about the rights"),
    "not_understood": Rule("no", "no", "no", "what was said is not understood; a person must read it"),
    "no_rehost": Rule("yes", "no", "yes", "the host's terms forbid passing its pictures on"),
}


class Tighter(Config):
    """A line of ``rights.policy``: stricter values for one kind; what is left out stays as it is in the table."""

    train: Allowed | None = None
    redistribute: Allowed | None = None
    publish: Allowed | None = None

    @property
    def stated(self) -> dict[Use, Allowed]:
        """The values that are given."""
        values: dict[Use, Allowed | None] = {
            "train": self.train,
            "redistribute": self.redistribute,
            "publish": self.publish,
        }
        return {use: value for use, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Permissions:
    """The answer for one record; ``rules[use]`` are the kinds that decide it (empty where all is allowed)."""

    train: Allowed
    redistribute: Allowed
    publish: Allowed
    rules: Mapping[Use, tuple[PolicyKind, ...]]

    def to_row(self) -> dict[Use, Allowed]:
        """Columns of the ledger."""
        return {"train": self.train, "redistribute": self.redistribute, "publish": self.publish}


def tightened(changes: Mapping[PolicyKind, Tighter]) -> dict[PolicyKind, Rule]:
    """The table with a configuration's stricter values.

    Raises:
        ValueError: a value is looser than the table's; the message says which and why the table is as it is.
    """
    policy = dict(POLICY)
    for kind, change in changes.items():
        for use, value in change.stated.items():
            if STRICTNESS.index(value) < STRICTNESS.index(POLICY[kind].allows(use)):
                raise ValueError(
                    f"policy.{kind}.{use}: {value} is looser than {POLICY[kind].allows(use)} ({POLICY[kind].reason}); "
                    "a configuration can only make the table stricter. Where you know more about single records, "
                    "state their rights in overrides.csv"
                )
        policy[kind] = replace(policy[kind], **change.stated)
    return policy


def permit(record: Record, policy: Mapping[PolicyKind, Rule]) -> Permissions:
    """What is allowed with a record: the strictest of all its statements and of its host's terms."""
    kinds: list[PolicyKind] = [*kinds_of(record.rights)]
    if any(each.part == "terms" for each in record.rights):
        kinds.append("no_rehost")
    answers: dict[Use, Allowed] = {use: _strictest([policy[kind].allows(use) for kind in kinds]) for use in USES}
    rules: dict[Use, tuple[PolicyKind, ...]] = {}
    for use, answer in answers.items():
        deciding: list[PolicyKind] = [kind for kind in kinds if policy[kind].allows(use) == answer != "yes"]
        rules[use] = tuple(deciding)
    return Permissions(answers["train"], answers["redistribute"], answers["publish"], rules)


def _strictest(answers: Sequence[Allowed]) -> Allowed:
    return max(answers, key=STRICTNESS.index)


def explain(permissions: Permissions, use: Use, policy: Mapping[PolicyKind, Rule]) -> str:
    """``nd: only unchanged pictures may be passed on ...`` for the rules that decide a use."""
    return "; ".join(f"{kind}: {policy[kind].reason}" for kind in permissions.rules[use])


def with_terms(record: Record, terms: Terms | None) -> Record:
    """The record with an entry for its host's terms, where they forbid passing its pictures on."""
    if terms is None or terms.rehost == "yes":
        return record
    host = urlsplit(terms.url).hostname or terms.url
    said = Rights("terms", raw=terms.note or "pictures may not be passed on", asserted_by=host, source_url=terms.url)
    return replace(record, rights=(*record.rights, said))


def count_permissions(all_permissions: Iterable[Permissions]) -> dict[str, dict[str, int]]:
    """``{"redistribute": {"yes": 3, "no": 1}}`` and so on for every use; answers that nobody got are left out."""
    counts: dict[str, dict[str, int]] = {use: dict.fromkeys(STRICTNESS, 0) for use in USES}
    for each in all_permissions:
        for use, answer in each.to_row().items():
            counts[use][answer] += 1
    return {use: {answer: count for answer, count in row.items() if count} for use, row in counts.items()}
