"""The command line: `crossdock`."""

from flows.cli.app import main

__all__ = ["main"]
