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
# # What is in a set of shards?
#
# A *shard set* is what `iconoclip prep` makes of collections: pictures in tar files ("shards"), each with its
# captions and a record of what is known about it. This notebook shows what is in one: how many pictures, whose, in
# which languages, with which rights, and what was left out.
#
# Without any change it shows the set of `iconoclip demo`: coats of arms that the project draws itself.

# %%
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from data_prep.inspect import count_shards, inspect_shards, read_rejected
from data_prep.inspect_tally import name_century
from eval.explore import draw, open_set, show
from iconoclip.languages import language_name
from iconoclip.notebook import enter_project, setting
from iconoclip.plots import bars

enter_project()
SHARDS = Path(setting("SHARDS", "runs/demo/shards"))  # or write: SHARDS = Path("runs/real/shards")

# %% [markdown]
# ## How much, and in which part
#
# Pictures are dealt into *splits*: `train` is learnt from, `val` is looked at during training, `test` is kept for the
# end, and `eval/...` are collections that are never learnt from. All pictures of one *work* (an object, a book, a
# plate with its impressions) lie in the same split. If they did not, a test would ask for what was learnt by heart.

# %%
tally = count_shards(SHARDS)
print(f"{tally.num_pictures:,} pictures of {tally.num_works:,} works")
pd.DataFrame(
    [
        {"split": split, "pictures": part.num_pictures, "works": len(part.works), "captions": part.num_captions}
        for split, part in tally.splits.items()
    ]
)

# %% [markdown]
# The same by collection. One large work in a small collection decides what is learnt from it, so its size stands
# here.

# %%
pd.DataFrame(
    [
        {
            "collection": name,
            "institution": ", ".join(part.institutions),
            "pictures": part.num_pictures,
            "works": len(part.works),
            "pictures of the largest work": part.largest_work[1],
            "languages": ", ".join(part.languages),
        }
        for name, part in tally.collections.items()
    ]
)

# %% [markdown]
# ## Captions by language
#
# A model can only learn the languages that are here. Some captions were made by a machine (a translation, a grammar);
# they are counted apart, because a machine repeats its own mistakes.

# %%
by_size = sorted(tally.languages.items(), key=lambda item: -item[1].num_captions)
bars({language_name(code): found.num_captions for code, found in by_size}, title="Captions", unit="captions")

# %%
pd.DataFrame(
    [
        {
            "language": language_name(code),
            "captions": found.num_captions,
            "on pictures": found.num_pictures,
            "made by a machine": found.num_machine,
            "words in a caption (median)": found.median_words,
        }
        for code, found in by_size
    ]
)

# %% [markdown]
# ## Rights
#
# What a rights statement allows was decided record by record when the set was made. `public domain` and `open` may be
# passed on; `open conditions` are licences with conditions, such as "not for commerce". What stated no rights is not
# in the set at all.

# %%
bars({name.replace("_", " "): count for name, count in tally.rights.most_common()}, title="Rights of the pictures")

# %% [markdown]
# ## Age
#
# The century of each date, or of the middle of a span of years. "Undated" says that the record has no date, not that
# nobody knows it.

# %%
centuries = sorted(tally.centuries.items(), key=lambda item: (item[0] is None, item[0] or 0))
bars({name_century(century): count for century, count in centuries}, title="Century")

# %% [markdown]
# ## Pictures
#
# Twelve of them, drawn by a hash of their names: the same ones every time, and nobody's choice. A picture whose
# rights or whose host do not allow it to be shown keeps its place and its caption, as in the report of `iconoclip
# eval`.

# %%
pictures = open_set(SHARDS)
show(pictures, draw(pictures, 12))

# %% [markdown]
# How many may not be shown:

# %%
num_hidden = sum(not pictures.may_show(position) for position in range(len(pictures)))
print(f"{num_hidden:,} of {len(pictures):,} pictures may not be shown")

# %% [markdown]
# One record with everything that is known about it. `work_group` is the work it belongs to; `captions` say in which
# language they are and which field of the catalogue they came from.

# %%
record = pictures.records[draw(pictures, 1)[0]]
known = {name: value for name, value in asdict(record).items() if value not in ("", None, ())}
pd.DataFrame({"value": known}).style.set_properties(**{"text-align": "left", "white-space": "pre-wrap"})

# %% [markdown]
# ## What was left out, and why
#
# Every record that is not in the set has one reason. `ledger/rejected.parquet` in the set names them all.

# %%
rejected = pd.DataFrame(read_rejected(SHARDS), columns=["source", "reason", "id", "detail"])
if rejected.empty:
    print("nothing was left out")
else:
    print(rejected.groupby(["source", "reason"]).size().to_string())

# %% [markdown]
# ## What to be careful about
#
# The summary of `iconoclip inspect` ends with remarks: works that lie in two splits, captions that stand on many
# works, a single work that makes up a quarter of a split.

# %%
print(inspect_shards(SHARDS))
