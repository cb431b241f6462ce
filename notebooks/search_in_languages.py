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
# # Which pictures does a sentence find, and in which language?
#
# A text-image model turns a sentence and a picture into two arrows and says how far they point the same way (the
# *cosine*: 1 is the same direction, 0 is none in common). To search is to sort all pictures by that number. No
# picture has to be labelled for it, which is why it is called *zero-shot*.
#
# Without any change this notebook asks the small model of `iconoclip demo` about coats of arms. It knows nothing
# else. For Saint Jerome take a pretrained model and a set of your own.

# %%
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from eval.data import EvalData
from eval.explore import ask_captions, draw, encode_set, open_set, search, share_in_common, show_found
from eval.explore_results import compare_rows, split_by
from eval.prompts import cover_prompts
from iconoclip.languages import language_name
from iconoclip.notebook import enter_project, setting
from iconoclip.plots import Estimate, intervals

pd.set_option("display.max_colwidth", 120)
enter_project()
SHARDS = Path(setting("SHARDS", "runs/demo/shards"))
MODEL = setting(
    "MODEL", "runs/demo/train", made_by="iconoclip demo"
)  # or "xlm-roberta-base-ViT-B-32:laion5b_s13b_b90k"
SPLIT = "test"  # pictures that no training has seen; "" takes all of them

# %% [markdown]
# The model looks at every picture once. On a laptop that takes some seconds for a few hundred pictures and a small
# model, and minutes for a large model; `limit=500` in `open_set` keeps it short.

# %%
pictures = open_set(SHARDS, split=SPLIT)
index = encode_set(MODEL, pictures)
print(f"{len(pictures):,} pictures of {SPLIT or 'all splits'}")

# %% [markdown]
# ## One question, several languages
#
# Write the same question in each language, as a cataloguer of that language would.

# %%
QUESTION = {
    "en": "Azure, a lion rampant or",
    "fr": "D'azur au lion d'or",
    "de": "In Blau ein goldener Löwe",
    "nl": "In azuur een leeuw van goud",
}

# %% [markdown]
# First a warning sign. A model that was trained on this set alone knows only the words of its captions; any other
# word is noise to it. The table shows how many words of the question occur there. For a *pretrained* model the table
# says little: it has read the web before.

# %%
known_words = EvalData(SHARDS).train_words


def words_known(question: dict[str, str]) -> pd.DataFrame:
    """How many of the words of each text stand in a training caption of this set."""
    rows = []
    for code, text in question.items():
        seen = cover_prompts([text], known_words)
        rows.append(
            {
                "language": language_name(code),
                "text": text,
                "words known": f"{seen.share:.0%}",
                "never seen": ", ".join(seen.missing),
            }
        )
    return pd.DataFrame(rows)


words_known(QUESTION)

# %%
answers = {code: search(index, text, k=6) for code, text in QUESTION.items()}
show_found(index, answers["en"], language="en", title=QUESTION["en"])

# %%
show_found(index, answers["fr"], language="fr", title=QUESTION["fr"])

# %%
show_found(index, answers["nl"], language="nl", title=QUESTION["nl"])

# %% [markdown]
# Above each picture stand its rank and its cosine. **There is always a nearest picture**, also for nonsense, so look
# before you believe. Cosines of two models, or of two questions, cannot be compared.
#
# Do the languages agree? The share of the first 20 pictures that two languages have in common: 100 % means that it
# does not matter in which of the two one asks. It does not say that the answers are right.

# %%
twenty = {code: search(index, text, k=20) for code, text in QUESTION.items()}
pd.DataFrame(
    [
        {
            "one": language_name(a),
            "other": language_name(b),
            "in common": f"{share_in_common(twenty[a], twenty[b]):.0%}",
        }
        for a, b in combinations(twenty, 2)
    ]
)

# %% [markdown]
# ## Saint Jerome in his study
#
# The same for a question of iconography. On the demo the first table says that most of these words were never seen:
# what the model shows is then a guess. Seeing that once is worth more than a warning.

# %%
JEROME = {
    "en": "Saint Jerome in his study",
    "fr": "Saint Jérôme dans son cabinet d'étude",
    "nl": "De heilige Hiëronymus in zijn studeervertrek",
    "de": "Der heilige Hieronymus im Gehäus",
}
words_known(JEROME)

# %%
show_found(index, search(index, JEROME["en"]), language="en", title=JEROME["en"])

# %%
show_found(index, search(index, JEROME["nl"]), language="nl", title=JEROME["nl"])

# %% [markdown]
# ## Which language finds more?
#
# One question proves nothing. So every picture of the split is asked for by its own caption, in each language that it
# has one in. A *hit* is when the picture itself comes first among all. Then two languages are compared **on the same
# pictures**, those that have a caption in both.

# %%
rows = ask_captions(index)
by_language = split_by(rows, "language")
pd.DataFrame(
    [
        {
            "language": language_name(code),
            "captions asked": len(found),
            "right picture first": f"{sum(row['rank'] == 1 for row in found) / len(found):.1%}",
            "median rank": pd.Series([row["rank"] for row in found]).median(),
        }
        for code, found in by_language.items()
    ]
)

# %% [markdown]
# The table above mixes two things: the language, and which pictures have a caption in it. The next one does not.
# `difference` is the second language less the first, in hits on the same pictures. The interval says how far the
# truth may lie from that: if it holds 0, no difference was shown. Works are what chance draws, not pictures, since
# two views of one work are no two pieces of evidence. A true difference smaller than `detectable` would usually be
# missed with so many pictures.

# %%
compared: list[dict[str, Any]] = []
for a, b in combinations(by_language, 2):
    if {row["key"] for row in by_language[a]} & {row["key"] for row in by_language[b]}:
        [row] = compare_rows({a: by_language[a], b: by_language[b]}, match=("key",))
        compared.append(row | {"languages": f"{language_name(b)} less {language_name(a)}"})
table = pd.DataFrame(compared, columns=["languages", "difference", "low", "high", "detectable", "n", "works", "note"])
signed = dict.fromkeys(("difference", "low", "high"), "{:+.1%}")
table.style.format(signed | {"detectable": "{:.1%}"}, na_rep="no score")

# %%
plot = intervals(
    [Estimate(row["languages"], row["difference"], row["low"], row["high"]) for row in compared],
    title="Right picture first, the same pictures asked for in two languages",
    unit="difference",
    reference=0.0,
    reference_name="no difference",
)
plot if compared else f"no picture of {SPLIT} has captions in two languages"

# %% [markdown]
# ## Ask something yourself
#
# Change the text and run the cell again.

# %%
TEXT = pictures.default_text(draw(pictures, 1)[0])
show_found(index, search(index, TEXT, k=12), title=TEXT)
