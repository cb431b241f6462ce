"""What a contrastive loss promises: the loss of the *global* batch, whoever holds which part of it.

``train/losses/NAME.py`` defines one subclass; ``loss: NAME`` or ``loss: {kind: NAME, ...}`` picks it. The class is the
configuration too, so torch is imported only where it is used.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from iconoclip.config import Config

if TYPE_CHECKING:
    from torch import Tensor

Relation = Literal["positive", "ignore", "negative"]

# Columns of `groups`: numbers that are equal for samples that share something.
GROUP_COLUMNS = ("picture", "caption", "work")


class Loss(Config):
    """Options that every contrastive loss has: what a pair is that belongs together though it was drawn twice.

    ``same_caption`` (equal text, or the same picture) and ``same_work``: such pairs are further positives, or are
    ignored, or count as negatives as in plain CLIP.
    """

    kind: str
    same_caption: Relation = "positive"
    same_work: Relation = "negative"

    uses_bias: ClassVar[bool] = False

    @abstractmethod
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
        """Loss of the local rows against the global columns; its mean over processes is the loss of the global batch.

        Args:
            image_LD: [L, D] this process's picture embeddings, rows of length 1.
            text_LD: [L, D] its texts, in the same order.
            scale: factor on the cosine, already exponentiated.
            bias: added to the logits; None where ``uses_bias`` is False.
            groups_LC: int64 [L, 3], see ``GROUP_COLUMNS``.
            offset: position of the first local row in the global batch.
            gather: [L, ...] -> [B, ...] over all processes, differentiable.
        """

    def relations(self, groups_LC: "Tensor", groups_BC: "Tensor", offset: int) -> "tuple[Tensor, Tensor]":
        """Return (positive, ignored), bool [L, B]: what belongs together, and what is neither right nor wrong.

        Example: three samples of which the first two have the same caption, ``same_caption: positive``:
        positive is [[1, 1, 0], [1, 1, 0], [0, 0, 1]], nothing is ignored.
        """
        import torch

        num_local, num_global = len(groups_LC), len(groups_BC)
        own = torch.arange(num_local, device=groups_LC.device) + offset
        positive = own[:, None] == torch.arange(num_global, device=groups_LC.device)[None, :]
        equal = groups_LC[:, None, :] == groups_BC[None, :, :]
        same_caption, same_work = equal[..., 0] | equal[..., 1], equal[..., 2]
        ignored = torch.zeros_like(positive)
        for same, relation in ((same_work, self.same_work), (same_caption, self.same_caption)):
            if relation == "positive":
                positive = positive | same
            elif relation == "ignore":
                ignored = ignored | same
        return positive, ignored & ~positive
