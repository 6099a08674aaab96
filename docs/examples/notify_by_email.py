"""Notices by e-mail: a complete consumer of the `notify` actions.

A mail server knows no idempotency keys, so `Once` remembers which mails are out. What became of
each action is written as a line of JSON: an event for the engine's journal.
"""

import argparse
import signal
import smtplib
import sys
import time
from email.message import EmailMessage
from email.utils import format_datetime

from state.actions import Action, Notify
from state.codec import encode, make_event
from state.errors import CrossdockError
from state.events import ActionCompleted, ActionFailed
from state.stores.redis_connection import connect
from state.stores.redis_consumer import ActionConsumer, GiveUp
from state.stores.redis_failed import Failed
from state.stores.redis_once import Once


def mail_of(action: Action, notice: Notify, sender: str, to: str) -> EmailMessage:
    """Return the mail for `notice`; the same action always makes the same mail."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = to.format(customer=notice.customer)  # a real one asks the shop for the address
    mail["Subject"] = f"Your order {notice.order} ({notice.topic})"
    mail["Date"] = format_datetime(action.time)
    mail["Message-ID"] = f"<{action.entry_id}.{action.partitionkey}@crossdock.invalid>"
    mail.set_content(notice.message + "\n")
    return mail


def send(mail: EmailMessage, host: str, port: int) -> None:
    """Send one mail. Raises GiveUp if the server will never take it, OSError if not now."""
    try:
        with smtplib.SMTP(host, port, timeout=10) as server:
            server.send_message(mail)
    except smtplib.SMTPRecipientsRefused as error:
        if all(code >= 500 for code, _ in error.recipients.values()):
            raise GiveUp(f"no such recipient: {error}") from error
        raise
    except smtplib.SMTPDataError as error:
        if error.smtp_code >= 500:
            raise GiveUp(f"not wanted: {error}") from error
        raise


def tell(action: Action, fact: ActionCompleted | ActionFailed) -> None:
    """Write an outcome. Its id is made of the action's, so the engine knows a repetition."""
    event = make_event(
        fact,
        id=f"{action.id}:{fact.suffix}",
        source="mailer",
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
    """Run until SIGTERM or SIGINT; ends with an error if one mail after the other fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0")
    parser.add_argument("--prefix", default="crossdock")
    parser.add_argument("--group", default="mailer")
    parser.add_argument("--name", default="mailer-1", help="of this process and no other")
    parser.add_argument("--smtp", default="127.0.0.1:2525", help="HOST:PORT")
    parser.add_argument("--sender", default="Your shop <orders@shop.example>")
    parser.add_argument("--to", default="{customer}@customers.example")
    given = parser.parse_args()
    host, _, port = given.smtp.rpartition(":")
    group, prefix = given.group, given.prefix

    with (
        connect(given.redis) as client,
        ActionConsumer(
            given.redis,
            group=group,
            consumer=given.name,
            kinds=["notify"],
            prefix=prefix,
            skip_expired=True,
            on_failed=tell_failed,
        ) as consumer,
    ):
        once = Once(client, group=group, prefix=prefix, owner=given.name, sleep=consumer.pause)

        def handle(action: Action) -> None:
            notice = action.data.decision
            if action.data.mode != "act" or not isinstance(notice, Notify):
                return  # a proposal; if it is approved, it comes as an action of its own
            with once.claim(action) as is_new:
                if is_new:
                    send(mail_of(action, notice, given.sender, given.to), host, int(port))
            tell(action, ActionCompleted(action=action.id))

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: consumer.stop())
        consumer.run(handle)


if __name__ == "__main__":
    try:
        main()
    except CrossdockError as problem:
        sys.exit(str(problem))
