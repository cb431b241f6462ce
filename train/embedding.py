"""Embed with all processes of a run: each encodes its batches, everybody gets all rows.

No process waits while others work, and the rows are the same, bit for bit, for every number of processes.
"""

from collections.abc import Callable, Sequence

import numpy as np

from iconoclip.embed import BATCH_SIZE, embed_images, embed_texts, join_batches, own_batches
from iconoclip.errors import IconoclipError
from iconoclip.models import Model

from .processes import Processes
from .speedups import uncompiled


class Stopped(Exception):  # noqa: N818  # no error: all have agreed to stop before the work was done
    """All processes have agreed to stop; it is raised in all of them after the same batch."""


class SharedEmbedder:
    """Every method is to be called by all processes with the same arguments.

    Raises:
        Stopped: a stop was agreed on; the rows so far are lost.
        IconoclipError: what one process could not read or encode, in all of them.
    """

    def __init__(self, model: Model, processes: Processes, *, batch_size: int = BATCH_SIZE) -> None:
        self._model, self._processes, self._batch_size = model, processes, batch_size

    def images(self, read_image: Callable[[int], bytes], count: int) -> np.ndarray:
        """Embed pictures 0 to ``count`` - 1: float32 [count, D], rows of length 1."""
        return self._share(
            count,
            lambda batches: embed_images(
                self._model,
                read_image,
                count,
                batch_size=self._batch_size,
                device=self._processes.device,
                batches=batches,
                after_batch=self._meet,
            ),
        )

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts: float32 [len(texts), D], rows of length 1."""
        return self._share(
            len(texts),
            lambda batches: embed_texts(
                self._model,
                texts,
                batch_size=self._batch_size,
                device=self._processes.device,
                batches=batches,
                after_batch=self._meet,
            ),
        )

    def _share(self, count: int, embed: Callable[[list[int]], np.ndarray]) -> np.ndarray:
        processes = self._processes
        try:
            with uncompiled():
                own = own_batches(count, rank=processes.rank, world=processes.world, batch_size=self._batch_size)
                rows = embed(own)
        except _Told as error:
            raise error.args[0] from None
        except IconoclipError as error:
            processes.meet(error=error)  # raises: the others are in this meeting too, after a batch or after the last
            raise
        processes.meet()
        return join_batches(processes.gather(rows), count, batch_size=self._batch_size)

    def _meet(self) -> None:
        try:
            self._processes.meet()
        except IconoclipError as error:
            raise _Told(error) from None
        if self._processes.stopping:
            raise Stopped


class _Told(Exception):  # noqa: N818
    """Holds an error that all processes know of already."""
