"""Another view of the same object: image to image, within a collection."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from .base import Benchmark, Prepared

if TYPE_CHECKING:
    from ..data import EvalData


class SameObject(Benchmark):
    """Given one photograph of a vase or an amber, find another view of it among its collection's held-out pictures."""

    title = "Another view of the same object"
    description = (
        "Photographs of Athenian vases and of ancient carved ambers, several views of each object; the photograph "
        "itself and its near-duplicates are not in its gallery. Collections are ranked by themselves."
    )
    licence = "CC BY 4.0"
    citation = (
        "J. Paul Getty Museum, CVA 10 (2019) and Ancient Carved Ambers (2012/2019); github.com/thegetty/{cva10,ambers}"
    )
    chance = "hit rate@1 views of the object over pictures of the gallery; percentile rank P / (P + 1)"
    free_baselines = ("colour and shape",)
    run_on_real_data = True

    kind: Literal["same_object"]
    sources: list[str] = Field(default=["getty_vases", "getty_ambers"], min_length=1)

    def prepare(self, data: "EvalData") -> Prepared:
        """Group held-out pictures by fold and collection."""
        from ..tasks.image_retrieval import ImageRetrieval

        pictures = data.heldout(self.sources)
        groups = tuple(
            (fold, tuple(p for p in positions if pictures.records[p].source == source))
            for fold, positions in pictures.cells().items()
            for source in self.sources
        )
        task = ImageRetrieval(name="image_to_image", pictures=pictures, groups=tuple(g for g in groups if g[1]))
        return Prepared(pictures, (task,))
