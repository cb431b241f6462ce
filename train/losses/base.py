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

# Columns of `groups`: numbers that are equal for samples that share something. After them come the Iconclass notations
# of a sample, at most so many; 0 where it has fewer.
GROUP_COLUMNS = ("picture", "caption", "work")
MAX_NOTATIONS = 8
# The matrix of logits is made in parts of at most so many pairs (64 MB in fp32).
_CHUNK_PAIRS = 2**24


class Loss(Config):
    """Options that every contrastive loss has: what a pair is that belongs together though it was drawn twice.

    ``same_picture`` (one group of duplicates), ``same_caption`` (equal text), ``same_work`` and ``same_iconclass`` (one
    notation in common): such pairs are further positives, or are ignored, or count as negatives as in plain CLIP. Where
    several hold, positive goes before ignore, and ignore before negative.
    """

    kind: str
    same_picture: Relation = "positive"
    same_caption: Relation = "positive"
    same_work: Relation = "negative"
    same_iconclass: Relation = "negative"

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
            groups_LC: int64 [L, 3 + notations], see ``GROUP_COLUMNS``.
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
        ignored = torch.zeros_like(positive)
        columns = (self.same_picture, self.same_caption, self.same_work)
        for column, relation in enumerate(columns):
            if relation != "negative":
                same = groups_LC[:, None, column] == groups_BC[None, :, column]
                positive, ignored = _add(positive, ignored, same, relation)
        if self.same_iconclass != "negative":
            same = _share_a_notation(groups_LC[:, len(columns) :], groups_BC[:, len(columns) :])
            positive, ignored = _add(positive, ignored, same, self.same_iconclass)
        return positive, ignored & ~positive


def _add(positive: "Tensor", ignored: "Tensor", same: "Tensor", relation: Relation) -> "tuple[Tensor, Tensor]":
    return (positive | same, ignored) if relation == "positive" else (positive, ignored | same)


def _share_a_notation(notations_LN: "Tensor", notations_BN: "Tensor") -> "Tensor":
    """bool [L, B]; 0 stands for no notation and equals nothing."""
    import torch

    shared = torch.zeros(len(notations_LN), len(notations_BN), dtype=torch.bool, device=notations_LN.device)
    for mine in notations_LN.unbind(1):
        for other in notations_BN.unbind(1):
            shared |= (mine[:, None] == other[None, :]) & (mine != 0)[:, None]
    return shared


def sum_in_chunks(compute: "Callable[[slice], Tensor]", num_rows: int, num_columns: int) -> "Tensor":
    """Sum ``compute(rows)`` over parts of the local rows; with several, each is computed again in the backward pass.

    So neither the matrix of logits nor what its gradient needs is ever held whole.
    """
    from torch.utils.checkpoint import checkpoint

    size = max(1, _CHUNK_PAIRS // num_columns)
    parts = [slice(start, min(start + size, num_rows)) for start in range(0, num_rows, size)]
    if len(parts) == 1:
        return compute(parts[0])
    total = checkpoint(compute, parts[0], use_reentrant=False, preserve_rng_state=False)
    for part in parts[1:]:
        total = total + checkpoint(compute, part, use_reentrant=False, preserve_rng_state=False)
    return total
