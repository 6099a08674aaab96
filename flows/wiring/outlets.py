"""Outlets of outcomes: plain objects, of which `flows.wiring.sinks` makes Bytewax sinks.

An outlet's `mark` says where it stands, and opening it at a mark undoes what it wrote after it.
"""

import fcntl
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import redis

from flows.wiring.outcomes import DEAD_LETTERS, Outcome
from state.errors import StoreError
from state.stores.redis_actions import RedisActionWriter, StreamEntry, Written
from state.stores.redis_keys import CONTROL, DECIDED, KPIS
from state.stores.redis_lease import Lease

#: Place of an outlet in its output, in its own terms.
Mark = dict[str, int | str]


class Outlet(Protocol):
    """Receiver of outcomes, in order."""

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Write them; raises StoreError if that cannot be done."""
        ...

    def mark(self) -> Mark:
        """Return where it stands after the last write."""
        ...

    def rewind(self, mark: Mark) -> None:
        """Go back to where `mark` was taken; an empty one means the start."""
        ...


class RedisOutlet:
    """Actions and KPIs to Redis streams; ids that Redis already has are checked, not repeated."""

    def __init__(
        self,
        client: redis.Redis,
        journal: str,
        prefix: str,
        fresh: bool,
        maxlen: int | None = None,
        lease: Lease | None = None,
    ) -> None:
        self._writer = RedisActionWriter(
            client, journal=journal, prefix=prefix, fresh=fresh, maxlen=maxlen, lease=lease
        )
        self.written = Written(new=0, repeated=0, trimmed=0)

    def claim(self, networks: Iterable[str]) -> None:
        """Take the keys of `networks` for this journal, before anything is written."""
        for network in networks:
            self._writer.claim(network)

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Append what is new; raises JournalMismatch, Diverged, TakenOver or StoreError."""
        entries = [
            StreamEntry(o.network, o.stream, o.entry_id, o.body)
            for o in outcomes
            if o.stream != DEAD_LETTERS
        ]
        if entries:
            self.written += self._writer.write(entries)

    def mark(self) -> Mark:
        """Return the last id of each stream, by its key."""
        return dict(self._writer.last_ids())

    def rewind(self, mark: Mark) -> None:
        """Make sure that Redis still has what it had; a repeated write is recognised by its id.

        Raises EntriesLost if it has less.
        """
        self._writer.expect({key: str(last) for key, last in mark.items()})
        # Now, not at the next action: that may be long in coming.
        self.claim(sorted({key.split(":")[1] for key in mark}))


class LogOutlet:
    """Files in a folder: ``actions``, ``decided``, ``dead_letters`` and ``kpis.jsonl``.

    ``decided`` says what became of proposals.
    While a run lasts, each network has files of its own; `finish` joins them in order of the
    network's name, so that equal runs leave equal files however their networks interleaved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts = folder / "parts"
        self._sizes: dict[str, int] = {}
        try:
            self._parts.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / ".lock").open("wb")
        except OSError as error:
            raise StoreError(f"expected a writable folder, was {error}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise StoreError(
                f"another replay is writing to {folder}: choose another --out"
            ) from error

    def close(self) -> None:
        """Let others write to the folder."""
        self._lock.close()

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Append each outcome to the file of its stream and network."""
        lines: dict[str, list[bytes]] = {}
        for outcome in outcomes:
            if outcome.stream == CONTROL:  # for consumers that wait for it
                continue
            stream = "actions" if outcome.is_action else outcome.stream
            lines.setdefault(f"{stream}:{outcome.network}", []).append(outcome.body)
        for name, bodies in lines.items():
            data = b"\n".join(bodies) + b"\n"
            try:
                with (self._parts / name).open("ab") as file:
                    file.write(data)
            except OSError as error:
                raise StoreError(f"expected to write {self._parts / name}, was {error}") from error
            self._sizes[name] = self._sizes.get(name, 0) + len(data)

    def mark(self) -> Mark:
        """Return the bytes in each file."""
        return dict(self._sizes)

    def rewind(self, mark: Mark) -> None:
        """Cut every file back to its size at `mark`, an empty one to nothing.

        Raises StoreError if a file lacks bytes.
        """
        for name in {*mark, *(path.name for path in self._parts.iterdir())}:
            path, size = self._parts / name, int(mark.get(name, 0))
            found = path.stat().st_size if path.exists() else 0
            if found < size:
                raise StoreError(
                    f"expected at least {size} bytes, was {found}, at {path}: the output was "
                    "changed since the run that is to be resumed; remove the recovery folder to "
                    "replay from the start"
                )
            if size:
                with path.open("r+b") as file:
                    file.truncate(size)
            else:
                path.unlink()
        self._sizes = {name: int(size) for name, size in mark.items()}

    def finish(self, *, keep_parts: bool) -> None:
        """Join the networks' files into one per stream; a run that may go on keeps its parts."""
        for stream in ("actions", DECIDED, DEAD_LETTERS, KPIS):
            with (self.folder / f"{stream}.jsonl").open("wb") as joined:
                for part in sorted(self._parts.glob(f"{stream}:*")):
                    with part.open("rb") as file:
                        while chunk := file.read(1 << 20):
                            joined.write(chunk)
                    if not keep_parts:
                        part.unlink()
        if not keep_parts:
            self._parts.rmdir()
