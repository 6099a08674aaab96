"""Fold recorded logs: replay, check, compare, look ahead."""
