"""Blocks of results for model cards, as YAML: ``model-index`` and the files of ``.eval_results`` for each model."""

from dataclasses import asdict

import yaml

from iconoclip.card_results import EVAL_RESULTS_FOLDER, eval_results, model_index

from .report_data import Results
from .report_words import Words


def report_blocks(_words: Words, results: Results) -> str:
    """A document per model: front matter for its card, and what goes into ``.eval_results`` by path.

    The Hub's forms have no language; files of ``.eval_results`` are there for benchmarks that are data sets of the Hub.
    """
    documents = []
    for model in results.models:
        rows = [asdict(score) for score in (*results.scores, *results.clean) if score.model == model]
        files = eval_results(rows, results.runs)
        blocks = {"model": model, "model-index": model_index(model, rows)}
        documents.append(blocks | {f"{EVAL_RESULTS_FOLDER}/{name}": entries for name, entries in files.items()})
    return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=1000)
