"""Ready means that Redis and Kafka answer, whether or not there is anything to write."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.chaos.rig import Rig
from tests.services import free_ports
from tests.services.kafka_artifacts import KafkaMissing
from tests.services.kafka_broker import KafkaBroker
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.slow


@pytest.fixture
def broker() -> Iterator[KafkaBroker]:
    try:
        with KafkaBroker() as broker:
            yield broker
    except KafkaMissing as missing:
        pytest.skip(str(missing))


def problems(port: int, path: str = "readyz") -> list[str]:
    """Return the obstacles to being ready; raise OSError where no process listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
            assert answer.status == 200
            return []
    except urllib.error.HTTPError as error:
        with error:
            assert error.code == 503
            found: list[str] = orjson.loads(error.read())["problems"]
            return found


def test_an_idle_process_is_not_ready_while_a_store_is_paused_or_dead(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    ports = dict(zip(("run", "ingest"), free_ports(2), strict=True))
    with (
        RedisServer(appendonly="always") as server,
        Rig(tmp_path, broker.bootstrap, server.url) as rig,
    ):
        for role, port in ports.items():
            rig.engine(role, role, "--monitor-port", str(port)).start()

        def is_ready() -> bool:
            try:
                return not any(problems(port) for port in ports.values())
            except OSError:
                return False  # still starting

        def is_told(store: str, *roles: str) -> bool:
            return all(any(store in why for why in problems(ports[role])) for role in roles)

        rig.until("a start", is_ready)
        for lay_low, raise_up in (
            (server.pause, server.resume),
            (server.kill, lambda: server.restart(empty=False)),
        ):
            lay_low()
            rig.until("a word on Redis", lambda: is_told("no answer from redis", "run"))
            assert problems(ports["ingest"]) == []
            raise_up()
            rig.until("Redis", is_ready)
        for lay_low, raise_up in ((broker.pause, broker.resume), (broker.kill, broker.restart)):
            lay_low()
            rig.until("a word on Kafka", lambda: is_told("no answer from kafka", "run", "ingest"))
            assert all(problems(port, "healthz") == [] for port in ports.values())
            raise_up()
            rig.until("Kafka", is_ready)
        assert all(engine.runs for engine in rig.engines.values())
