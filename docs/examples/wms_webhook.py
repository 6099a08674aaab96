"""Warehouse actions by webhook to a WMS: a complete consumer.

The WMS gets the action as it is, and its id as `Idempotency-Key`: it is the WMS that sees to it
that nothing happens twice, also where this process dies between its answer and the acknowledgement.
What became of each action is written as a line of JSON: an event for the engine's journal.
"""

import argparse
import signal
import sys
import time
from http.client import HTTPMessage
from typing import IO
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from state.actions import Action
from state.codec import encode, encode_action, make_event
from state.errors import CrossdockError
from state.events import ActionCompleted, ActionFailed
from state.stores.redis_consumer import ActionConsumer, GiveUp
from state.stores.redis_failed import Failed

#: Answers that may be others later; any other 4xx says that the request itself is wrong.
LATER = {408, 409, 425, 429}


class NoRedirects(HTTPRedirectHandler):
    """A refusal of redirects: a redirected POST would become a GET, and its success a lie."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Follow nothing."""


def post(url: str, action: Action, timeout_s: float) -> None:
    """Send `action`. Raises GiveUp if the WMS refuses it for good, OSError if not now."""
    request = Request(  # noqa: S310 - the scheme is checked when the service starts
        url,
        data=encode_action(action),
        headers={
            "Content-Type": "application/cloudevents+json",
            "Idempotency-Key": action.id,
        },
    )
    try:
        with build_opener(NoRedirects).open(request, timeout=timeout_s) as answer:
            answer.read()
    except HTTPError as error:
        said = error.read(300).decode(errors="replace")
        if error.code < 500 and error.code not in LATER:
            raise GiveUp(f"the WMS answered {error.code}: {said}") from error
        raise OSError(f"the WMS answered {error.code}: {said}") from error


def tell(action: Action, fact: ActionCompleted | ActionFailed) -> None:
    """Write an outcome. Its id is made of the action's, so the engine knows a repetition."""
    event = make_event(
        fact,
        id=f"{action.id}:{fact.suffix}",
        source="wms-webhook",
        network=action.partitionkey,
        time_ms=time.time_ns() // 1_000_000,
        subject=action.subject,
        causation=action.id,
    )
    sys.stdout.write(encode(event).decode() + "\n")
    sys.stdout.flush()


def tell_failed(aside: Failed) -> None:
    """Write that an action was put aside, without the control characters of its error."""
    reason = "".join(c if c.isprintable() else " " for c in f"{aside.error}: {aside.message}")
    tell(aside.action(), ActionFailed(action=aside.action().id, reason=reason))


def main() -> None:
    """Run until SIGTERM or SIGINT; ends with an error if one action after the other fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of the WMS, http or https")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0")
    parser.add_argument("--prefix", default="crossdock")
    parser.add_argument("--group", default="wms")
    parser.add_argument("--name", default="wms-1", help="of this process and no other")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds")
    parser.add_argument("--expired", action="store_true", help="send what has expired, too")
    given = parser.parse_args()
    if not given.url.startswith(("http://", "https://")):
        parser.error(f"expected an http or https URL, was {given.url}")

    with ActionConsumer(
        given.redis,
        group=given.group,
        consumer=given.name,
        kinds=["allocate", "release", "cancel", "reship"],
        prefix=given.prefix,
        skip_expired=not given.expired,
        on_failed=tell_failed,
    ) as consumer:

        def handle(action: Action) -> None:
            if action.data.mode == "act":
                post(given.url, action, given.timeout)
                tell(action, ActionCompleted(action=action.id))

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: consumer.stop())
        consumer.run(handle)


if __name__ == "__main__":
    try:
        main()
    except CrossdockError as problem:
        sys.exit(str(problem))
