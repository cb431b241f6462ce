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
# # Is one model better than the other?
#
# Two models were asked the same questions. One got more right. Is it better, or lucky? This notebook shows how the
# report of `iconoclip eval` answers that: the difference **on the same questions**, an interval around it, and the
# smallest difference that so many pictures could show at all.
#
# It reads a results folder, and needs no model and no GPU. Without any change that is the evaluation of `iconoclip
# demo`, an untrained model against a trained one.

# %%
from pathlib import Path

import pandas as pd

from eval.explore_results import compare_rows, got_worse, show_rows, text_queries
from eval.report_data import Question, Results
from eval.report_reading import read_results
from eval.statistics import detectable_difference
from iconoclip.notebook import enter_project, setting
from iconoclip.plots import Estimate, bars, intervals

enter_project()
RESULTS = Path(setting("RESULTS", "runs/demo/eval"))

# %%
results = read_results([RESULTS])
print("models:", ", ".join(results.models))
if len(results.models) < 2:
    raise SystemExit(f"{RESULTS}: only one model; give `iconoclip eval` two")
A, B = results.models[0], results.models[-1]

# %% [markdown]
# ## Every question at once
#
# `B less A`: right of 0 the second model is better, left of it the first. The line is the 95 % interval: where it
# crosses 0, no difference was shown. That is not the same as "they are equal". (Of ranks, where less is better, read
# it the other way round.) Where training had seen some of the pictures, the figures are those without them.

# %%
for name in sorted(results.leaked):
    print(f"{name}: training had seen some of its pictures; the figures here and in the next table leave them out")


def unseen(question: Question) -> Results:
    """The results by which a question is judged: without what training had seen."""
    return results.without_seen if question.benchmark in results.leaked else results


comparisons = [
    (question, found)
    for question in results.questions
    if (found := unseen(question).compare(A, B, question, question.primary)) is not None and found.delta is not None
]
intervals(
    [Estimate(f"{q.benchmark} · {q.task} ({c.n})", c.delta, c.ci_low, c.ci_high) for q, c in comparisons],
    title=f"{B} less {A}",
    unit="difference",
    reference=0.0,
    reference_name="no difference",
)

# %% [markdown]
# `p` says how often chance alone would show at least this much if the models were equal. Who asks twenty questions
# finds, on average, one with p below 5 % by chance, so `p after Holm` counts all headline questions together. Judge
# by that one. `detectable` is the smallest true difference that would have been seen in 80 of 100 such comparisons.

# %%
table = []
for question, found in comparisons:
    score = unseen(question).find(B, question, question.primary)
    table.append(
        {
            "benchmark": question.benchmark,
            "task": question.task,
            "difference": found.delta,
            "low": found.ci_low,
            "high": found.ci_high,
            "p": found.p,
            "p after Holm": found.p_holm,
            "detectable": score.mdd if score else None,
            "questions asked": found.n,
            "works": score.n_clusters if score else None,
            "figure": question.primary,
        }
    )
pd.DataFrame(table).style.format(precision=3)

# %% [markdown]
# ## What got worse
#
# A gain in one place is often paid for in another. Here is every figure of every part (language, collection, century)
# in which the second model is worse and the interval is all on that side, as the report lists them. Many are looked at,
# so an odd one among them is to be expected; `after Holm` says which stand when all headline questions count together.

# %%
worse = got_worse(results, A, B)
print(f"{len(worse)} figures got worse")
pd.DataFrame(
    worse, columns=["benchmark", "task", "part", "figure", "difference", "low", "high", "n", "after Holm"]
).style.format(precision=3)

# %% [markdown]
# ## One question in detail
#
# Choose a question that was asked by texts, and look at the single answers. Only the questions that *one* of the two
# answers rightly say which is better; those that both or none get right say nothing.

# %%
asked = [q for q in results.questions if text_queries(results.samples(A, q) or [])]
QUESTION = asked[0] if asked else results.questions[0]
SCORED = "hit_rate@1" if asked else "accuracy@1"  # hit_rate@1: the right picture comes first


def answers(model: str) -> list[dict]:
    """Answers of a model to the question, by texts where there are any."""
    found = results.samples(model, QUESTION) or []
    return text_queries(found) if asked else found


rows_a, rows_b = answers(A), answers(B)
right = [(a["correct"], b["correct"]) for a, b in zip(rows_a, rows_b, strict=True)]
bars(
    {
        "both right": right.count((True, True)),
        f"only {B}": right.count((False, True)),
        f"only {A}": right.count((True, False)),
        "both wrong": right.count((False, False)),
    },
    title=f"{QUESTION.benchmark} · {QUESTION.task}",
    unit="questions",
)

# %% [markdown]
# ## Why works are drawn, and not pictures
#
# The interval comes from drawing the test again ten thousand times, with replacement, and looking how far the
# difference moves. If twenty pictures show one book, they are right or wrong together: they are one piece of
# evidence, not twenty. So whole works are drawn. Drawing single questions, the usual mistake, makes the interval too
# narrow wherever works have several questions.

# %%
by_work = compare_rows({A: rows_a, B: rows_b}, metric=SCORED)
by_query = compare_rows({A: rows_a, B: rows_b}, metric=SCORED, unit="query")
pd.DataFrame(
    [{"drawn": "works"} | by_work[0], {"drawn": "single questions (too narrow)"} | by_query[0]],
    columns=["drawn", "difference", "low", "high", "p", "detectable", "n", "works"],
).style.format(precision=4)

# %%
intervals(
    [
        Estimate(drawn, row["difference"], row["low"], row["high"])
        for drawn, row in (("works drawn", by_work[0]), ("questions drawn", by_query[0]))
    ],
    title=f"{B} less {A}, {SCORED}",
    unit="difference",
    reference=0.0,
    reference_name="no difference",
)

# %% [markdown]
# ## By language and collection

# %%
parts = compare_rows({A: rows_a, B: rows_b}, metric=SCORED, slices=("language", "source"))
intervals(
    [Estimate(f"{row['slice']} ({row['n']})", row["difference"], row["low"], row["high"]) for row in parts],
    title=f"{B} less {A}, by part (number of questions)",
    unit="difference",
    reference=0.0,
    reference_name="no difference",
)

# %% [markdown]
# ## How many pictures would it take?
#
# Before a benchmark is made one can say what it will show. `20 %` means: of a hundred questions, twenty are answered
# rightly by one of the two models and not by the other. Two models of the same family differ on fewer, very different
# ones on more.

# %%
pd.DataFrame(
    [
        {"works": n}
        | {
            f"{share:.0%} answered by one alone": f"{100 * detectable_difference(n, discordant=share):.1f} points"
            for share in (0.1, 0.2, 0.4)
        }
        for n in (50, 100, 200, 500, 1000, 5000)
    ]
)

# %% [markdown]
# ## Look at some of them
#
# Questions that the first model answered rightly and the second did not. A figure never says what kind of mistakes
# these are. Pictures whose rights do not allow it are not shown.

# %%
lost = [b for a, b in zip(rows_a, rows_b, strict=True) if a["correct"] and not b["correct"]]
print(f"{len(lost)} answers were lost")
show_rows(results, lost, title=f"Lost by {B}")

# %%
won = [b for a, b in zip(rows_a, rows_b, strict=True) if b["correct"] and not a["correct"]]
print(f"{len(won)} answers were won")
show_rows(results, won, title=f"Won by {B}")
