"""Loaders of the public data that predictions are measured on; each takes the folder it is in."""
