"""Retrieval by document: the title tells of the whole document, so every page of it is a right answer."""

from typing import TYPE_CHECKING, Literal

from .base import Benchmark, Prepared

if TYPE_CHECKING:
    from ..data import EvalData, Pictures


class DocumentRetrieval(Benchmark):
    """Find a page of the document that a title names, among the pages of the held-out fold.

    Documents of one hand lie in several folds and share words and looks. So the baseline is a model that recognises the
    draughtsmen of whom other folds hold drawings, and nothing else; all other drawings are one group to it.
    """

    title = "French titles of drawings, by document"
    description = (
        "Drawings of the Bibliothèque nationale de France with their catalogue titles in French; any page of the "
        "document is right; by cross-fitted folds. Some pages hold no drawing, as in the library."
    )
    licence = "domaine public (works); source gallica.bnf.fr / BnF"
    citation = "Bibliothèque nationale de France, Gallica; github.com/altomator/Gallica-Images"
    chance = "percentile rank P / (P + 1) with P pages of the document"
    free_baselines = ("known draughtsman only",)
    run_on_real_data = True

    kind: Literal["document_retrieval"]
    source: str = "bnf_dessins"
    languages: list[str] = ["fr"]
    captions: Literal["default", "all"] = "default"

    def prepare(self, data: "EvalData") -> Prepared:
        """Collect the collection's pages by fold."""
        from ..tasks.retrieval import Retrieval
        from ._galleries import build_galleries

        pictures = data.heldout([self.source])
        task = Retrieval(
            pictures=pictures,
            galleries=build_galleries(pictures, choice=self.captions, languages=self.languages),
            positives="work",
            ks=(1,),
            primary="text_to_image/mean_percentile_rank",
            group_baselines={"known_draughtsman_only": _known_draughtsmen(pictures)},
        )
        return Prepared(pictures, (task,))


def _known_draughtsmen(pictures: "Pictures") -> tuple[str, ...]:
    """Draughtsman of each picture where another fold has work of the same, else ``""``."""
    folds_of: dict[str, set[int | None]] = {}
    for record, fold in zip(pictures.records, pictures.folds, strict=True):
        folds_of.setdefault(record.creator, set()).add(fold)
    return tuple(record.creator if len(folds_of[record.creator]) > 1 else "" for record in pictures.records)
