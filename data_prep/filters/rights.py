"""Keep what may be used: sets the record's rights class and drops what is unstated or not admitted."""

from dataclasses import replace
from typing import Literal

from iconoclip.records import Record, RejectReason, RightsClass

from ..rights import merge_classes
from ..sources.base import Drop
from .base import Filter

Admitted = Literal["public_domain", "open", "open_conditions"]


class RightsFilter(Filter):
    """``admit`` can only be made tighter: unknown and restricted rights are never admitted."""

    kind: Literal["rights"] = "rights"  # type: ignore[assignment]  # frozen, so narrowing is safe
    admit: tuple[Admitted, ...] = ("public_domain", "open", "open_conditions")

    def check(self, record: Record) -> Record | Drop:
        """Drop as ``rights_unstated`` or ``rights_restricted``; the detail quotes what was stated."""
        rights_class: RightsClass = merge_classes(record.rights)
        stated = "; ".join(f"{rights.part}: {rights.raw or rights.uri}" for rights in record.rights) or "nothing stated"
        if rights_class == "unknown":
            parts = {each.part for each in record.rights}
            missing = [name for part, name in (("image", "the picture"), ("metadata", "the text")) if part not in parts]
            more = f"; nothing about {' and '.join(missing)}" if missing and record.rights else ""
            return Drop("rights", RejectReason.RIGHTS_UNSTATED, stated + more)
        if rights_class not in self.admit:
            return Drop("rights", RejectReason.RIGHTS_RESTRICTED, f"{rights_class}: {stated}")
        return replace(record, rights_class=rights_class)
