"""Text from data, shown to people."""
