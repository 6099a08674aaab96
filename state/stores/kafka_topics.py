"""Topics of a deployment: which exist, whether they fit, and how to make them."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from msgspec import Struct

from state.codec import fingerprint
from state.errors import StoreError
from state.settings import KafkaSettings, Settings
from state.stores.kafka_client import Troubles, client_config, kafka_error
from state.stores.kafka_dead_letters import LARGEST_LETTER_BYTES

_TIMEOUT_S = 5.0
_POLL_S = 0.1
_FOR_EVER = "-1"
_LARGEST = "max.message.bytes"


class TopicPlan(Struct, frozen=True, kw_only=True):
    """A topic that should exist; `partitions` None is as it comes, at least one."""

    name: str
    partitions: int | None = None
    config: dict[str, str]
    purpose: str


def planned(settings: Settings) -> list[TopicPlan]:
    """Return all topics of a deployment: the feeds', then ours."""
    topics = settings.topics
    plans = [TopicPlan(name=f.topic, config={}, purpose="a raw feed") for f in settings.feeds]
    plans.append(
        TopicPlan(
            name=topics.journal,
            partitions=topics.partitions,
            # The state can be worked out again only from a journal that is kept.
            config={"retention.ms": _FOR_EVER, "cleanup.policy": "delete"},
            purpose="the journal",
        )
    )
    if topics.actions:
        plans.append(
            TopicPlan(
                name=topics.actions,
                partitions=topics.partitions,
                config={"cleanup.policy": "delete"},
                purpose="the actions",
            )
        )
    return [
        *plans,
        TopicPlan(
            name=topics.dead_letters,
            config={
                "retention.ms": _FOR_EVER,
                "cleanup.policy": "delete",
                _LARGEST: str(LARGEST_LETTER_BYTES),
            },
            purpose="what could not be used",
        ),
        TopicPlan(
            name=topics.networks,
            partitions=1,
            config={"cleanup.policy": "compact"},
            purpose="the networks seen",
        ),
    ]


class KafkaTopics:
    """Questions to the brokers about topics. Raises StoreError where they do not answer."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._bootstrap = settings.bootstrap
        self._troubles = Troubles(settings.bootstrap, None)
        self._admin = AdminClient(client_config(settings, error_cb=self._troubles))

    def partitions(self) -> dict[str, int]:
        """Return the number of partitions of every topic there is."""
        try:
            found = self._admin.list_topics(timeout=_TIMEOUT_S)
        except KafkaException as error:
            self._admin.poll(0)
            self._troubles.raise_hopeless("connect")
            raise kafka_error(self._bootstrap, "connect", error) from error
        return {name: len(topic.partitions) for name, topic in found.topics.items()}

    def require_answer(self, topic: str, within_s: float) -> None:
        """Require a broker to report `topic` within that time. Raises StoreError."""
        self._admin.poll(0)  # else its reports on its connections pile up
        try:
            self._admin.list_topics(topic, timeout=within_s)
        except KafkaException as error:
            raise kafka_error(self._bootstrap, f"ask for topic {topic}", error) from error

    def create(self, plan: TopicPlan, *, partitions: int, replication: int) -> None:
        """Make the topic, and wait for it."""
        new = NewTopic(plan.name, partitions, replication, config=plan.config)
        try:
            self._admin.create_topics([new])[plan.name].result(_TIMEOUT_S)
        except KafkaException as error:
            raise kafka_error(self._bootstrap, f"make topic {plan.name}", error) from error

    def settled(self, made: Mapping[str, int], within_s: float = 30.0) -> dict[str, int]:
        """Return `partitions` once brokers report all topics `made`: they learn one by one.

        Raises StoreError where that takes longer than `within_s`.
        """
        until = time.monotonic() + within_s
        while True:
            found = self.partitions()
            unknown = [name for name, count in made.items() if found.get(name) != count]
            if not unknown:
                return found
            if time.monotonic() >= until:
                raise StoreError(
                    f"expected the brokers at {self._bootstrap} to know {', '.join(unknown)} "
                    f"{within_s:g} s after it was made, did not: are they well? "
                    "`crossdock topics` looks again"
                )
            time.sleep(_POLL_S)

    def config(self, topic: str) -> dict[str, str]:
        """Return settings of a topic; empty where the user may not see them."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        try:
            found: Any = self._admin.describe_configs([resource])[resource].result(_TIMEOUT_S)
        except KafkaException:
            return {}
        return {name: str(entry.value) for name, entry in found.items()}

    def identity(self, topic: str) -> str:
        """Name the journal in `topic`: twelve hex digits over what makes its positions unique.

        A topic made again has another id; another number of partitions puts networks elsewhere.
        Brokers that give topics no id (before 2.8) are distinguished by their cluster's id only.
        """
        try:
            described: Any = self._admin.describe_topics(TopicCollection([topic]))[topic].result(
                _TIMEOUT_S
            )
            found = self._admin.list_topics(topic, timeout=_TIMEOUT_S)
        except KafkaException as error:
            raise kafka_error(self._bootstrap, f"describe topic {topic}", error) from error
        own = f"{described.topic_id}" if described.topic_id is not None else found.cluster_id
        return fingerprint(f"{own} {topic} {len(found.topics[topic].partitions)}".encode())


def problems(
    plans: Sequence[TopicPlan], partitions: dict[str, int], configs: dict[str, dict[str, str]]
) -> list[str]:
    """Return what is wrong with the topics there are, each with what to do."""
    wrong = []
    for plan in plans:
        found = partitions.get(plan.name)
        if found is None:
            wrong.append(
                f"expected topic {plan.name} ({plan.purpose}), was absent: "
                "`crossdock topics --create` makes it"
            )
            continue
        if plan.partitions is not None and found != plan.partitions:
            wrong.append(
                f"expected topic {plan.name} ({plan.purpose}) to have {plan.partitions} "
                f"partitions, was {found}: correct `topics.partitions` in the settings, which has "
                "to be what the topic was made with"
            )
        policy = configs.get(plan.name, {}).get("cleanup.policy")
        if policy is not None and policy != plan.config.get("cleanup.policy", policy):
            wrong.append(
                f"expected topic {plan.name} ({plan.purpose}) to have cleanup.policy "
                f"{plan.config['cleanup.policy']}, was {policy}: alter the topic"
            )
        largest = configs.get(plan.name, {}).get(_LARGEST)
        if largest is not None and int(largest) < int(plan.config.get(_LARGEST, 0)):
            wrong.append(
                f"expected topic {plan.name} ({plan.purpose}) to have {_LARGEST} of at least "
                f"{plan.config[_LARGEST]}, was {largest}: alter the topic"
            )
    return wrong


def warnings(plans: Sequence[TopicPlan], configs: dict[str, dict[str, str]]) -> list[str]:
    """Return what works but will be regretted."""
    found = []
    for plan in plans:
        kept = configs.get(plan.name, {}).get("retention.ms")
        if kept not in (None, _FOR_EVER) and plan.config.get("retention.ms") == _FOR_EVER:
            found.append(
                f"topic {plan.name} ({plan.purpose}) deletes messages after {int(kept) / 3.6e6:g} "
                "h: an engine that loses its state cannot work it out again from there "
                "(record the journal, or set retention.ms to -1)"
            )
    return found


def require(topics: KafkaTopics, plans: Sequence[TopicPlan]) -> list[str]:
    """Check the topics; return warnings, raise StoreError with all that is wrong."""
    partitions = topics.partitions()
    configs = {p.name: topics.config(p.name) for p in plans if p.name in partitions}
    wrong = problems(plans, partitions, configs)
    if wrong:
        raise StoreError("; ".join(wrong))
    return warnings(plans, configs)
