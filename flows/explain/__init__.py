"""Answer why: derive actions again, tell stories, ask for what was not chosen."""
