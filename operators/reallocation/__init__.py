"""Move what is not picked yet to where it is better served."""
