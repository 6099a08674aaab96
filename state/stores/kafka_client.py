"""Kafka clients: their configuration, and messages when Kafka fails."""

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from state.errors import StoreError
from state.settings import KafkaSettings

_PROTOCOLS = {
    "plaintext": "PLAINTEXT",
    "tls": "SSL",
    "sasl_plaintext": "SASL_PLAINTEXT",
    "sasl_tls": "SASL_SSL",
}
_ADVICE = {
    KafkaError._ALL_BROKERS_DOWN: "is it running and reachable from here?",
    KafkaError._TRANSPORT: "is it running and reachable from here?",
    KafkaError._TIMED_OUT: "is it running and reachable from here?",
    KafkaError._RESOLVE: "check the host's name",
    KafkaError._AUTHENTICATION: "check user, password and mechanism",
    KafkaError.SASL_AUTHENTICATION_FAILED: "check user, password and mechanism",
    KafkaError._SSL: "check `ca`, and that the listener speaks TLS",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the user may not use this topic: see docs/security.md",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "the user may not use this group: see docs/security.md",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "the user lacks a right: see docs/security.md",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: (
        "the user may not use this transactional id: see docs/security.md"
    ),
    KafkaError.COORDINATOR_NOT_AVAILABLE: (
        "are there as many brokers as its transaction.state.log.replication.factor?"
    ),
    KafkaError.UNKNOWN_TOPIC_OR_PART: "`crossdock topics --create` makes the topics",
    KafkaError._UNKNOWN_TOPIC: "`crossdock topics --create` makes the topics",
    KafkaError._UNKNOWN_PARTITION: "has the topic been made again?",
}
#: Errors that waiting does not cure: the process ends with a message instead.
_HOPELESS = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
}

#: Takes a warning, as text, on a client's connections.
Warn = Callable[[str], object]


def client_config(settings: KafkaSettings, **more: Any) -> dict[str, Any]:
    """Return the settings of every librdkafka client of ours, with `more` on top.

    Raises SettingsError if a secret is missing.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap,
        "client.id": "crossdock",
        "security.protocol": _PROTOCOLS[settings.security],
        # Quick to come back: brokers restart all the time, and parcels wait.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "topic.metadata.refresh.interval.ms": 30_000,
        "socket.keepalive.enable": True,
        "socket.nagle.disable": True,
        # Else it writes to standard error, where our own structured log goes.
        "log_level": 0,
    }
    if settings.security.startswith("sasl"):
        config["sasl.mechanisms"] = settings.mechanism
        if settings.user is not None:
            user = settings.user
            config["sasl.username"] = user if isinstance(user, str) else user.read()
        if settings.password is not None:
            config["sasl.password"] = settings.password.read()
    for name, path in (
        ("ssl.ca.location", settings.ca),
        ("ssl.certificate.location", settings.certificate),
        ("ssl.key.location", settings.key),
    ):
        if path is not None:
            config[name] = str(path)
    if settings.key_password is not None:
        config["ssl.key.password"] = settings.key_password.read()
    return {**config, **more}


def kafka_error(bootstrap: str, doing: str, error: KafkaError | KafkaException) -> StoreError:
    """Return the StoreError for `error`, met while `doing`: where, Kafka's message, what to do."""
    if isinstance(error, KafkaException):
        found = error.args[0]
        if not isinstance(found, KafkaError):
            return StoreError(f"could not {doing} at Kafka {bootstrap}: {found}")
        error = found
    advice = _ADVICE.get(error.code())
    return StoreError(
        f"could not {doing} at Kafka {bootstrap}: {error.str().rstrip('. ')}"
        + (f"; {advice}" if advice else "")
    )


def is_hopeless(error: KafkaError) -> bool:
    """Return whether waiting cannot cure it."""
    return error.fatal() or error.code() in _HOPELESS


class Troubles:
    """Background reports of a client; hopeless errors are kept to be raised."""

    def __init__(self, bootstrap: str, warn: Warn | None) -> None:
        self._bootstrap, self._warn = bootstrap, warn
        self._hopeless: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Take an error in; fits as librdkafka's ``error_cb``."""
        if is_hopeless(error):
            self._hopeless = error
        if self._warn is not None:
            self._warn(f"Kafka {self._bootstrap}: {error.str()}")

    def raise_hopeless(self, doing: str) -> None:
        """Raise StoreError if an error was reported that waiting does not cure."""
        if self._hopeless is not None:
            raise kafka_error(self._bootstrap, doing, self._hopeless)
