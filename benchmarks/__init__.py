"""Measurements of the engine, as ratios within one run on one machine; see `make bench`."""
