"""Let actions act, propose them, or stop them."""
