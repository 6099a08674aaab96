"""Notify customers of changes."""
