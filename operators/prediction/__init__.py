"""Models that learn from every event: folds over numbers that know no record and no event."""
