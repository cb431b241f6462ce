"""CLIP's loss (Radford et al. 2021, figure 3): cross-entropy over the batch, pictures to texts and back."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from .base import Loss, sum_in_chunks

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
        groups_BC, text_BD, image_BD = gather(groups_LC), gather(text_LD), gather(image_LD)

        def rows(part: slice) -> "Tensor":
            positive_LB, ignored_LB = self.relations(groups_LC[part], groups_BC, offset + part.start)
            losses = []
            for rows_LD, columns_BD in ((image_LD[part], text_BD), (text_LD[part], image_BD)):
                logits_LB = (scale * rows_LD @ columns_BD.T).masked_fill(ignored_LB, float("-inf"))
                log_p_LB = logits_LB.log_softmax(dim=1).masked_fill(~positive_LB, 0.0)
                losses.append(-(log_p_LB.sum(dim=1) / positive_LB.sum(dim=1)).sum())
            return (losses[0] + losses[1]) / 2

        return sum_in_chunks(rows, len(image_LD), len(groups_BC)) / len(image_LD)
