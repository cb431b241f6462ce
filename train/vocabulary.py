"""Whether a tokenizer and a text tower belong together: an id without a row in the tower ends a GPU without a word."""

from typing import Any

from iconoclip.errors import ModelError
from iconoclip.models import Model

from . import layers

_PROBES = ("a picture", "Ångström, œuvre, Straße, ζωγραφική, живопись, 版画, 🖼", "word " * 600, "")


def check_vocabulary(model: Model) -> None:
    """Compare the tokenizer's entries with the rows of the token table, and its length with the positions.

    Raises:
        ModelError: they do not fit.
    """
    rows, positions = _num_rows(model), _num_positions(model)
    size = _vocabulary_size(model.tokenizer)
    tokens = model.tokenizer(list(_PROBES))
    largest = max(int(tokens.max()), size - 1)
    if largest >= rows:
        raise ModelError(
            f"{model.name}: its tokenizer gives ids up to {largest:,}, the text tower has rows for {rows:,}; "
            "the two are of different models, give the folder its own tokenizer"
        )
    length = tokens.shape[1]
    if length != model.context_length or (positions is not None and length > positions):
        raise ModelError(
            f"{model.name}: its tokenizer makes {length} tokens of a text, the configuration says "
            f"{model.context_length} (context_length) and the text tower has {positions or 'any number of'} positions"
        )


def _num_rows(model: Model) -> int:
    text: Any = layers.text_root(model.module)
    table = getattr(text, "token_embedding", None)
    if table is None:
        table = text.transformer.get_input_embeddings()
    return int(table.weight.shape[0])


def _num_positions(model: Model) -> int | None:
    text = layers.text_root(model.module)
    table = getattr(text, "positional_embedding", None)
    if table is not None:
        return int(table.shape[0])
    config = getattr(getattr(text, "transformer", None), "config", None)
    return getattr(config, "max_position_embeddings", None)


def _vocabulary_size(tokenizer: Any) -> int:
    """Entries of a tokenizer; 0 where it does not tell."""
    inner = getattr(tokenizer, "tokenizer", None)
    if inner is not None:
        return len(inner)
    return int(getattr(tokenizer, "vocab_size", 0))
