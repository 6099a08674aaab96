"""Decisions: pure folds over the journal, one concern a file."""
