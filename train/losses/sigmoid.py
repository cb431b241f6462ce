"""SigLIP's loss (Zhai et al. 2023, algorithm 1): every pair of the batch is a yes-or-no question."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from .base import Loss, sum_in_chunks

if TYPE_CHECKING:
    from torch import Tensor


class Sigmoid(Loss):
    """Sum over all pairs, divided by the number of pictures; every positive of a picture is a yes."""

    kind: Literal["sigmoid"] = "sigmoid"  # type: ignore[assignment]  # frozen, so narrowing is safe

    uses_bias: ClassVar[bool] = True

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
        """Local pictures against all texts: each pair of the global batch is counted once; see the base class."""
        from torch.nn.functional import logsigmoid

        assert bias is not None, "the loop gives a model for this loss its bias"
        groups_BC, text_BD = gather(groups_LC), gather(text_LD)

        def rows(part: slice) -> "Tensor":
            positive_LB, ignored_LB = self.relations(groups_LC[part], groups_BC, offset + part.start)
            logits_LB = scale * image_LD[part] @ text_BD.T + bias
            signs_LB = positive_LB.to(logits_LB.dtype) * 2 - 1
            return -logsigmoid(signs_LB * logits_LB).masked_fill(ignored_LB, 0.0).sum()

        return sum_in_chunks(rows, len(image_LD), len(groups_BC)) / len(image_LD)
