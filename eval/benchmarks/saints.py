"""Which saint is it? Zero-shot with the Iconclass label and with the Iconclass description of attributes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from iconoclip.errors import EvaluationError

from .base import Benchmark, Prepared

if TYPE_CHECKING:
    from ..data import EvalData, Pictures
    from ..tasks.base import Task

# Notation -> (label, description), as in Iconclass (CC0, iconclass.org) and the saints data set at df54200.
_SAINTS = {
    "11F(MARY)": ("Virgin Mary", "the Virgin Mary"),
    "11H(ANTONY ABBOT)": (
        "St. Anthony Abbot",
        "the hermit Antony Abbot (Antonius Abbas) of Egypt, also called the Great; "
        "possible attributes: bell, book, T-shaped staff, flames, pig",
    ),
    "11H(DOMINIC)": (
        "Saint Dominic",
        "Dominic(us) Guzman of Calerueja, founder of the Order of Preachers (or Dominican (Black) Friars; possible "
        "attributes: book, dog with flaming torch, lily, loaf of bread, rosary, star",
    ),
    "11H(FRANCIS)": (
        "St. Francis of Assisi",
        "founder of the Order of Friars Minor (Franciscans), Francis(cus) of Assisi; "
        "possible attributes: book, crucifix, lily, skull, stigmata",
    ),
    "11H(JEROME)": (
        "St. Jerome",
        "the monk and hermit Jerome (Hieronymus); "
        "possible attributes: book, cardinal's hat, crucifix, hour-glass, lion, skull, stone",
    ),
    "11H(JOHN)": (
        "St. John the Evangelist",
        "the apostle John the Evangelist; possible attributes: book, cauldron, chalice with snake, eagle, palm, scroll",
    ),
    "11H(JOHN THE BAPTIST)": (
        "St. John the Baptist",
        "John the Baptist; possible attributes: book, reed cross, baptismal cup, honeycomb, lamb, staff",
    ),
    "11H(JOSEPH)": (
        "St. Joseph",
        "the foster-father of Christ, Joseph of Nazareth, husband of Mary; "
        "possible attributes: flowering rod or wand, lily, carpenter's tools",
    ),
    "11H(MATTHEW)": (
        "St. Matthew",
        "the apostle and evangelist Matthew (Mattheus); "
        "possible attributes: angel, axe, book, halberd, pen and inkhorn, purse, scroll, square, sword",
    ),
    "11H(PAUL)": ("St. Paul", "the apostle Paul of Tarsus; possible attributes: book, scroll, sword"),
    "11H(PETER)": (
        "St. Peter",
        "the apostle Peter, first bishop of Rome; "
        "possible attributes: book, cock, (upturned) cross, (triple) crozier, fish, key, scroll, ship, tiara",
    ),
    "11HH(CATHERINE)": (
        "St. Catherine",
        "the virgin martyr Catherine of Alexandria; "
        "possible attributes: book, crown, emperor Maxentius, palm-branch, ring, sword, wheel",
    ),
    "11HH(MARY MAGDALENE)": (
        "Mary Magdalene",
        "the penitent harlot Mary Magdalene; possible attributes: book (or scroll), crown, crown of thorns, crucifix, "
        "jar of ointment, mirror, musical instrument, palm-branch, rosary, scourge",
    ),
}
_MARY = "11F"
_TEMPLATES = ("a painting of {}", "a painting of {} with attributes", "{} in a religious painting")
_REFUSED = (
    "needs pretrained weights to mean anything: the names of thirteen saints are learnt from far more text than "
    "these collections hold"
)


class Saints(Benchmark):
    """Zero-shot on thirteen saints, by label and by description; only for models with pretrained weights."""

    title = "Saints, by Iconclass"
    description = (
        "98 paintings of thirteen saints (42 of Mary Magdalene, twelve near-duplicate pairs), asked by name and by the "
        "Iconclass text on their attributes."
    )
    licence = "public-domain works; Iconclass texts CC0"
    citation = "Spinaci et al. 2025, arXiv 2509.18839; github.com/llm-art/ai-recognize-saints at df54200; iconclass.org"
    chance = "1 in 13"
    free_baselines = ("largest class", "colour and shape", "longer text")
    run_on_real_data = True

    kind: Literal["saints"]
    source: str = "saints"

    def prepare(self, data: "EvalData") -> Prepared:
        """Label the pictures by their notation."""
        from ..tasks.classification import Classification

        pictures = data.heldout([self.source])
        found = [next((n for n in record.iconclass if n in _SAINTS), "") for record in pictures.records]
        if "" in found:
            strange = pictures.records[found.index("")]
            raise EvaluationError(
                f"{data.root}: {strange.id} has none of the thirteen saints' notations, got {list(strange.iconclass)}; "
                "map the notation to `iconclass` in the prep configuration"
            )
        notations = [notation for notation in _SAINTS if notation in found]
        names = [_SAINTS[notation][0] for notation in notations]
        by_label = tuple(tuple(template.format(name) for template in _TEMPLATES) for name in names)
        by_description = tuple((_SAINTS[notation][1],) for notation in notations)
        tasks = tuple(
            Classification(
                name=f"zero_shot_{name}",
                pictures=pictures,
                positions=tuple(range(len(pictures))),
                labels=tuple(notations.index(notation) for notation in found),
                classes=tuple(names),
                class_prompts=prompts,
                language="en",
                primary="accuracy@1",
            )
            for name, prompts in (("label", by_label), ("description", by_description))
        )
        tasks += tuple(_swapped(pictures, found, notations))
        return Prepared(pictures, tasks, refuses={"random": _REFUSED, "trained_from_random": _REFUSED})


def _swapped(pictures: "Pictures", found: list[str], notations: list[str]) -> Iterator["Task"]:
    """Texts with the attribute or the name of another saint, in each language whose Iconclass lists agree."""
    from iconoclip.iconclass import parse

    from ..tasks.composition import Composition
    from ._swapped import LANGUAGES, swapped_pairs

    # 11F(MARY) is the data set's own; Iconclass has 11F, without attributes.
    saints = [parse(_MARY if notation == "11F(MARY)" else notation) for notation in notations]
    labels = [notations.index(notation) for notation in found]
    for language in LANGUAGES:
        pairs = swapped_pairs(range(len(pictures)), labels, pictures.keys, saints, language)
        if pairs:
            yield Composition(f"swapped_{language}", pictures, pairs, language)
