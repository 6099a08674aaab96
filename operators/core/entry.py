"""Entry of a journal line into the chain: decoded, as the record of its network."""

from operators.core.contract import Record
from state.codec import DeadLetter, JournalLine, decode

#: The key of what could not be decoded; no network can have this name.
NO_NETWORK = ""


def to_record(line: JournalLine) -> Record:
    """Decode a line to the record that enters its network's chain; a dead letter is of none."""
    event = decode(line)
    if isinstance(event, DeadLetter):
        return Record(NO_NETWORK, line.seq, 0, event)
    return Record(event.network, line.seq, event.recorded_ms, event.fact, event, line)
