"""From a checkpoint and benchmarks to results with intervals and a report."""
