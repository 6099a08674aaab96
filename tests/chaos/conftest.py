"""One broker and one Redis per module of chaos tests, to be killed; and logs to publish."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos import THOROUGH
from tests.chaos.loads import make_log
from tests.chaos.rig import Rig
from tests.services.kafka_artifacts import KafkaMissing
from tests.services.kafka_broker import KafkaBroker
from tests.services.redis_server import RedisServer

#: Events that a fault meets, unless a test says otherwise.
EVENTS = 12_000 if THOROUGH else 3_000
#: Makes a log: seed, events, network.
MakeLog = Callable[..., Path]
#: Makes a rig; takes the keywords of `Rig`.
MakeRig = Callable[..., Rig]


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaBroker]:
    made = KafkaBroker()
    try:
        made.start()
    except KafkaMissing as missing:
        made.close()
        pytest.skip(str(missing))
    with made:
        yield made


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(appendonly="always") as server:
        yield server


@pytest.fixture(scope="session")
def log_of(tmp_path_factory: pytest.TempPathFactory) -> MakeLog:
    folder = tmp_path_factory.mktemp("logs")

    def make(
        *, seed: int = 1, events: int = EVENTS, network: str = "demo", skus: int = 120
    ) -> Path:
        path = folder / f"{network}-{seed}-{events}-{skus}.jsonl"
        return make_log(path, seed=seed, events=events, network=network, skus=skus)

    return make


@pytest.fixture
def make_rig(broker: KafkaBroker, server: RedisServer, tmp_path: Path) -> MakeRig:
    def make(**changes: object) -> Rig:
        given = {"bootstrap": broker.bootstrap, "redis_url": server.url, **changes}
        return Rig(tmp_path, **given)  # type: ignore[arg-type]

    return make
