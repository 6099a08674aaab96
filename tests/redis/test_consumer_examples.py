"""The example services as they are run: processes, a real Redis, real SMTP and real HTTP."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
from aiosmtpd.controller import Controller
from msgspec.structs import replace

from state.actions import Action, ActionData, Because, Cancel, Decision, Notify
from state.codec import JournalLine, decode, decode_action, encode_action
from state.events import ActionCompleted, ActionFailed, Event
from state.stores.redis_actions import StreamEntry
from state.stores.redis_failed import failed
from state.stores.redis_keys import stream_key
from tests.places import ROOT
from tests.redis.test_redis_actions import NOON, a_writer
from tests.waiting import LONG_S, eventually

EXAMPLES = ROOT / "docs" / "examples"
Start = Callable[..., "subprocess.Popen[bytes]"]


def a_decision(seq: int, decision: Decision, mode: Any = "act") -> Action:
    return Action(
        id=f"eu:{seq}-1",
        source="crossdock",
        type=f"crossdock.action.{decision.verb}",
        time=NOON,
        subject=f"o{seq}",
        partitionkey="eu",
        data=ActionData(
            mode=mode,
            value_cents=0,
            decision=decision,
            because=Because(summary="why", score_cents=0, terms={}),
        ),
    )


def a_notice(seq: int, customer: str = "ada", **of: Any) -> Action:
    notice = Notify(
        order=f"o{seq}",
        customer=customer,
        topic="delayed",
        promised=NOON,
        expected=NOON + timedelta(days=1),
        message=f"Your order o{seq} is delayed.",
    )
    return a_decision(seq, notice, **of)


def a_cancel(seq: int, **of: Any) -> Action:
    return a_decision(seq, Cancel(order=f"o{seq}", reason="as wished"), **of)


def write(client: redis.Redis, prefix: str, *actions: Action) -> None:
    entries = [StreamEntry("eu", a.kind, a.entry_id, encode_action(a)) for a in actions]
    a_writer(client, prefix).write(entries)


@pytest.fixture
def start(redis_url: str, prefix: str, tmp_path: Path) -> Iterator[Start]:
    """Starts an example; its outcomes go to `outcomes(tmp_path)`."""
    processes: list[subprocess.Popen[bytes]] = []

    def run(example: str, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, str(EXAMPLES / example), "--redis", redis_url]
        with (tmp_path / "outcomes.jsonl").open("ab") as out:
            process = subprocess.Popen(
                [*command, "--prefix", prefix, *arguments],
                stdout=out,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def outcomes(folder: Path) -> list[Event]:
    """Return the outcomes that the service reported; every line is an event of the journal."""
    found = []
    for number, raw in enumerate((folder / "outcomes.jsonl").read_bytes().splitlines(), 1):
        event = decode(JournalLine(number, "outcomes", number, raw, len(raw)))
        assert isinstance(event, Event)
        found.append(event)
    return found


def completed(folder: Path) -> list[str]:
    return [one.fact.action for one in outcomes(folder) if isinstance(one.fact, ActionCompleted)]


def ends_well(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=LONG_S)
    assert process.returncode == 0, said.decode()


class MailServer:
    """A real SMTP server on a port of its own; refuses recipients whose name begins with "no"."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd looks for this name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address.startswith("no"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        controller = Controller(self, hostname="127.0.0.1", port=self.port)
        controller.start()
        try:
            yield
        finally:
            controller.stop()


def test_customers_get_their_mail_and_the_engine_hears_of_it(
    redis_client: redis.Redis, prefix: str, start: Start, tmp_path: Path
) -> None:
    write(redis_client, prefix, a_notice(1), a_notice(2, mode="propose"), a_notice(3, "bob"))
    server = MailServer()
    with server.running():
        service = start("notify_by_email.py", "--smtp", server.address)
        eventually(lambda: len(completed(tmp_path)) == 2)
        ends_well(service)
    assert [mail["To"] for mail in server.mails] == [
        "ada@customers.example",
        "bob@customers.example",
    ]
    assert server.mails[0]["Message-ID"] == "<1-1.eu@crossdock.invalid>"
    assert "o1 is delayed" in str(server.mails[0].get_payload())
    assert completed(tmp_path) == ["eu:1-1", "eu:3-1"]
    assert outcomes(tmp_path)[0].id == "eu:1-1:action.completed"


def test_a_mail_server_that_is_down_at_first_costs_no_mail(
    redis_client: redis.Redis, prefix: str, start: Start, tmp_path: Path
) -> None:
    write(redis_client, prefix, a_notice(1), a_notice(2))
    server = MailServer()
    with socket.socket() as closing:  # takes a connection, and is gone before it says a word
        closing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        closing.bind(("127.0.0.1", server.port))
        closing.listen()
        service = start("notify_by_email.py", "--smtp", server.address)
        closing.settimeout(30)
        closing.accept()[0].close()
    with server.running():
        eventually(lambda: len(completed(tmp_path)) == 2)
        ends_well(service)
    assert [mail["Message-ID"] for mail in server.mails] == [
        "<1-1.eu@crossdock.invalid>",
        "<2-1.eu@crossdock.invalid>",
    ]
    assert list(failed(redis_client, group="mailer", prefix=prefix)) == []


def test_a_customer_whom_the_mail_server_does_not_know_holds_nobody_up(
    redis_client: redis.Redis, prefix: str, start: Start, tmp_path: Path
) -> None:
    write(redis_client, prefix, a_notice(1), a_notice(2, "nobody"), a_notice(3))
    server = MailServer()
    with server.running():
        service = start("notify_by_email.py", "--smtp", server.address)
        eventually(lambda: len(outcomes(tmp_path)) == 3)
        ends_well(service)
    assert completed(tmp_path) == ["eu:1-1", "eu:3-1"]
    told = outcomes(tmp_path)[1].fact
    assert isinstance(told, ActionFailed)
    assert told.action == "eu:2-1"
    assert "no such user" in told.reason
    (aside,) = failed(redis_client, group="mailer", prefix=prefix)
    assert (aside.entry_id, aside.error, aside.attempts) == ("2-1", "GiveUp", 1)


def test_a_redelivered_notice_makes_one_mail_only(
    redis_client: redis.Redis, prefix: str, start: Start, tmp_path: Path
) -> None:
    write(redis_client, prefix, a_notice(1), a_notice(2))
    server = MailServer()
    with server.running():
        first = start("notify_by_email.py", "--smtp", server.address)
        eventually(lambda: len(completed(tmp_path)) == 2)
        first.kill()
        first.wait()
        redis_client.xgroup_setid(stream_key(prefix, "eu", "notify"), "mailer", "0")
        write(redis_client, prefix, a_notice(3))
        second = start("notify_by_email.py", "--smtp", server.address, "--name", "mailer-2")
        eventually(lambda: len(completed(tmp_path)) == 5)
        ends_well(second)
    assert len(server.mails) == 3
    told = [event.id for event in outcomes(tmp_path)]
    assert told[:2] == told[2:4]  # the same events again, which the engine leaves out


def test_a_mail_server_that_refuses_everybody_ends_the_service_with_a_reason(
    redis_client: redis.Redis, prefix: str, start: Start
) -> None:
    write(redis_client, prefix, *(a_notice(seq, "nobody") for seq in range(1, 13)))
    server = MailServer()
    with server.running():
        service = start("notify_by_email.py", "--smtp", server.address)
        _, said = service.communicate(timeout=LONG_S)
    assert service.returncode == 1
    assert b"10 failures in a row" in said
    assert b"eu:11-1, which stays pending" in said
    assert len(list(failed(redis_client, group="mailer", prefix=prefix))) == 10


class Wms:
    """A WMS behind HTTP: answers with what is in `answers`, then with 200; knows repetitions."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.done: dict[str, Action] = {}
        self.requests: list[str] = []
        wms = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                action = decode_action(self.rfile.read(int(self.headers["Content-Length"])))
                wms.requests.append(action.id)
                code = wms.answers.pop(0) if wms.answers else 200
                if code == 200:
                    wms.done.setdefault(self.headers["Idempotency-Key"], action)
                self.send_response(code)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self._server.server_port}/actions"

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def test_the_wms_gets_each_action_under_its_key_and_repetitions_are_its_own_to_know(
    redis_client: redis.Redis, prefix: str, start: Start, tmp_path: Path
) -> None:
    write(redis_client, prefix, a_cancel(1), a_cancel(2, mode="propose"), a_cancel(3))
    wms = Wms()
    with wms.running():
        service = start("wms_webhook.py", wms.url)
        eventually(lambda: len(completed(tmp_path)) == 2)
        service.kill()
        service.wait()
        redis_client.xgroup_setid(stream_key(prefix, "eu", "cancel"), "wms", "0")
        again = start("wms_webhook.py", wms.url, "--name", "wms-2")
        eventually(lambda: len(completed(tmp_path)) == 4)
        ends_well(again)
    assert wms.requests == ["eu:1-1", "eu:3-1"] * 2
    assert wms.done == {"eu:1-1": a_cancel(1), "eu:3-1": a_cancel(3)}


def test_a_wms_that_is_busy_gets_the_action_again_and_one_that_refuses_does_not(
    redis_client: redis.Redis, prefix: str, start: Start, tmp_path: Path
) -> None:
    late = replace(a_cancel(4), expirytime=NOON)
    write(redis_client, prefix, a_cancel(1), a_cancel(2), a_cancel(3), late, a_cancel(5))
    wms = Wms(503, 200, 422, 302, 200)
    with wms.running():
        service = start("wms_webhook.py", wms.url)
        eventually(lambda: len(outcomes(tmp_path)) == 4)
        ends_well(service)
    assert wms.requests == ["eu:1-1", "eu:1-1", "eu:2-1", "eu:3-1", "eu:5-1"]
    assert completed(tmp_path) == ["eu:1-1", "eu:5-1"]
    reasons = [one.fact.reason for one in outcomes(tmp_path) if isinstance(one.fact, ActionFailed)]
    assert ["422" in reasons[0], "302" in reasons[1]] == [True, True]
    aside = failed(redis_client, group="wms", prefix=prefix)
    assert [(one.entry_id, one.error) for one in aside] == [("2-1", "GiveUp"), ("3-1", "GiveUp")]


def test_the_webhook_goes_to_http_only(start: Start) -> None:
    service = start("wms_webhook.py", "file:///etc/passwd")
    _, said = service.communicate(timeout=LONG_S)
    assert service.returncode == 2
    assert b"expected an http or https URL" in said
