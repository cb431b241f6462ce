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
# # Where does a model fail?
#
# A score says how often a model is right. This notebook shows when it is not: in which language or collection, with
# which words, which classes it takes for each other, and the worst cases as pictures.
#
# It reads a results folder of `iconoclip eval`, and needs no model and no GPU. Without any change that is the
# evaluation of `iconoclip demo`.

# %%
from pathlib import Path

import pandas as pd

from eval.explore import open_set
from eval.explore_results import (
    count_confusions,
    missed_words,
    most_confused,
    show_answer,
    show_labelled,
    split_by,
    text_queries,
    worst,
)
from eval.report_reading import read_results
from iconoclip.languages import language_name
from iconoclip.notebook import enter_project, setting
from iconoclip.plots import Estimate, bars, histogram, intervals, matrix

pd.set_option("display.max_colwidth", 120)
enter_project()
RESULTS = Path(setting("RESULTS", "runs/demo/eval"))
SHARDS = setting("SHARDS", "runs/demo/shards", is_needed=False)  # the set that was asked, for captions; "" without

# %% [markdown]
# ## What was asked
#
# Each line is one question to all models: a benchmark (which pictures) and a task (what is asked of them).

# %%
results = read_results([RESULTS])
print("models:", ", ".join(results.models))
pd.DataFrame(
    [
        {
            "number": number,
            "benchmark": question.benchmark,
            "task": question.task,
            "what counts": question.primary,
            "asked by texts": len(text_queries(results.samples(results.models[-1], question) or [])),
            "with classes": any(row["y_true"] for row in results.samples(results.models[-1], question) or []),
        }
        for number, question in enumerate(results.questions)
    ]
)

# %% [markdown]
# Choose a question and a model. The last model of an evaluation is usually the new one.

# %%
QUESTION = results.questions[0]
MODEL = results.models[-1]

rows = results.samples(MODEL, QUESTION) or []
queries = text_queries(rows)
print(f"{MODEL}, {QUESTION.benchmark} · {QUESTION.task}: {len(rows):,} answers, {len(queries):,} of them to texts")

# %% [markdown]
# ## Which parts are worse
#
# The figures of the report by language, collection, century and so on, with 95 % intervals. Two parts whose intervals
# overlap may still differ, and many small parts always hold an odd one. Parts with fewer than 30 questions or 10
# works get no score.

# %%
parts = [results.find(MODEL, QUESTION, QUESTION.primary, name) for name in ["all", *results.slices(QUESTION)]]
scores = [score for score in parts if score is not None and score.value is not None]
print(f"{len(parts) - len(scores)} of {len(parts)} parts are too small for a score")
intervals(
    [Estimate(f"{score.slice} ({score.n})", score.value, score.ci_low, score.ci_high) for score in scores],
    title=f"{MODEL}: {QUESTION.primary}, by part (number of questions)",
    reference=scores[0].chance if scores else None,
    is_share="rank" not in QUESTION.primary or "percentile" in QUESTION.primary,
) if scores else "no part is large enough for a score"

# %% [markdown]
# ## How wrong is wrong
#
# Each text asks for its picture. *Rank* 1 means that the right picture came first. The plot shows what share of the
# wrong pictures stands behind the right one: 100 % is best, and a guess spreads evenly from 0 to 100 %.

# %%
histogram(
    [100 * row["percentile"] for row in queries if row["percentile"] is not None],
    title="How many wrong pictures the right one beats",
    unit="% of the wrong pictures",
    bins=20,
) if queries else "no texts were asked"

# %% [markdown]
# ## The worst queries, with pictures
#
# The five nearest pictures to each of these texts, a right one in a green frame; where none of the five is right, a
# right one stands behind them. The worst are not typical, but they show what to look into: a wrong caption, an odd
# picture, or a thing the model does not know. Pictures whose rights do not allow it are not shown.

# %%
WORST = worst(queries, 12)
pd.DataFrame(WORST, columns=["rank", "num_gallery", "language", "source", "query"])

# %%
show_answer(results, WORST[0]) if WORST else "no texts were asked"

# %%
show_answer(results, WORST[1]) if len(WORST) > 1 else "no second text"

# %%
show_answer(results, WORST[2]) if len(WORST) > 2 else "no third text"

# %% [markdown]
# ## Words that the answer lacks
#
# For each word: in how many queries it stood, and how often the first answer's own caption lacked it. `instead` is
# the word that stood there more often than usual. A high share points to something the model does not see, or to a
# word with many synonyms: read some of the examples before you conclude anything. Captions are those of `SHARDS`, else
# (for a benchmark of your own) the texts that were asked.

# %%
pictures = open_set(Path(SHARDS)) if SHARDS else None
if not queries:
    print("No texts were asked.")
for code, asked in split_by(queries, "language").items():
    words = missed_words(asked, pictures, least=max(3, len(asked) // 50))
    if words:
        print(f"{language_name(code)}, {len(asked):,} queries")
        print(pd.DataFrame(words[:12]).to_string(index=False, formatters={"share": "{:.0%}".format}))
        print()

# %%
shown = missed_words(queries, pictures, least=max(3, len(queries) // 50))[:15]
shares = {each["word"]: round(100 * each["share"]) for each in shown}
bars(shares, title="Words missed most often", unit="% of queries") if shares else "no words were missed often"

# %% [markdown]
# ## Which class is taken for which
#
# Where pictures have one class each (kinds of document, saints, a benchmark of your own), the rows of this matrix say
# what they are, the columns what the model called them. Off the diagonal stand the mistakes.

# %%
labelled = [
    q
    for q in results.questions
    if any(row["y_true"] for row in results.samples(MODEL, q) or []) and not results.has_several_labels(q)
]
for question in labelled:
    print(f"{question.benchmark} · {question.task}")
if not labelled:
    print("No question in these results has classes. The notebook own_benchmark.py makes one.")

# %%
classified = (results.samples(MODEL, labelled[0]) or []) if labelled else []
counts, classes, guesses = count_confusions(classified)
matrix(counts, classes, guesses, title=f"{MODEL}: what is taken for what") if classified else "no classes"

# %%
pd.DataFrame(most_confused(classified)[:10], columns=["is", "called", "pictures", "share"])

# %% [markdown]
# Mistakes that the model was sure of come first here. Often the label is wrong, not the model.

# %%
wrong = sorted((row for row in classified if not row["correct"]), key=lambda row: -(row["score"] or 0))
show_labelled(results, wrong[:12], title="Surest and wrong")
