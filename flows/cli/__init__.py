"""The command line: `crossdock`."""

from flows.wiring.stop import hold_signals


def main() -> None:
    """Run the command line. A request to stop during its imports takes effect after them."""
    hold_signals()
    from flows.cli.app import main as run

    run()


__all__ = ["main"]
