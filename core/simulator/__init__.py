"""A loopback server that answers as X's API does: for the demo, the tests and the benchmarks."""
