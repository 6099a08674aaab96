"""Deployment settings: one TOML file for Kafka, Redis, topics, feeds and folders.

It says where things are, never what is decided: that is the policy. Defaults suit one machine.
Secrets are named here, by environment variable or file, and read when they are needed.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, field

from state.errors import SettingsError
from state.feed_settings import FeedSettings
from state.quantities import DAY_MS, NetworkId, doc
from state.section import Section
from state.wrong_value import wrong_value

_TopicName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
_Port = Annotated[int, Meta(ge=0, le=65_535)]
_NEVER_MS = 2**62
_PositiveSeconds = Annotated[float, Meta(gt=0, le=86_400)]


class Secret(Section, frozen=True, kw_only=True):
    """Reference to a secret: an environment variable, or a file."""

    #: A value written in its place by mistake is not shown.
    is_secret: ClassVar[bool] = True

    env: str | None = None
    file: str | None = None

    def read(self) -> str:
        """Return the secret; raise SettingsError if it is not there. The message never holds it."""
        if self.env is not None:
            value = os.environ.get(self.env)
            if not value:
                raise SettingsError(f"expected a secret in the environment variable {self.env}")
            return value
        if self.file is not None:
            try:
                return Path(self.file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(
                    f"expected a secret in the file {self.file}, was {type(error).__name__}"
                ) from error
        raise SettingsError("expected a secret to name `env` or `file`, was neither")


class KafkaSettings(Section, frozen=True, kw_only=True):
    """Addresses of the brokers, and how to connect to them."""

    bootstrap: Annotated[str, doc("host:port, several by comma")] = "127.0.0.1:9092"
    security: Annotated[
        Literal["plaintext", "tls", "sasl_plaintext", "sasl_tls"],
        doc("sasl_plaintext sends the password in the clear: on loopback only"),
    ] = "plaintext"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    user: Annotated[
        str | Secret | None, doc("a name, or where it is found: each component may have its own")
    ] = None
    password: Secret | None = None
    ca: Annotated[str | None, doc("PEM of the authority; the system's if none")] = None
    certificate: Annotated[str | None, doc("PEM of our own certificate")] = None
    key: Annotated[str | None, doc("PEM of its key")] = None
    key_password: Secret | None = None


class TopicSettings(Section, frozen=True, kw_only=True):
    """Names of our own topics, and their properties."""

    journal: _TopicName = "crossdock.journal"
    dead_letters: _TopicName = "crossdock.dead-letters"
    actions: Annotated[
        _TopicName | Literal[""], doc("actions as Kafka messages; empty: Redis only")
    ] = "crossdock.actions"
    networks: Annotated[_TopicName, doc("names of all networks seen; compacted")] = (
        "crossdock.networks"
    )
    partitions: Annotated[
        int, Meta(ge=1, le=1_000), doc("of the journal and of the actions; never to be changed")
    ] = 1
    replication: Annotated[int, Meta(ge=1, le=15)] = 1


class RedisSettings(Section, frozen=True, kw_only=True):
    """Address and limits of the Redis that actions go to."""

    url: Annotated[str, doc("redis://, rediss:// (TLS) or unix://, without a password")] = (
        "redis://127.0.0.1:6379/0"
    )
    user: str | None = None
    password: Secret | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    prefix: Annotated[str, doc("first part of all keys")] = "crossdock"
    keep_days: Annotated[
        float,
        Meta(ge=0, le=36_500),
        doc("days, by the journal's time, that entries are kept; 0 keeps all"),
    ] = 7.0
    unread_days: Annotated[
        float,
        Meta(ge=0, le=36_500),
        doc("days that those are kept which a consumer group has not acknowledged; then lost"),
    ] = 14.0
    keep: Annotated[
        int,
        Meta(ge=0),
        doc(
            "about how many of the newest actions per stream, read or not; 0 for no such bound "
            "(proposals are bounded by days alone)"
        ),
    ] = 0

    @property
    def keep_ms(self) -> int:
        """Return `keep_days` in ms; a time that never comes where all is kept."""
        return round(self.keep_days * DAY_MS) if self.keep_days else _NEVER_MS

    @property
    def unread_ms(self) -> int:
        """Return `unread_days` in ms; a time that never comes where all is kept."""
        return round(self.unread_days * DAY_MS) if self.keep_days else _NEVER_MS


class IngestSettings(Section, frozen=True, kw_only=True):
    """Ingest: raw topics into the journal."""

    group: Annotated[str, doc("consumer group that keeps the progress")] = "crossdock-ingest"
    stamp: Annotated[
        Literal["now", "keep"],
        doc("recordedtime: when it is ingested, or as the producer says (for back-fills)"),
    ] = "now"
    tick_s: Annotated[float, Meta(ge=0, le=3_600), doc("s between clock ticks; 0 for none")] = 1.0
    commit_s: Annotated[_PositiveSeconds, doc("s between commits of the progress")] = 1.0
    networks: Annotated[tuple[NetworkId, ...], doc("the only networks let in; empty: any")] = ()
    most_networks: Annotated[
        int, Meta(ge=1), doc("networks with reference data that are let in at most")
    ] = 1_000
    quarantine_s: Annotated[
        float,
        Meta(ge=0, le=3_600),
        doc("s that events of a network without reference data wait for it, at most"),
    ] = 10.0
    rate: Annotated[int, Meta(ge=0), doc("raw messages per s read at most; 0 for no bound")] = 0


class RunSettings(Section, frozen=True, kw_only=True):
    """Operation of the engine."""

    state: Annotated[str, doc("folder of the recovery stores, one per journal partition")] = (
        "crossdock-state"
    )
    policy: Annotated[str | None, doc("the policy that the journal begins with")] = None
    epoch_s: Annotated[
        _PositiveSeconds, doc("s between checkpoints; a crash does up to two of them again")
    ] = 30.0
    stop_s: Annotated[_PositiveSeconds, doc("s that a stop may take before it is cut short")] = 25.0


class RecordSettings(Section, frozen=True, kw_only=True):
    """Recording of the journal to files."""

    folder: str = "crossdock-recording"
    rotate_mb: Annotated[float, Meta(gt=0), doc("MB of messages per file")] = 256.0
    rotate_s: Annotated[_PositiveSeconds, doc("s per file at most")] = 3_600.0


class MonitorSettings(Section, frozen=True, kw_only=True):
    """Metrics and health over HTTP."""

    host: Annotated[str, doc("loopback unless something else protects it")] = "127.0.0.1"
    port: Annotated[
        _Port, doc("run adds the partition's number, ingest takes the port behind them; 0: none")
    ] = 9464
    ready_lag: Annotated[int, Meta(ge=0), doc("records behind at which it is not ready")] = 10_000
    stuck_s: Annotated[_PositiveSeconds, doc("s without a turn of the loop that is ill")] = 60.0


class Settings(Section, frozen=True, kw_only=True):
    """A whole deployment."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    topics: TopicSettings = field(default_factory=TopicSettings)
    redis: RedisSettings = field(default_factory=RedisSettings)
    feeds: tuple[FeedSettings, ...] = field(
        default_factory=lambda: tuple(
            FeedSettings(topic=topic) for topic in ("inventory", "telemetry", "demand", "control")
        )
    )
    ingest: IngestSettings = field(default_factory=IngestSettings)
    run: RunSettings = field(default_factory=RunSettings)
    record: RecordSettings = field(default_factory=RecordSettings)
    monitor: MonitorSettings = field(default_factory=MonitorSettings)


def parse_settings(document: dict[str, Any], origin: str) -> Settings:
    """Check parsed settings; raises SettingsError that names the key and `origin`."""
    try:
        settings = msgspec.convert(document, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{wrong_value(error, document, Settings)}, in {origin}") from error
    topics = [feed.topic for feed in settings.feeds]
    ours = (
        *(settings.topics.journal, settings.topics.dead_letters),
        *(settings.topics.actions, settings.topics.networks),
    )
    for topic in topics:
        if topics.count(topic) > 1:
            raise SettingsError(f"expected one feed per topic, was {topic!r} twice, in {origin}")
        if topic in ours:
            raise SettingsError(f"expected feeds beside our own topics, was {topic!r}, in {origin}")
    for feed in settings.feeds:
        feed.check(origin)
    redis = settings.redis
    if redis.keep_days and redis.unread_days < redis.keep_days:
        raise SettingsError(
            f"expected redis.unread_days of at least redis.keep_days ({redis.keep_days:g}), was "
            f"{redis.unread_days:g}, in {origin}"
        )
    return settings


def load_settings(path: Path) -> Settings:
    """Read a TOML file; raises SettingsError with the file, and the line or the key."""
    try:
        return parse_settings(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"expected a readable settings file, was {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"expected TOML, was {error}, in {path}") from error
