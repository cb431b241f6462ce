"""ArtDL: which of ten saints is it? By name, by Iconclass text in several languages, and with attributes swapped.

``{kind: artdl, root: ArtDL}`` is the unpacked ``ArtDL.zip`` of Zenodo: ``JPEGImages/<item>.jpg`` and
``ImageSets/Main/ArtDL.csv`` (a row per item: ``item``, ``set``, 0 or 1 for each class). ``sets/test.txt`` of
github.com/iFede94/ArtDL, if it lies there too, names the 1,864 pictures that publications test on.
"""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from iconoclip.errors import EvaluationError

from .base import FilesBenchmark, KnownResult, Prepared

if TYPE_CHECKING:
    from iconoclip.records import Record

    from ..data import EvalData
    from ..tasks.base import Task

# Column of ArtDL.csv -> (name as the authors print it, Iconclass notation). 11F(MARY) is theirs, Iconclass has 11F.
_CLASSES = {
    "11H(ANTONY OF PADUA)": ("Anthony of Padua", "11H(ANTONY OF PADUA)"),
    "11H(JOHN THE BAPTIST)": ("John the Baptist", "11H(JOHN THE BAPTIST)"),
    "11H(PAUL)": ("Paul", "11H(PAUL)"),
    "11H(FRANCIS)": ("Francis of Assisi", "11H(FRANCIS)"),
    "11HH(MARY MAGDALENE)": ("Mary Magdalene", "11HH(MARY MAGDALENE)"),
    "11H(JEROME)": ("Jerome", "11H(JEROME)"),
    "11H(DOMINIC)": ("Saint Dominic", "11H(DOMINIC)"),
    "11F(MARY)": ("Virgin Mary", "11F"),
    "11H(PETER)": ("Peter", "11H(PETER)"),
    "11H(SEBASTIAN)": ("Saint Sebastian", "11H(SEBASTIAN)"),
}
_TEMPLATES = ("{}", "a painting of {}", "a painting of {} with attributes", "{} in a religious painting")
_PAPER = "Milani and Fraternali 2021, doi 10.1145/3458885, as quoted in github.com/llm-art/ai-recognize-saints"
_SAINTS = "github.com/llm-art/ai-recognize-saints at 02abaf2, test 1: bare labels"
_MLLM = "Spinaci et al. 2025, arXiv 2509.18839"


def _known(model: str, recall: float, f1: float, ap: float) -> tuple[KnownResult, ...]:
    figures = (("mean_per_class_recall", recall), ("macro_f1", f1), ("map_macro", ap))
    return tuple(KnownResult(model, metric, value, _SAINTS, "all", "no prompt ensemble") for metric, value in figures)


class Artdl(FilesBenchmark):
    """Ten classes of saints; pictures with exactly one of them.

    Probes are fitted on the tested pictures by cross-validation, with identical files kept together.
    """

    title = "ArtDL: ten saints in paintings"
    description = (
        "Paintings of ten saints, 1,864 in the authors' test set, 64 % of them the Virgin Mary. Zero-shot by name and "
        "by Iconclass text, nearest neighbours and linear probe, and texts with one attribute or name swapped."
    )
    licence = "not stated where the annotations lie; pictures of museums and Wikimedia"
    citation = (
        "Milani and Fraternali 2021, Journal on Computing and Cultural Heritage 14(4), doi 10.1145/3458885; artdl.org"
    )
    chance = "accuracy and recall 1 in 10; swapped texts 1 in 2"
    free_baselines = ("largest class", "colour and shape", "longer text")
    known_results = (
        KnownResult("ResNet-50, trained", "mean_per_class_recall", 0.7089, _PAPER, note="trained on ArtDL"),
        KnownResult("ResNet-50, trained", "macro_f1", 0.7025, _PAPER, note="trained on ArtDL"),
        KnownResult("ResNet-50, trained", "map_macro", 0.7273, _PAPER, note="trained on ArtDL"),
        *_known("CLIP ViT-B/32", 0.3716, 0.1330, 0.3479),
        *_known("CLIP ViT-B/16", 0.4442, 0.1917, 0.3461),
        *_known("CLIP ViT-L/14", 0.4962, 0.2493, 0.4906),
        *_known("SigLIP B/16-512", 0.4800, 0.2777, 0.4873),
        *_known("SigLIP L/16-384", 0.5852, 0.4053, 0.5847),
        *_known("SigLIP so400m/14-384", 0.5227, 0.2923, 0.6222),
        KnownResult("Gemini 2.5 Pro", "accuracy@1", 0.9045, _MLLM),
        KnownResult("GPT-4o", "accuracy@1", 0.8820, _MLLM),
    )

    kind: Literal["artdl"]
    languages: list[str] = Field(default=["en", "de", "fr", "it", "pt"], min_length=1)
    probes: bool = True

    def prepare(self, data: "EvalData") -> Prepared:
        """Read the tested pictures and ask for their saint in every way."""
        from iconoclip.iconclass import parse

        from ._files import Folder, gather, need_root

        root = need_root(self, "zenodo.org/records/6473001")
        records, skipped = self._read(root)
        store = Folder([root / "JPEGImages" / f"{record.id}.jpg" for record in records])
        pictures, facts = gather(self, records, store)
        column_of = {notation: column for column, (_, notation) in _CLASSES.items()}
        columns = [column_of[record.iconclass[0]] for record in pictures.records]
        present = sorted(set(columns), key=list(_CLASSES).index)
        if len(present) < 2:
            raise EvaluationError(f"{root}: pictures of {len(present)} classes; a choice needs two")
        labels = tuple(present.index(column) for column in columns)
        shared = {"pictures": pictures, "positions": tuple(range(len(pictures))), "labels": labels}
        names = [_CLASSES[column][0] for column in present]
        saints = [parse(_CLASSES[column][1]) for column in present]
        tasks = [*self._zero_shot(shared, names, saints), *self._swapped(shared, saints)]
        if self.probes:
            tasks += _probes(shared, names)
        facts["pictures_of_several_or_no_saints_left_out"] = skipped
        return Prepared(pictures, tuple(tasks), facts=facts)

    def _zero_shot(self, shared: dict, names: list[str], saints: list) -> list["Task"]:
        from iconoclip.iconclass import text_of

        from ..prompts import fill_templates, parallel_classes
        from ..tasks.classification import Classification

        def task(name: str, prompts: tuple[tuple[str, ...], ...], language: str, **more) -> "Task":
            return Classification(
                name=f"zero_shot_{name}",
                classes=tuple(names),
                class_prompts=prompts,
                language=language,
                **shared,
                **more,
            )

        found = [task("label", fill_templates(names, _TEMPLATES), "en")]
        found.append(task("description", tuple((text_of(saint, "en"),) for saint in saints), "en"))
        short = parallel_classes(saints, self.languages)
        if len(short.members) != len(saints):
            raise EvaluationError(f"{self.shown_name}: a saint has no text in one of {', '.join(self.languages)}")
        found += [task(f"iconclass_{lang}", short.prompts(lang), lang) for lang in self.languages]
        if len(self.languages) > 1:
            together = tuple(tuple(short.names[lang][c] for lang in self.languages) for c in range(len(saints)))
            listed = ",".join(sorted(self.languages))
            found.append(task("iconclass_together", together, listed, prompt_languages=tuple(self.languages)))
        return found

    def _swapped(self, shared: dict, saints: list) -> list["Task"]:
        from ..tasks.composition import Composition
        from ._swapped import LANGUAGES, swapped_pairs

        pictures, found = shared["pictures"], []
        for language in (lang for lang in self.languages if lang in LANGUAGES):
            pairs = swapped_pairs(shared["positions"], shared["labels"], pictures.keys, saints, language)
            if pairs:
                found.append(Composition(f"swapped_{language}", pictures, pairs, language))
        return found

    def _read(self, root: Path) -> tuple[list["Record"], int]:
        """Records of the tested pictures with exactly one class, and how many have none or several."""
        from iconoclip.records import Record

        from ._files import need_file

        path = need_file(root / "ImageSets" / "Main" / "ArtDL.csv", "the classes of every picture")
        listed = root / "sets" / "test.txt"
        wanted = None
        if listed.is_file():
            wanted = {line.strip() for line in listed.read_text(encoding="utf-8").splitlines()}
        records, skipped = [], 0
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = [name for name in ("item", "set", *_CLASSES) if name not in (rows.fieldnames or ())]
            if missing:
                raise EvaluationError(f"{path}: no column {', '.join(missing)}; is it ArtDL.csv of the Zenodo record?")
            for row in rows:
                if row["item"] not in wanted if wanted is not None else row["set"] != "test":
                    continue
                classes = [column for column in _CLASSES if row[column].strip() in ("1", "1.0")]
                if len(classes) != 1:
                    skipped += 1
                    continue
                notation = _CLASSES[classes[0]][1]
                record = Record(id=row["item"], source=self.kind_name, institution="ArtDL", iconclass=(notation,))
                records.append(record)
        return records, skipped


def _probes(shared: dict, names: list[str]) -> list["Task"]:
    from ..tasks.probe import Probe

    def probe(name: str, method: Literal["nearest", "knn", "linear"], primary: str = "") -> "Task":
        return Probe(name=name, classes=tuple(names), method=method, primary=primary, **shared)

    return [
        probe("nearest_neighbour", "nearest"),
        probe("nearest_neighbours_20", "knn"),
        probe("linear_probe", "linear", "mean_per_class_recall"),
    ]
