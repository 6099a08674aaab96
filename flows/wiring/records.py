"""Records of recorded logs: the one loop of every fold without Bytewax."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from flows.wiring.progress import Progress
from flows.wiring.stop import Stop
from operators.core.contract import Record
from operators.core.entry import to_record
from state.journals import open_journal


def batches(
    logs: Sequence[Path],
    progress: Progress | None = None,
    *,
    size: int = 1_000,
    stop: Stop | None = None,
) -> Iterator[list[Record]]:
    """Yield all records of `logs` in order, up to `size` at a time, until `stop` is set.

    `progress` is called after each batch was used. Raises JournalError.
    """
    with open_journal(logs) as reader:
        while not (stop is not None and stop.is_set) and (lines := reader.read(size)):
            yield [to_record(line) for line in lines]
            if progress is not None:
                progress(reader.lines, *reader.progress())


def records(logs: Sequence[Path], progress: Progress | None = None) -> Iterator[Record]:
    """Yield all records of `logs` in order; raises JournalError."""
    for batch in batches(logs, progress):
        yield from batch
