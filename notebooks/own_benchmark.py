# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Make a benchmark of your own
#
# A *benchmark* is a set of pictures of which you know the answers, and a question. With one of your own you learn how
# well a model knows **your** material. Here it is made of a folder of pictures, one subfolder for each class, in four
# steps: look at it (`new`), complete it by hand, have it checked (`validate`), and ask models (`eval`).
#
# The same steps on the command line are `iconoclip benchmark new FOLDER`, `iconoclip benchmark validate FILE` and
# `iconoclip eval CONFIG`; the functions below are what these commands call.

# %%
import os
from pathlib import Path

import pandas as pd

from eval.benchmark_files import BenchmarkFile, write_benchmark_file
from eval.benchmark_new import new_benchmark
from eval.benchmark_validate import validate_benchmark
from eval.config import EvalConfig
from eval.explore import open_set, write_class_folders
from eval.explore_results import count_confusions, show_labelled
from eval.report_reading import read_results
from eval.run import run_evaluation
from iconoclip.notebook import enter_project, setting
from iconoclip.plots import Estimate, intervals, matrix
from iconoclip.records import Record

enter_project()
MODEL = setting("MODEL", "runs/demo/train")
OUT = Path(os.environ.get("NOTEBOOK_OUT", "runs/notebooks"))  # everything that this notebook writes
PICTURES = os.environ.get("NOTEBOOK_PICTURES", "")  # your folder, such as "scans"; "" makes one of the demo's shields
SHARDS = "" if PICTURES else setting("SHARDS", "runs/demo/shards")

# %% [markdown]
# ## A folder with labels
#
# Have you got one? Then write its path as `PICTURES` above. Its subfolders are the classes: `scans/lion/0001.jpg`. A
# table that names pictures and labels does as well: give the path of the table.
#
# Without one, a folder is made from the test pictures of `iconoclip demo`: shields sorted by the colour of their
# field, as the English blazon begins with it.

# %%
COLOURS = ("Argent", "Azure", "Gules", "Or", "Purpure", "Sable", "Vert")


def colour_of_field(record: Record) -> str:
    """First word of the English blazon where it is a colour alone; nothing for divided fields."""
    english = next((caption.text for caption in record.captions if caption.lang == "en"), "")
    first = english.split(",")[0].strip()
    return first if first in COLOURS else ""


if not PICTURES:
    PICTURES = str(OUT / "shields_by_colour")
    shields = open_set(Path(SHARDS), split="test")
    print(write_class_folders(shields, colour_of_field, Path(PICTURES), per_class=40))

# %% [markdown]
# ## 1. Look: `benchmark new`
#
# It looks at names of folders and columns and writes one small text file, `benchmark.yaml`. It says what it took for
# what.

# %%
DRAFT = OUT / "draft.yaml"
DRAFT.unlink(missing_ok=True)  # of an earlier run of this cell
print(new_benchmark(Path(PICTURES), out=DRAFT))

# %%
print(DRAFT.read_text(encoding="utf-8"))

# %% [markdown]
# ## 2. Complete it
#
# Open the file in an editor, or change it here. What matters most are the *texts of the classes*: a model is asked by
# them, so write what stands in captions like yours, in each language you want to ask in. `templates` are sentences
# around the text; `{}` is its place. A title, a licence and a citation let others use it. `rights_class` decides
# whether the report may show the pictures: leave it `unknown` if you are not sure, and none is shown.

# %%
# Texts of the classes. For a folder of your own write {"lion": {"en": "a lion", "fr": "un lion"}, ...}.
TEXTS = {
    "Argent": {"en": "Argent", "fr": "D'argent", "de": "In Silber", "nl": "In zilver"},
    "Azure": {"en": "Azure", "fr": "D'azur", "de": "In Blau", "nl": "In azuur"},
    "Gules": {"en": "Gules", "fr": "De gueules", "de": "In Rot", "nl": "In keel"},
    "Or": {"en": "Or", "fr": "D'or", "de": "In Gold", "nl": "In goud"},
    "Purpure": {"en": "Purpure", "fr": "De pourpre", "de": "In Purpur", "nl": "In purper"},
    "Sable": {"en": "Sable", "fr": "De sable", "de": "In Schwarz", "nl": "In sabel"},
    "Vert": {"en": "Vert", "fr": "De sinople", "de": "In Grün", "nl": "In sinopel"},
}
CHANGES = {
    "title": "Colour of the field",
    "description": "Which of seven colours a shield's field has.",
    "licence": "CC0 1.0",
    "citation": "shields drawn by iconoclip",
    "rights_class": "public_domain",
    "templates": {language: ["{}"] for language in ("en", "fr", "de", "nl")},
}

file = BenchmarkFile.load(DRAFT)
without = [name for name in file.classes if name not in TEXTS]
if without or not file.classes:
    print(f"The draft stays as it is: TEXTS has nothing for {', '.join(without) or 'captions'}.")
else:
    changes = CHANGES | {"classes": {name: TEXTS[name] for name in file.classes}}
    file = BenchmarkFile.validate_data(file.model_dump() | changes, where="this notebook")

BENCHMARK = OUT / "benchmark.yaml"
write_benchmark_file(BENCHMARK, file, comment="Made in the notebook own_benchmark")

# %% [markdown]
# ## 3. Have it checked: `benchmark validate`
#
# A *mistake* makes figures wrong and must be mended; a *warning* weakens them. The check opens every picture, looks
# for the same picture in two places, and says from which difference on two models can be told apart: if that is more
# than you expect, collect more pictures before you compare anything.

# %%
verdict = validate_benchmark(BENCHMARK)
print(verdict.to_text())

# %% [markdown]
# ## 4. Ask: `eval`
#
# Two models: one that has learnt nothing (random weights) and yours. The first shows what the question gives away for
# free. `n/w` counts pictures and works; a free baseline, such as always naming the largest class, stands beside them.

# %%
RESULTS = OUT / "eval"
config = EvalConfig.validate_data(
    {
        "verb": "eval",
        "out": str(RESULTS),
        "models": [
            {"name": MODEL, "weights": "random", "label": "untrained"},
            {"name": MODEL, "label": "yours"},
        ],
        "benchmarks": [{"kind": "file", "name": file.name, "path": str(BENCHMARK)}],
        "slices": [],  # no figures by class here: they follow below, as counts
    },
    where="this notebook",
)
print(run_evaluation(config))

# %% [markdown]
# ### By language
#
# The same pictures and classes, asked in each language. `chance` is what a guess reaches.

# %%
results = read_results([RESULTS])
asked = [question for question in results.questions if question.task.startswith(("zero_shot", "retrieval"))]
estimates, chance = [], None
for question in asked:
    for model in results.models:
        score = results.find(model, question, question.primary)
        if score is not None:
            estimates.append(Estimate(question.task, score.value, score.ci_low, score.ci_high, model))
            chance = score.chance
intervals(estimates, title=f"{file.title}: {asked[0].primary}", reference=chance)

# %% [markdown]
# ### What is taken for what
#
# (A benchmark of captions has no classes: of its answers the notebook `error_analysis` shows more.)

# %%
rows = [row for row in results.samples("yours", asked[0]) or [] if row["y_true"]]
matrix(*count_confusions(rows), title=f"yours, {asked[0].task}") if rows else "no classes"

# %%
wrong = [row for row in rows if not row["correct"]]
show_labelled(results, wrong[:12], title=f"{len(wrong)} of {len(rows)} are wrong") if rows else "no classes"

# %% [markdown]
# ### By class
#
# How many pictures of each class were found. A class of ten pictures says little: three of ten right may be anything
# from 11 to 60 %.

# %%
counts, classes, _ = count_confusions(rows)
pd.DataFrame(
    [
        {"class": name, "pictures": sum(called), "found": called[place], "share": f"{called[place] / sum(called):.0%}"}
        for place, (name, called) in enumerate(zip(classes, counts, strict=True))
    ]
) if rows else "no classes"

# %% [markdown]
# The whole report is a web page that opens without a network.

# %%
print(RESULTS / "report.html")
print(f"let others run it: iconoclip benchmark export {BENCHMARK} --to clip_benchmark --out {OUT / 'export'}")
