"""Let facts in: duplicates, order, references, feeds, and what is not believed."""
