"""Write the model card of a published model: YAML front matter that the Hub reads, and a body that people read.

``write_card(facts)`` is a pure function of what is known; what is not known is said, never guessed. The generated part
stands between two markers; :func:`merge_cards` keeps what people wrote outside of them when a model is published again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from .card_results import Row, main_rows, model_index, row_key, unseen

START = "<!-- generated:start -->"
END = "<!-- generated:end -->"

_SHOWN_ROWS = 60
_FEW_PICTURES = 100_000


@dataclass(frozen=True)
class CollectionFacts:
    """What a collection gave to the training."""

    name: str
    institution: str
    num_records: int
    num_works: int
    languages: tuple[str, ...]
    rights_classes: tuple[str, ...]
    statements: tuple[str, ...]
    num_non_commercial: int = 0


@dataclass(frozen=True)
class CardFacts:
    """Everything a card says. ``emissions_g`` is in grams of CO2 equivalent, as the Hub wants it."""

    title: str
    identifier: str
    collections: tuple[CollectionFacts, ...]
    datasets: tuple[str, ...]
    languages: tuple[str, ...]
    num_parameters: int
    image_size_px: int
    context_length: int
    needs_text_config: bool
    start_name: str
    base_model: str
    is_pretrained: bool
    samples_seen: int | None
    stopped_at: str
    weights_sha256: str
    results: tuple[dict[str, Any], ...] = ()
    start_results: tuple[dict[str, Any], ...] = ()
    energy_kwh: float | None = None
    emissions_g: float | None = None
    energy_method: str = ""
    country: str = ""
    g_per_kwh: float = 0.0
    contact: str = ""
    software: dict[str, str] = field(default_factory=dict)

    @property
    def num_records(self) -> int:
        """Pictures trained on."""
        return sum(collection.num_records for collection in self.collections)

    @property
    def num_non_commercial(self) -> int:
        """Pictures trained on whose rights allow non-commercial use only."""
        return sum(collection.num_non_commercial for collection in self.collections)


def write_card(facts: CardFacts) -> str:
    """Return README.md: front matter, then the generated body between its markers."""
    sections = (
        _introduction(facts),
        _loading(facts),
        _data(facts),
        _results(facts),
        _limits(facts),
        _energy(facts),
        _closing(facts),
    )
    body = "\n\n".join(section.strip() for section in sections)
    return f"---\n{_front_matter(facts)}---\n\n{START}\n{body}\n{END}\n"


def merge_cards(old: str, new: str) -> str:
    """Return ``new`` with what a person wrote in ``old`` above and below its generated part."""
    if START not in old or END not in old:
        return new
    above = old.partition(START)[0]
    if above.startswith("---\n"):
        above = above[4:].partition("\n---\n")[2]
    below = old.rpartition(END)[2]
    head, _, rest = new.partition(START)
    kept = f"{above.strip()}\n\n" if above.strip() else ""
    generated = f"{head}{kept}{START}{rest.partition(END)[0]}{END}\n"
    return f"{generated}\n{below.strip()}\n" if below.strip() else generated


def _front_matter(facts: CardFacts) -> str:
    data: dict[str, Any] = {
        "license": "apache-2.0",
        "language": list(facts.languages),
        "library_name": "open_clip",
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["clip", "cultural-heritage", "iconography", "image-text-retrieval", "iconoclip"],
    }
    if facts.num_non_commercial:
        data["tags"].append("non-commercial-training-data")
    if facts.base_model:
        data |= {"base_model": facts.base_model, "base_model_relation": "finetune"}
    if facts.datasets:
        data["datasets"] = list(facts.datasets)
    if facts.emissions_g is not None:
        data["co2_eq_emissions"] = {
            "emissions": round(facts.emissions_g, 3),
            "source": f"energy {facts.energy_method or 'of unknown method'}, {_grid(facts)}",
            "training_type": "fine-tuning" if facts.is_pretrained else "pre-training",
            **({"geographical_location": facts.country} if facts.country else {}),
        }
    index = model_index(facts.title, facts.results)
    if index:
        data["model-index"] = index
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000)


def _introduction(facts: CardFacts) -> str:
    institutions = sorted({collection.institution for collection in facts.collections})
    start = f"It began from `{facts.start_name}`" + ("." if facts.is_pretrained else ", that is from random weights.")
    seen = f" and saw {facts.samples_seen:,} samples" if facts.samples_seen else ""
    stopped = f" The run was stopped at {facts.stopped_at}." if facts.stopped_at else ""
    return f"""# {facts.title}

A text-image model of the CLIP family for heritage pictures: it places pictures and descriptions in one space, so that
texts find pictures, pictures find pictures, and pictures are sorted under labels that were never trained.

{start} It was trained with iconoclip {facts.software.get("iconoclip", "")} on {facts.num_records:,} pictures of
{_listed(institutions)}{seen}.{stopped}

| | |
|---|---|
| parameters | {facts.num_parameters:,} |
| picture | {facts.image_size_px} x {facts.image_size_px} px |
| text | {facts.context_length} tokens |
| languages of the captions | {", ".join(facts.languages) or "none stated"} |
| sha256 of the weights' values | `{facts.weights_sha256}` |"""


def _loading(facts: CardFacts) -> str:
    text = f"""## Use

```python
import open_clip
model, _, preprocess = open_clip.create_model_and_transforms("{facts.identifier}")
tokenizer = open_clip.get_tokenizer("{facts.identifier}")
```"""
    if facts.identifier.startswith("local-dir:"):
        text += "\n\n`local-dir:` takes the path of this folder; as written here, from the folder above it."
    if facts.identifier.startswith("hf-hub:"):
        text += (
            "\n\nTo pin a revision, `huggingface_hub.snapshot_download(repo, revision=...)` and open `local-dir:` with "
            "the folder it returns; open_clip has no revisions of its own."
        )
    if facts.needs_text_config:
        text += (
            "\n\nThe text tower comes from transformers. open_clip reads its configuration from the Hub and so needs a "
            "network or a filled cache; `iconoclip.models.load` reads `text/config.json` here and needs neither."
        )
    return text


def _data(facts: CardFacts) -> str:
    lines = [
        "## Training data",
        "",
        "| collection | institution | pictures | works | languages | rights | statements |",
        "|---|---|--:|--:|---|---|---|",
    ]
    for item in facts.collections:
        cells = (
            item.name,
            item.institution,
            f"{item.num_records:,}",
            f"{item.num_works:,}",
            ", ".join(item.languages),
            ", ".join(item.rights_classes),
            "; ".join(item.statements) or "see ATTRIBUTION.csv",
        )
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    lines += [
        "",
        f"{facts.num_records:,} pictures together. `ATTRIBUTION.csv` has a line for each: who made it, who keeps "
        "it and under which terms. `run.json` has the configuration of the run.",
    ]
    if facts.num_non_commercial:
        lines += [
            "",
            f"**The rights in {facts.num_non_commercial:,} of them allow non-commercial use only.** Whether that holds "
            "for a model too is not settled; use it for non-commercial purposes, or train without them "
            "(`rights.policy.nc.train=no` in the preparation of the data).",
        ]
    return "\n".join(lines)


def _results(facts: CardFacts) -> str:
    rows = main_rows(facts.results)
    if not rows:
        return (
            "## Results\n\nNone were given when the model was published. How good it is, is not known; "
            "`iconoclip eval` measures it."
        )
    start = {_row_key(row): row for row in main_rows(facts.start_results)}
    clean = unseen(facts.results)
    lines = [
        "## Results",
        "",
        "Values with their 95 % interval; a slice with too few queries shows its count only.",
        "",
        "| benchmark | task | metric | slice | this model | before training | chance | n |",
        "|---|---|---|---|---|---|--:|--:|",
    ]
    for row in rows[:_SHOWN_ROWS]:
        before = start.get(_row_key(row))
        cells = (
            row["benchmark"],
            row["task"],
            row["metric"],
            row["slice"],
            f"{_value(row)} ({clean[row_key(row)]})" if row_key(row) in clean else _value(row),
            _value(before) if before else "",
            _number(row.get("chance")),
            f"{row['n']:,}",
        )
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    more = f"{len(rows) - _SHOWN_ROWS:,} more lines and all" if len(rows) > _SHOWN_ROWS else "All"
    lines += ["", f"{more} other slices and metrics are in `results.jsonl`."]
    return "\n".join(lines)


def _limits(facts: CardFacts) -> str:
    languages = ", ".join(facts.languages) or "languages that were not stated"
    points = [
        "It describes what a picture looks like to a model. What it says is machine-made and wants a curator's eye "
        "before it goes into a catalogue.",
        "It is not made to identify persons, nor for any decision about people.",
        "The captions carry the words and the views of their time and of their cataloguers, offensive ones among them; "
        "a search can bring them back.",
        f"The captions are in {languages}. "
        + ("Other languages were not measured." if facts.is_pretrained else "It has seen no other language."),
    ]
    if facts.num_records < _FEW_PICTURES:
        points.append(
            f"{facts.num_records:,} pictures are few: it knows these collections and little else. Measure it on your "
            "own pictures before you rely on it."
        )
    if not facts.is_pretrained:
        points.append("It began from random weights: it knows nothing but the training data above.")
    sizes: Counter[str] = Counter()
    for item in facts.collections:
        sizes[item.name] += item.num_records
    if sizes and facts.num_records:
        name, number = sizes.most_common(1)[0]
        points.append(f"The largest collection, {name}, gives {number / facts.num_records:.0%} of the pictures.")
    return "## Limits\n\n" + "\n".join(f"- {point}" for point in points)


def _energy(facts: CardFacts) -> str:
    if facts.energy_kwh is None or facts.emissions_g is None:
        return "## Energy\n\nNot recorded for this run."
    return (
        f"## Energy\n\nTraining took {facts.energy_kwh:.3g} kWh ({facts.energy_method or 'method not recorded'}), "
        f"about {facts.emissions_g:.3g} g CO2 equivalent at {_grid(facts)}. Preparing the data, evaluation and "
        "abandoned runs are not in it."
    )


def _grid(facts: CardFacts) -> str:
    where = facts.country or "the world's average, since no country was named"
    return f"{facts.g_per_kwh:.0f} g/kWh ({where})"


def _closing(facts: CardFacts) -> str:
    on_hub = facts.identifier.startswith("hf-hub:")
    otherwise = "open a discussion on this repository" if on_hub else "write to those from whom you have this model"
    contact = f"write to {facts.contact}" if facts.contact else otherwise
    return f"""## Rights holders

If a picture or text here should not have been used, {contact} and name its `key` in
`ATTRIBUTION.csv`: it is taken out of the training set, and later versions are trained without it.

## Citation

```bibtex
@software{{iconoclip,
  author = {{{{The iconoclip developers}}}},
  title = {{iconoclip: a shared, open, multilingual CLIP for Europe's heritage collections}},
  version = {{{facts.software.get("iconoclip", "")}}},
  note = {{Model {facts.title}, weights {facts.weights_sha256[:12]}}}
}}
```

Please name the institutions above as well: the pictures and descriptions are their work."""


def _row_key(row: Row) -> tuple[Any, ...]:
    return (row["benchmark"], row["task"], row["slice"], row["metric"], row.get("language"), row.get("prompts_sha256"))


def _value(row: Row) -> str:
    if row["value"] is None:
        return "too few"
    return f"{_number(row['value'])} [{_number(row['ci_low'])}, {_number(row['ci_high'])}]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _listed(names: Sequence[str]) -> str:
    if len(names) <= 1:
        return "".join(names) or "no institution named"
    return f"{', '.join(names[:-1])} and {names[-1]}"
