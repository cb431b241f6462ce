"""BnF's eight kinds of document from the Richelieu site: zero-shot in two languages, and probes by document."""

from typing import TYPE_CHECKING, Literal, NamedTuple

from iconoclip.errors import EvaluationError
from iconoclip.records import Record

from .base import Benchmark, Prepared

if TYPE_CHECKING:
    from ..data import EvalData


class _Kind(NamedTuple):
    """A class: BnF's folder name and object type, its English prompt, our French one."""

    label: str
    object_type: str
    english: str
    french: str


# English: github.com/altomator/CLIP_test, static/richelieu_labels.csv at f874c66. French: ours, after BnF's own terms.
_KINDS = (
    _Kind("Blanc", "page blanche", "a blank page", "une page blanche"),
    _Kind("Estampe", "estampe", "an old engraving", "une estampe ancienne"),
    _Kind("Partition", "partition musicale", "a printed music score", "une partition de musique imprimée"),
    _Kind(
        "Photo",
        "photographie",
        "a black and white photo from a glass plate negative",
        "une photographie en noir et blanc d'après un négatif sur plaque de verre",
    ),
    _Kind(
        "Plan",
        "plan",
        "an old architectural plan or a floor plan",
        "un ancien plan d'architecture ou un plan d'étage",
    ),
    _Kind("Pub", "affiche publicitaire", "a vintage poster", "une affiche ancienne"),
    _Kind(
        "Recueil",
        "recueil de photographies",
        "a large vintage photo printed on a book page",
        "une grande photographie ancienne imprimée sur une page de livre",
    ),
    _Kind("Texte", "page de texte", "a page of text in a book", "une page de texte dans un livre"),
)
# Nearly every picture of these is its own document.
_SOUND = ("Estampe", "Photo", "Plan", "Pub")


class Richelieu(Benchmark):
    """Zero-shot with English and French prompts on the four sound classes and on all eight; probes by document.

    Blanc is one document, Texte three, Partition one picture, Recueil 73 of 100 pages of one album: over eight classes
    the confusions are worth reading, a mean over classes is not.
    """

    title = "Kinds of document (BnF Richelieu)"
    description = (
        "365 digitised pages in eight classes. Zero-shot with BnF's English prompts and with French ones; nearest "
        "neighbour and linear probe on the image tower that leave the picture's document out."
    )
    licence = "public-domain works digitised by BnF (Gallica); prompts: github.com/altomator/CLIP_test"
    citation = "Bibliothèque nationale de France; github.com/altomator/CLIP_test at f874c66"
    chance = "1 in 4, 1 in 8"
    free_baselines = ("largest class", "colour and shape")
    pinned_revision = "f874c66351126010a2d681c3bc5863db5cdcc0f4"
    revision_source = "github.com/altomator/CLIP_test"
    run_on_real_data = True

    kind: Literal["richelieu"]
    source: str = "richelieu"

    def prepare(self, data: "EvalData") -> Prepared:
        """Label the pictures and set up zero-shot and probes on four and on eight classes."""
        from ..tasks.classification import Classification
        from ..tasks.probe import Probe

        pictures = data.heldout([self.source])
        label_of = [_label(record, data) for record in pictures.records]
        tasks = []
        for name, kinds in (("4", [k for k in _KINDS if k.label in _SOUND]), ("8", list(_KINDS))):
            classes = tuple(kind.label for kind in kinds)
            positions = tuple(p for p, label in enumerate(label_of) if label in classes)
            labels = tuple(classes.index(label_of[p]) for p in positions)
            primary = "mean_per_class_recall" if name == "4" else "accuracy@1"
            for language in ("en", "fr"):
                prompts = tuple((kind.english if language == "en" else kind.french,) for kind in kinds)
                tasks.append(
                    Classification(
                        name=f"zero_shot_{name}_{language}",
                        pictures=pictures,
                        positions=positions,
                        labels=labels,
                        classes=classes,
                        class_prompts=prompts,
                        language=language,
                        primary=primary,
                    )
                )
            for method in ("nearest", "linear"):
                tasks.append(
                    Probe(
                        name=f"{'nearest_neighbour' if method == 'nearest' else 'linear_probe'}_{name}",
                        pictures=pictures,
                        positions=positions,
                        labels=labels,
                        classes=classes,
                        method=method,
                        primary=primary if method == "linear" else "",
                    )
                )
        return Prepared(pictures, tuple(tasks))


def _label(record: Record, data: "EvalData") -> str:
    """Class of a record: its label caption, its object type or BnF's prompt, whichever the prep configuration kept."""
    known = {value.casefold(): kind.label for kind in _KINDS for value in (kind.label, kind.object_type, kind.english)}
    for text in (*(caption.text for caption in record.captions), record.object_type):
        if text.casefold() in known:
            return known[text.casefold()]
    raise EvaluationError(
        f"{data.root}: {record.id} has none of the classes {', '.join(kind.label for kind in _KINDS)}; "
        "map the class to a caption with source `label` in the prep configuration"
    )
