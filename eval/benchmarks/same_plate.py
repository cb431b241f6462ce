"""Another impression of the same plate or block: image to image, among the held-out pictures of a collection."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from iconoclip.errors import EvaluationError

from .base import Benchmark, Prepared

if TYPE_CHECKING:
    from ..data import EvalData, Pictures


class SamePlate(Benchmark):
    """Given one print, find another impression of its plate, or its woodcut in another book.

    ``plates`` is a CSV file with the columns ``id`` (of the record) and ``plate``; pictures without a line, or alone on
    their plate, are not asked and stand in the gallery.
    """

    title = "Another impression of the same plate"
    description = (
        "Prints and book illustrations whose plates or blocks were used again; near-duplicates count, the picture "
        "itself is not in its gallery. Plates are the unit of chance."
    )
    licence = "as the shard set's ATTRIBUTION.csv"
    citation = "the shard set's README.md, and whoever told the plates apart"
    free_baselines = ("colour and shape",)

    kind: Literal["same_plate"]
    source: str = "prints"
    plates: Path = Path("plates.csv")

    def prepare(self, data: "EvalData") -> Prepared:
        """Group held-out pictures by fold and look their plates up."""
        from ..tasks.image_retrieval import ImageRetrieval

        pictures = data.heldout([self.source])
        groups = tuple((fold, tuple(positions)) for fold, positions in pictures.cells().items())
        task = ImageRetrieval("image_to_image", pictures, groups, plates=self._plates(pictures))
        return Prepared(pictures, (task,))

    def _plates(self, pictures: "Pictures") -> tuple[str, ...]:
        try:
            with self.plates.open(encoding="utf-8-sig", newline="") as file:
                plate_of = {row["id"]: row["plate"].strip() for row in csv.DictReader(file)}
        except OSError as error:
            raise EvaluationError(
                f"{self.plates}: {error.strerror}; `plates` is a CSV file with id and plate"
            ) from None
        except (KeyError, AttributeError):
            raise EvaluationError(f"{self.plates}: expected the columns id and plate") from None
        found = tuple(plate_of.get(record.id, "") for record in pictures.records)
        if max((found.count(plate) for plate in set(found) - {""}), default=0) < 2:
            raise EvaluationError(f"{self.plates}: no plate has two of the {len(found):,} pictures of {self.source}")
        return found
