"""How long a run takes to find its place in a large index: ten million samples, entered at random positions.

    python benchmarks/position.py [--samples 10000000] [--shards 1000] [--entries 20]

Prints the seconds to put the index in order (once per start), and from there to the sample at a position nobody has
asked for yet: the median and the worst of some random ones of 100 epochs. With ``weighted`` each sample has a weight of
its own, as with `mixture.language`. Reading the ledger is not in it.
"""

import argparse
import random
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

GOAL_S = 1.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--entries", type=int, default=20)
    options = parser.parse_args()
    shard_of = np.sort(np.random.default_rng(0).integers(options.shards, size=options.samples, dtype=np.int32))
    draws = np.random.default_rng(1).uniform(0.5, 1.5, size=options.samples)
    for name, weights in (("plain", None), ("weighted", draws)):
        built_s, found_s = measure(shard_of, weights, options.entries)
        verdict = "below" if max(found_s) < GOAL_S else "ABOVE"
        median_s, worst_s = statistics.median(found_s), max(found_s)
        print(
            f"{name:9} {options.samples:,} samples in {options.shards:,} shards: put in order in {built_s:.2f} s; "
            f"a place found in {median_s:.3f} s, at worst {worst_s:.3f} s: {verdict} {GOAL_S:g} s"
        )


def measure(shard_of: np.ndarray, draws: np.ndarray | None, entries: int) -> tuple[float, list[float]]:
    """Seconds to build the order, and to find each of some places from nothing."""
    from train.order import EpochOrder, Mixture

    rng = random.Random(0)
    started = time.perf_counter()
    order = EpochOrder(shard_of, seed=0, name="a", window_shards=8, draws=draws)
    mixture = Mixture([order], [1.0])
    built_s = time.perf_counter() - started
    found_s = []
    for _ in range(entries):
        order._kept.clear()  # as after a start
        position = rng.randrange(100 * len(shard_of))
        started = time.perf_counter()
        mixture.place(position)
        found_s.append(time.perf_counter() - started)
    return built_s, found_s


if __name__ == "__main__":
    main()
