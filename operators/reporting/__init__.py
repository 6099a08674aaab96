"""Count decisions, and what they were worth."""
