"""Show text from data to people."""
