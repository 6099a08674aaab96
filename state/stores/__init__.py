"""Stores that actions are kept in and read from. The only part of `state` with network I/O."""
