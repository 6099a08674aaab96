"""Decisions of people on their way to the engine: sent, and confirmed."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import complain, note, print_json, say

if TYPE_CHECKING:
    from flows.live.confirm import Confirmed
    from state.events import Fact
    from state.settings import Settings

Create = Annotated[
    bool, typer.Option("--create", help="The network is a new one: let it in with this event.")
]
Wait = Annotated[
    float,
    typer.Option(
        "--wait", help="Seconds to wait until the engine has taken it in; 0: only send.", min=0.0
    ),
]
WAIT_S = 15.0
_UNKNOWN, _FAILED = 2, 1


def require_known(settings: "Settings", network: str, *, hint: str = "") -> None:
    """End the command, as used wrongly, if no such network is known."""
    from flows.ingest.networks import known_networks

    known = known_networks(settings.kafka, settings.topics.networks)
    if network in known or network in settings.ingest.networks:
        return
    complain(f"expected a network that is known, was {network!r}{hint}")
    note(f"known: {', '.join(sorted(known)) or 'none yet'}")
    raise typer.Exit(_UNKNOWN)


def send_and_confirm(
    settings: "Settings",
    network: str,
    fact: "Fact",
    *,
    create: bool = False,
    wait_s: float = WAIT_S,
) -> None:
    """Send a control event and print where it took effect; exit with code 1 if that is unknown."""
    from flows.live.control import send_control

    if not create:
        require_known(settings, network, hint="; --create lets a new one in")
    sent = send_control(settings, network, fact, time.time_ns() // 1_000_000, create=create)
    report_confirmation(settings, network, sent, wait_s)


def report_confirmation(
    settings: "Settings",
    network: str,
    sent: str,
    wait_s: float,
    about: dict[str, str] | None = None,
) -> None:
    """Wait for the confirmation of an event and print it; with `about` as JSON, beside that."""
    from state.errors import StoreError

    trouble, found = "", None
    if wait_s > 0:
        try:
            found = _confirmed(settings, network, sent, wait_s)
        except StoreError as error:  # it has been sent all the same
            trouble = f" ({error})"
    if about is not None:
        print_json({**about, "event": sent, "confirmed": None if found is None else _plain(found)})
    elif found is not None:
        what = found.effect if found.took_effect else f"nothing came of it: {found.effect}"
        say(f"{network}: {what}, at journal position {found.seq} (event {sent})")
    else:
        say(f"sent to {network}: {sent}")
    if found is None and wait_s > 0:
        complain(
            f"sent, but not confirmed within {wait_s:g} s{trouble}: it takes effect "
            "when ingest and run get to it. Do they run (`/readyz`)? Was it refused "
            "(`crossdock dead-letters`)? Until then stop the consumers, if it is urgent"
        )
    if wait_s > 0 and (found is None or not found.took_effect):
        raise typer.Exit(_FAILED)


def _confirmed(settings: "Settings", network: str, sent: str, wait_s: float) -> "Confirmed | None":
    from flows.live.confirm import confirmed

    return confirmed(settings.redis, network, sent, wait_s)


def _plain(found: "Confirmed") -> object:
    from msgspec import to_builtins

    return to_builtins(found)
