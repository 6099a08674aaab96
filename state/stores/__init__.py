"""Where actions are kept and read from. The only part of `state` that does I/O over a network."""
