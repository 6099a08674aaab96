"""Use the engine inside another program: feed events, replay logs, simulate worlds."""
