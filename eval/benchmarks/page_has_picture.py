"""Is there a picture on this page? A linear probe on the image tower, pages with a drawing against written pages."""

from typing import TYPE_CHECKING, Literal

from .base import Benchmark, Prepared

if TYPE_CHECKING:
    from ..data import EvalData


class PageHasPicture(Benchmark):
    """Sort the pages of an album into pictures and script, cross-validated by page.

    The pages with pictures are trained on by folds: each fold is embedded, fitted and tested by the run that left it
    out; otherwise the probe could tell pages that a run has seen from pages that it has not.
    """

    title = "Is there a picture on this page?"
    description = (
        "Pages of the album amicorum of Jacob Heyblocq: 48 with a drawing or print against 193 with script alone. "
        "Linear probe and nearest neighbour on the image tower, balanced accuracy by page."
    )
    licence = "CC0 1.0 (data), public domain (scans)"
    citation = "KB, National Library of the Netherlands, KW 131 H 26; github.com/KBNLwikimedia/Alba-Amicorum"
    chance = "balanced accuracy 1 in 2"
    free_baselines = ("largest class", "colour and shape")
    run_on_real_data = True

    kind: Literal["page_has_picture"]
    with_picture: str = "kb_album"
    without_picture: str = "kb_album_pages"

    def prepare(self, data: "EvalData") -> Prepared:
        """Collect both collections."""
        from ..tasks.probe import Probe

        pictures = data.heldout([self.with_picture, self.without_picture])
        labels = tuple(int(record.source == self.with_picture) for record in pictures.records)
        folds = data.num_folds if any(fold is not None for fold in pictures.folds) else 0
        tasks = tuple(
            Probe(
                name=f"{method}_probe" if method == "linear" else "nearest_neighbour",
                pictures=pictures,
                positions=tuple(range(len(pictures))),
                labels=labels,
                classes=("script", "picture"),
                method=method,
                folds=folds,
                primary="balanced_accuracy" if method == "linear" else "",
            )
            for method in ("linear", "nearest")
        )
        return Prepared(pictures, tasks)
