"""Local servers of our own for tests and benchmarks: HTTP with faults, IIIF images, HTTP/2, Slurm."""
