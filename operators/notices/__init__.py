"""Tell customers what changed for them."""
