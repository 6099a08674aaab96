"""Folds of recorded logs: replay, check, compare, look ahead."""
