"""CLIP's loss (Radford et al. 2021, figure 3): cross-entropy over the batch, pictures to texts and back."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from .base import Loss

if TYPE_CHECKING:
    from torch import Tensor


class Softmax(Loss):
    """Mean of both directions; a row with several positives shares its target evenly among them (UniCL, eq. 3)."""

    kind: Literal["softmax"] = "softmax"  # type: ignore[assignment]  # frozen, so narrowing is safe

    def compute(
        self,
        image_LD: "Tensor",
        text_LD: "Tensor",
        *,
        scale: "Tensor",
        bias: "Tensor | None",
        groups_LC: "Tensor",
        offset: int,
        gather: "Callable[[Tensor], Tensor]",
    ) -> "Tensor":
        """Mean over the local rows of both directions; see the base class."""
        positive_LB, ignored_LB = self.relations(groups_LC, gather(groups_LC), offset)
        losses = []
        for rows_LD, columns_LD in ((image_LD, text_LD), (text_LD, image_LD)):
            logits_LB = scale * rows_LD @ gather(columns_LD).T
            logits_LB = logits_LB.masked_fill(ignored_LB, float("-inf"))
            log_p_LB = logits_LB.log_softmax(dim=1).masked_fill(~positive_LB, 0.0)
            losses.append(-(log_p_LB.sum(dim=1) / positive_LB.sum(dim=1)).mean())
        return (losses[0] + losses[1]) / 2
