"""Count what was done and what it was worth."""
