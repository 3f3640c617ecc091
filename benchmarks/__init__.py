"""Benchmarks, as ratios to a yardstick where there is one; `make bench` runs them all."""
