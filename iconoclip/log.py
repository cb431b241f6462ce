"""Set up logging once, for a terminal or a log file; only rank 0 speaks."""

import logging
import os
import sys


def setup(*, verbose: bool = False) -> None:
    """Send our messages to stderr with a time; other libraries only from WARNING up."""
    rank = int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) or 0)
    logging.basicConfig(
        level=logging.WARNING if rank == 0 else logging.ERROR,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
        force=True,
    )
    level = (logging.DEBUG if verbose else logging.INFO) if rank == 0 else logging.ERROR
    for name in ("iconoclip", "data_prep", "train", "eval"):
        logging.getLogger(name).setLevel(level)
    for name in ("httpx", "httpx2", "httpcore", "httpcore2", "hpack", "codecarbon"):
        logging.getLogger(name).setLevel(logging.ERROR)
