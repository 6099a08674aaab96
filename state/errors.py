"""Errors that cross a module boundary, in one tree.

    CrossdockError
    ├── PolicyError          a policy file that cannot be read or does not hold together
    ├── SettingsError        deployment settings that cannot be read or do not hold together
    ├── JournalError         a log that cannot be opened, read or resumed
    ├── SnapshotError        operator state of an unknown version or shape
    ├── StoreError           a store that cannot be reached or started
    │   ├── JournalMismatch  the store belongs to another journal
    │   ├── Diverged         the store holds other actions under the same ids
    │   ├── EntriesLost      the store no longer has what it had acknowledged
    │   ├── TakenOver        another process writes to the store in this one's place
    │   └── KeepsFailing     a consumer's handler fails at one action after the other
    └── InvariantBroken      the twin contradicts itself: a defect, the process must stop

A bad *record* is never one of these: it becomes a `state.codec.DeadLetter` and the stream goes on.
Messages read "expected X, was Y, at PLACE" and say what to do.
"""

from typing import ClassVar


class CrossdockError(Exception):
    """The root: a command ends with this message and `exit_code`."""

    exit_code: ClassVar[int] = 1


class PolicyError(CrossdockError):
    """A policy that cannot be read; the message names the file and the key."""


class SettingsError(CrossdockError):
    """Settings of a deployment that cannot be used; the message names the file and the key."""


class JournalError(CrossdockError):
    """A log that cannot be opened, read, or resumed from where it was left."""


class SnapshotError(CrossdockError):
    """A snapshot written by a version that this one cannot read."""


class StoreError(CrossdockError):
    """A store (Redis) that cannot be reached, started or written."""


class JournalMismatch(StoreError):
    """Keys of another journal; writing would mix two histories."""


class Diverged(StoreError):
    """An action id taken by different bytes: policy, code or journal have changed."""


class EntriesLost(StoreError):
    """A store that ends before the last place written: it lost acknowledged entries."""


class TakenOver(StoreError):
    """Another process that has taken this one's place, with the lease's `token`.

    The exit code is one of its own: whoever starts processes must not start this one again.
    """

    exit_code = 3

    def __init__(self, message: str, *, token: int = 0) -> None:
        super().__init__(message)
        self.token = token


class KeepsFailing(StoreError):
    """A handler that failed at so many actions in a row that the fault is hardly theirs."""


class InvariantBroken(CrossdockError):
    """A contradiction within the twin; nothing after this point can be trusted."""
