"""Names of the keys that Crossdock keeps in Redis, and the shape of a stream's entries.

    {prefix}:networks                          set     networks that have been written
    {prefix}:lease.{journal}.{partition}       hash    which process writes a journal partition's
    {prefix}:{network}:journal                 hash    which journal the network's ids belong to,
                                                       and how many entries each stream was given
    {prefix}:{network}:{kind}                  stream  actions of one kind, id {seq}-{n}, one field
    {prefix}:{network}:proposals               stream  actions of any kind that a person decides on
    {prefix}:{network}:decided                 stream  what became of each of these
    {prefix}:{network}:control                 stream  commands of people, as taken in
    {prefix}:{network}:kpis                    stream  what was measured, a window an entry
    {prefix}:{network}:poison:{group}          stream  entries that a consumer group could not read
    {prefix}:{network}:failed:{group}          stream  actions that it could not carry out
    {prefix}:{network}:failing:{group}         text    how many of these in a row, a number
    {prefix}:{network}:read:{group}            hash    how many entries of each kind it is done with
    {prefix}:{network}:once:{group}:{id}:{of}  text    that an action is begun or done; expires

A prefix, a network, a kind and a group hold no colon, so no key reads two ways.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from state.actions import Action
from state.codec import decode_action

#: The one field of a stream entry: the action as one JSON object, as in the action log.
FIELD = b"action"
PREFIX = "crossdock"
#: Streams beside those of the kinds. A kind's stream holds only what is to be carried out.
PROPOSALS = "proposals"
DECIDED = "decided"
CONTROL = "control"
KPIS = "kpis"
#: Field of the journal's hash: how many entries the stream of the kind that follows was given.
ADDED = "added:"
#: Interval at which a reader looks for networks that it does not know yet.
DISCOVER_EVERY_S = 3.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Poison(Struct, frozen=True, kw_only=True, gc=False):
    """A stream entry that is no action: where it is, its fields as they are, and what is wrong."""

    network: str
    kind: str
    entry_id: str
    fields: Mapping[bytes, bytes]
    reason: str


def checked_name(name: str, what: str) -> str:
    """Return `name` if it can be a part of a key; raise ValueError otherwise."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"expected a {what} of letters, digits, '.', '_' and '-', was {name!r}")
    return name


def stream_key(prefix: str, network: str, kind: str) -> str:
    """Return the key of the stream that holds a network's actions of one kind."""
    return f"{prefix}:{network}:{kind}"


def journal_key(prefix: str, network: str) -> str:
    """Return the key of the hash that says which journal the network's ids belong to."""
    return f"{prefix}:{network}:journal"


def networks_key(prefix: str) -> str:
    """Return the key of the set of all networks under `prefix`."""
    return f"{prefix}:networks"


def lease_key(prefix: str, journal: str, partition: int) -> str:
    """Return the key of the hash that names the writer of a journal partition's output."""
    return f"{prefix}:lease.{journal}.{partition}"


def poison_key(prefix: str, network: str, group: str) -> str:
    """Return the key of the stream where `group` puts entries that it cannot read."""
    return f"{prefix}:{network}:poison:{group}"


def failed_key(prefix: str, network: str, group: str) -> str:
    """Return the key of the stream where `group` puts actions that it could not carry out."""
    return f"{prefix}:{network}:failed:{group}"


def failing_key(prefix: str, network: str, group: str) -> str:
    """Return the key of the number of actions that `group` has put there in a row."""
    return f"{prefix}:{network}:failing:{group}"


def read_key(prefix: str, network: str, group: str) -> str:
    """Return the key of the hash that says how many entries of each kind `group` is done with."""
    return f"{prefix}:{network}:read:{group}"


def once_key(prefix: str, network: str, group: str, entry_id: str, of: str) -> str:
    """Return the key of the action begun or done by `group`; `of` is a digest of the action.

    The digest is there because `--fresh` may give an id to another action.
    """
    return f"{prefix}:{network}:once:{group}:{entry_id}:{of}"


def text(value: bytes | str) -> str:
    """Return `value` as text; what is not UTF-8 in it is replaced."""
    return value if isinstance(value, str) else value.decode(errors="replace")


def entry_order(entry_id: str) -> tuple[int, int]:
    """Return ``"12-3"`` as ``(12, 3)``: ids order as numbers, not as text."""
    seq, _, n = entry_id.partition("-")
    return int(seq), int(n or 0)


def read_entry(
    network: str, kind: str, entry_id: str, fields: Mapping[bytes, bytes]
) -> Action | Poison:
    """Return the typed action of a stream entry; never raises on account of what is in it.

    `kind` names the stream: that of a kind of action, or `PROPOSALS`.
    """
    body = fields.get(FIELD)
    if body is None:
        reason = f"expected the field {FIELD.decode()!r}, was {sorted(fields)!r:.200}"
    else:
        try:
            action = decode_action(body)
        except ValueError as error:
            reason = str(error)
        else:
            is_of = action.kind == kind or (kind == PROPOSALS and action.data.mode == "propose")
            if action.id == f"{network}:{entry_id}" and is_of:
                return action
            # Acting on it would confirm or reject some other action than the one that was read.
            reason = f"expected {kind} {network}:{entry_id}, was {action.kind} {action.id}"
    return Poison(network=network, kind=kind, entry_id=entry_id, fields=fields, reason=reason)
