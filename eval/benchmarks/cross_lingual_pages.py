"""Two languages on the same pages: the one comparison of languages that does not compare pictures as well."""

from typing import TYPE_CHECKING, Literal

from iconoclip.errors import EvaluationError

from .base import Benchmark, Prepared

if TYPE_CHECKING:
    from ..data import EvalData


class CrossLingualPages(Benchmark):
    """Find the page that a description tells of, asked in each of two languages; pages of the held-out fold compete.

    Galleries are small (a fold of the collection), so the measure is the mean percentile rank: the share of wrong
    pages that the right one beats.
    """

    title = "Dutch against English on the same pages"
    description = (
        "48 illustrated pages of the album amicorum of Jacob Heyblocq, each described in Dutch and in English by the "
        "same institution; asked in both languages, paired by page, by cross-fitted folds."
    )
    licence = "CC0 1.0 (descriptions), public domain (scans)"
    citation = "KB, National Library of the Netherlands, KW 131 H 26; github.com/KBNLwikimedia/Alba-Amicorum"
    chance = "percentile rank 50 %"
    run_on_real_data = True

    kind: Literal["cross_lingual_pages"]
    source: str = "kb_album"
    languages: tuple[str, str] = ("nl", "en")

    def prepare(self, data: "EvalData") -> Prepared:
        """Keep the pages that have a caption in both languages."""
        from ..data import choose_pictures
        from ..tasks.retrieval import Retrieval
        from ._galleries import build_galleries

        pictures = data.heldout([self.source])
        both = [
            place
            for place, record in enumerate(pictures.records)
            if set(self.languages) <= {caption.lang for caption in record.captions}
        ]
        if not both:
            raise EvaluationError(
                f"{data.root}: no picture of {self.source!r} has captions in {' and '.join(self.languages)}"
            )
        pictures = choose_pictures(pictures, both)
        task = Retrieval(
            pictures=pictures,
            galleries=build_galleries(pictures, choice="language", languages=self.languages),
            ks=(1,),
            primary="text_to_image/mean_percentile_rank",
            paired_languages=self.languages,
        )
        return Prepared(pictures, (task,))
