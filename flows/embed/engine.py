"""The engine as an object of another program: events in, actions out."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from operators.core.contract import Record, pack, unpack
from operators.core.entry import NO_NETWORK, to_record
from state.actions import Action
from state.codec import DeadLetter, JournalLine, encode, line_of
from state.errors import InvariantBroken, SnapshotError
from state.events import Event
from state.policy import Policy

if TYPE_CHECKING:
    from operators.chain import Build, Chains

_VERSION = "engine/1"
#: The name under which dead letters say where they were.
_SOURCE = "embedded"


class _State(Struct):
    seq: int
    policy: str
    chains: dict[str, bytes]


def warn_of(letter: DeadLetter) -> None:
    """Log a warning, which goes to standard error where no logging is set up."""
    logging.getLogger("crossdock").warning("%s: %s", letter.reason, letter)


class Engine:
    """Decides on what it is fed, like `crossdock replay` on a log with the same lines.

    The events of all networks are fed in one order, which is the journal: the nth one has `seq` n.
    Each network has a chain of its own. The same events under the same policy give the same
    actions, byte for byte (`state.codec.encode_action`), however often the engine was snapshotted
    and restored in between. Time is in the journal too: nothing falls due before an event, such as
    a ``clock.ticked``, has been recorded at that time or later.

    `policy` is the one that journals begin with; a ``policy.changed`` event replaces it. `after`
    puts operators of your own into the chain: by the name of the operator that each stands behind,
    one of `operators.chain.PLACES`, what builds it for a network, ``build(network, policy)``.
    `on_dead_letter` gets every event that cannot be used, and by default logs a warning; an error
    that it raises stops the engine. Raises ValueError if `after` has an unknown place.

    It does no I/O, keeps no thread and is not to be shared between threads.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        after: Mapping[str, "Build"] | None = None,
        on_dead_letter: Callable[[DeadLetter], object] = warn_of,
    ) -> None:
        self._policy, self._after = policy or Policy(), after
        self._on_dead_letter = on_dead_letter
        self._chains = self._fresh()
        self._seq = 0
        self._stopped_by: BaseException | None = None

    @property
    def seq(self) -> int:
        """Place in the journal of the last event fed, from 1; 0 before the first."""
        return self._seq

    @property
    def networks(self) -> list[str]:
        """Networks met so far, sorted."""
        return sorted(network for network in self._chains if network != NO_NETWORK)

    def feed(self, event: Event | bytes | str) -> list[Action]:
        """Take in the next event of the journal; returns the actions that follow, in order of id.

        `event` is an Event, or a line of a log: a CloudEvent as JSON in UTF-8, with or without its
        newline. Whatever is wrong with it makes a dead letter, and takes a place in the journal all
        the same. Actions whose `data.mode` is ``propose`` wait for a person: do not carry them out.

        Raises TypeError if `event` is of another type, and InvariantBroken if the engine
        contradicts itself. After an error of the second kind it takes nothing in until `restore`.
        """
        return [each.fact for each in self.step(event) if type(each.fact) is Action]

    def step(self, event: Event | bytes | str) -> list[Record]:
        """Take in the next event as `feed` does; returns all records that leave the chain.

        Their facts are the event's own, what operators derived from it, actions, and dead letters.
        """
        if not isinstance(event, Event | bytes | str):
            raise TypeError(f"expected an Event, bytes or str, was {type(event).__name__}")
        if self._stopped_by is not None:
            raise InvariantBroken(
                f"expected an engine that works, was one stopped at record {self._seq} by "
                f"{self._stopped_by!r}: restore a snapshot from before it"
            ) from self._stopped_by
        self._seq += 1
        try:
            record = _entering(event, self._seq)
            records = self._chains[record.network].step(record)
            for each in records:
                if type(each.fact) is DeadLetter:
                    self._on_dead_letter(each.fact)
        except BaseException as error:  # an interrupt too leaves a record half folded
            self._stopped_by = error
            raise
        return records

    def snapshot(self) -> bytes:
        """Return the whole state, as bytes that `restore` of this version reads."""
        chains = {name: self._chains[name].snapshot() for name in self.networks}
        return pack(_VERSION, _State(self._seq, self._policy.fingerprint(), chains))

    def restore(self, data: bytes) -> None:
        """Become what `snapshot` described; the event after it is to be fed next.

        Raises SnapshotError, and stays as it was, if the bytes are damaged or of another version,
        or were taken under another policy or with other operators.
        """
        state = unpack(_VERSION, data, _State)
        if state.policy != self._policy.fingerprint():
            raise SnapshotError(
                f"expected a snapshot under the policy {self._policy.fingerprint()}, was "
                f"{state.policy}: build the engine with the policy that it was first built with"
            )
        chains = self._fresh()
        try:
            for network, packed in state.chains.items():
                chains[network].restore(packed)
        except msgspec.MsgspecError as error:
            raise SnapshotError(f"expected a whole snapshot, was damaged: {error}") from error
        self._chains, self._seq, self._stopped_by = chains, state.seq, None

    def _fresh(self) -> "Chains":
        from operators.chain import Chains  # its models take seconds to import

        return Chains(self._policy, self._after)


def _entering(event: Event | bytes | str, seq: int) -> Record:
    """Return the record that enters a chain; a dead letter enters that of no network."""
    if isinstance(event, Event):
        # Checked like any line: a struct that was built by hand may hold anything.
        try:
            raw = encode(event)
        except Exception as error:
            return Record(NO_NETWORK, seq, 0, _no_event(event, error, seq))
    elif isinstance(event, str):
        raw = event.encode(errors="surrogatepass")
    else:
        raw = event
    return to_record(line_of(seq, _SOURCE, raw.rstrip(b"\r\n")))


def _no_event(event: Any, error: Exception, seq: int) -> DeadLetter:
    return DeadLetter(
        reason="not_an_event",
        expected="an event that can be written as JSON",
        was=f"{type(event.fact).__name__} ({error})",
        line=JournalLine(seq, _SOURCE, seq, b"", 0),
    )
