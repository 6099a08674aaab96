"""Comparisons of the same network and the same luck under another scenario or another policy."""
