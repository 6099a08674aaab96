"""Explanations: actions derived again, stories, and options not chosen."""
