"""Topics that were just made are not called absent: brokers learn of them one after the other."""

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from state.errors import StoreError
from state.settings import KafkaSettings
from state.stores.kafka_topics import KafkaTopics


class SlowBrokers(KafkaTopics):
    """Brokers that tell of a topic only when they have been asked for a while."""

    def __init__(self, asked_before: int) -> None:
        super().__init__(KafkaSettings(bootstrap="127.0.0.1:1"))
        self.left = asked_before
        self.made: dict[str, int] = {}

    def partitions(self) -> dict[str, int]:
        self.left -= 1
        return {} if self.left >= 0 else dict(self.made)

    def create(self, plan: object, *, partitions: int, replication: int) -> None:
        self.made[plan.name] = partitions  # type: ignore[attr-defined]

    def config(self, topic: str) -> dict[str, str]:
        return {}


def test_making_topics_waits_until_the_brokers_tell_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    brokers = SlowBrokers(asked_before=5)
    monkeypatch.setattr("state.stores.kafka_topics.KafkaTopics", lambda _: brokers)
    monkeypatch.setattr("state.stores.kafka_topics._POLL_S", 0.001)
    done = CliRunner().invoke(app, ["topics", "--create", "--json"])
    assert done.exit_code == 0, done.output
    assert '"problems":[]' in done.output.replace(" ", "")
    assert brokers.left < 0


def test_brokers_that_never_tell_are_named() -> None:
    brokers = SlowBrokers(asked_before=10**6)
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1 to know journal 0 s after it was made"):
        brokers.settled({"journal": 1}, within_s=0.0)
    assert KafkaTopics.settled(brokers, {}) == {}
