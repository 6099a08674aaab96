"""The folder of one journal partition's recovery; one process at a time has it."""

import fcntl
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from state.errors import JournalMismatch, PolicyError, StoreError, TakenOver
from state.policy import Policy

_NOTE = "run.json"
_OUSTED = "taken-over.json"


class StateFolder:
    """`root`/`name`, locked while it is open.

    What is in it belongs to one journal and to the policy it began with. Raises StoreError if
    another process has it or it cannot be written, JournalMismatch or PolicyError if it belongs to
    another.
    """

    def __init__(self, root: Path, name: str, journal: str, policy: Policy) -> None:
        self.path = root / name
        self._note = {"journal": journal, "policy": policy.fingerprint()}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / "lock").open("wb")
        except OSError as error:
            raise StoreError(f"expected a writable state folder, was {error}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise StoreError(
                f"another process runs this partition with {self.path}: stop it first, or give "
                "this one another share"
            ) from error

    @property
    def recovery(self) -> Path:
        """Return where Bytewax keeps its store."""
        return self.path / "recovery"

    @property
    def home(self) -> str:
        """Return host and path: a lease's holder from here is dead, once the lock is free."""
        return f"{socket.gethostname()}:{self.path.resolve()}"

    def ousted_since(self) -> int | None:
        """Return the token of the lease that ended the last run from here; else None.

        A process started again all the same must not take the partition back unless ordered to.
        """
        note = self.path / _OUSTED
        return int(orjson.loads(note.read_bytes())["token"]) if note.exists() else None

    @contextmanager
    def noting_ousting(self) -> Iterator[None]:
        """Remember that another process took over, if that ends the block."""
        (self.path / _OUSTED).unlink(missing_ok=True)
        try:
            yield
        except TakenOver as error:
            (self.path / _OUSTED).write_bytes(orjson.dumps({"token": error.token}))
            raise

    def open(self, *, rebuild: bool) -> bool:
        """Open the folder; return whether there is something to resume.

        `rebuild` puts what is there aside, to begin again at the journal's start.
        """
        try:
            if rebuild and self.recovery.exists():
                self.recovery.rename(self.path / f"recovery-before-{time.time_ns()}")
            note = self.path / _NOTE
            is_resumed = note.exists() and any(self.recovery.glob("*.sqlite3"))
            if is_resumed:
                self._require(orjson.loads(note.read_bytes()))
            else:
                note.write_bytes(orjson.dumps(self._note))
        except OSError as error:
            raise StoreError(f"expected a writable state folder, was {error}") from error
        return is_resumed

    def _require(self, before: dict[str, str]) -> None:
        if before.get("journal") != self._note["journal"]:
            raise JournalMismatch(
                f"expected {self.path} to hold state of journal {self._note['journal']}, was of "
                f"{before.get('journal')}: the topic was made again, or has another number of "
                "partitions. Give run.state another folder and redis.prefix another name for a "
                "new journal"
            )
        if before.get("policy") != self._note["policy"]:
            raise PolicyError(
                f"expected the policy that the journal began with, {before.get('policy')}, was "
                f"{self._note['policy']}: a running policy changes through the journal, with "
                "`crossdock control policy FILE`"
            )

    def close(self) -> None:
        """Close it, so that others may have it."""
        self._lock.close()
