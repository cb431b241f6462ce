"""Errors that a person can mend; the command line prints their message on one line and exits 2."""


class IconoclipError(Exception):
    """Base of all errors of ours: the message says where, what was got and what to do."""


class ConfigError(IconoclipError):
    """A configuration file or override that cannot be used; names the file and every field."""


class SourceError(IconoclipError):
    """A collection that cannot be read as its configuration says."""


class ShardError(IconoclipError):
    """Shards, a manifest or a ledger that are damaged, missing or of a newer version."""


class ModelError(IconoclipError):
    """A model, tokenizer or checkpoint that cannot be found or loaded."""


class EvaluationError(IconoclipError):
    """A benchmark that cannot be run on the data and models it was given."""


class InUseError(IconoclipError):
    """A folder that another run is writing in."""


def pillow_reason(error: Exception) -> str:
    """What Pillow says of a picture that it cannot decode, without the address of an object in memory."""
    return str(error).split(" <_io", 1)[0].split(" '<_io", 1)[0] or type(error).__name__
