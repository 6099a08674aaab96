"""The command line: `crossdock`."""

from flows.wiring.stop import hold_signals


def main() -> None:
    """Run the command line. Whoever asks to stop while it is still being imported is heard."""
    hold_signals()
    from flows.cli.app import main as run

    run()


__all__ = ["main"]
