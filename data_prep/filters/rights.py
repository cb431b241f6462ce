"""Keep what may be used: sets the record's rights class and drops what is unstated or not allowed."""

from dataclasses import replace
from functools import cached_property
from typing import Literal, Self

from pydantic import model_validator

from iconoclip.records import Record, RejectReason, RightsClass

from ..permissions import Permissions, PolicyKind, Rule, Tighter, explain, permit, tightened
from ..rights import NEEDED_PARTS, kinds_of, merge_classes
from ..sources.base import Drop
from .base import Filter

Admitted = Literal["public_domain", "open", "open_conditions"]

_PART_NAMES = {"image": "the picture", "metadata": "the text"}


class RightsFilter(Filter):
    """``admit`` and ``policy`` can only be made tighter: unknown and restricted rights are never admitted.

    ``policy: {nd: {train: no}}`` makes single answers of the table (`permissions.py`) stricter. ``purpose:
    redistribute`` drops also what may be trained on but not passed on.
    """

    kind: Literal["rights"] = "rights"  # type: ignore[assignment]  # frozen, so narrowing is safe
    admit: tuple[Admitted, ...] = ("public_domain", "open", "open_conditions")
    policy: dict[PolicyKind, Tighter] = {}
    purpose: Literal["train", "redistribute"] = "train"

    @model_validator(mode="after")
    def _only_tighter(self) -> Self:
        tightened(self.policy)
        return self

    @cached_property
    def table(self) -> dict[PolicyKind, Rule]:
        """The policy table with this configuration's stricter values."""
        return tightened(self.policy)

    def permissions(self, record: Record) -> Permissions:
        """What may be done with the record."""
        return permit(record, self.table)

    def check(self, record: Record) -> Record | Drop:
        """Drop as ``rights_unstated``, ``rights_not_understood`` or ``rights_restricted``.

        The detail quotes what was stated, and the rule.
        """
        rights_class: RightsClass = merge_classes(record.rights)
        if rights_class == "unknown":
            return _unknown(record)
        if rights_class not in self.admit:
            return Drop("rights", RejectReason.RIGHTS_RESTRICTED, f"{rights_class}: {_quoted(record)}")
        permissions = self.permissions(record)
        if permissions.train == "no":
            why = explain(permissions, "train", self.table)
            return Drop("rights", RejectReason.RIGHTS_RESTRICTED, f"no training ({why}): {_quoted(record)}")
        if self.purpose == "redistribute" and permissions.redistribute == "no":
            why = explain(permissions, "redistribute", self.table)
            return Drop("rights", RejectReason.RIGHTS_RESTRICTED, f"not to be passed on ({why}): {_quoted(record)}")
        return replace(record, rights_class=rights_class)


def _quoted(record: Record) -> str:
    return "; ".join(f"{rights.part}: {rights.raw or rights.uri}" for rights in record.rights) or "nothing stated"


def _unknown(record: Record) -> Drop:
    is_unread = "not_understood" in kinds_of(record.rights)
    spoken_of = {each.part for each in record.rights if each.uri or each.raw}
    missing = [_PART_NAMES[part] for part in NEEDED_PARTS if part not in spoken_of]
    more = f"; nothing about {' and '.join(missing)}" if missing and record.rights else ""
    reason = RejectReason.RIGHTS_NOT_UNDERSTOOD if is_unread else RejectReason.RIGHTS_UNSTATED
    return Drop("rights", reason, _quoted(record) + more)
