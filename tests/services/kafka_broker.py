"""A real Kafka (KRaft) whose brokers a test may kill, pause and start again."""

import base64
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from uuid import uuid4

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.services import (
    HOST,
    POLL_S,
    PORTS_TRIED,
    Certificates,
    Child,
    ServiceError,
    answers,
    free_ports,
    make_certificates,
)
from tests.services.kafka_artifacts import KafkaMissing, find_java, kafka_jars

#: Starts fast and stays small; for a benchmark of the broker itself leave out the second line.
SMALL_JVM = (
    *("-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.awt.headless=true"),
    *("-XX:TieredStopAtLevel=1",),
)
# The last of several nodes never end in order: no majority is there to report it to.
_STOP_S = 3.0
_TAKEN = "Address already in use"

_LOG4J = """\
log4j.rootLogger=INFO, stdout
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=%d{ISO8601} %p %m (%c{1})%n
"""

#: Kafka's defaults are for a cluster that is started once a year.
_SETTINGS = {
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # A killed broker is let in again only when its old session has run out: 9 s by default.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "400",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "4194304",  # 128 MB by default, of a heap of 384
}

_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclass
class _Node:
    number: int
    port: int
    controller_port: int
    secure_port: int
    directory: Path
    child: Child

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"


class KafkaBroker:
    """A cluster of `nodes` brokers (each a controller too) on 127.0.0.1.

    In a ``with`` block, nothing is left of it afterwards. With ``start`` and ``stop``, data and
    ports are kept from one to the next, until ``close``. Nodes are counted from 0.

    `security="sasl_tls"` adds a second listener, `secure_bootstrap`: TLS by a CA of its own (`ca`),
    SCRAM-SHA-512 with `user` and `password`, see `secure_config`. With `acls`, only that user, and
    whoever uses the plain listener, may do anything at all before ``create_acls``.

    `settings` are properties of the brokers, over those for tests; `jvm` are options of Java.
    `directory` takes data and logs instead of a temporary directory, and is kept.
    """

    def __init__(
        self,
        *,
        nodes: int = 1,
        security: Literal["plain", "sasl_tls"] = "plain",
        acls: bool = False,
        settings: Mapping[str, str] | None = None,
        jvm: Sequence[str] = SMALL_JVM,
        directory: Path | None = None,
        start_timeout_s: float = 180.0,
    ) -> None:
        self._count = nodes
        self._secured = security == "sasl_tls"
        self._acls = acls
        self._settings = dict(settings or {})
        self._jvm = tuple(jvm)
        self._directory = None if directory is None else directory.resolve()
        self._timeout_s = start_timeout_s
        self._temporary: Path | None = None
        self._nodes: list[_Node] = []
        self._certificates: Certificates | None = None
        self.user = "crossdock"
        self.password = secrets.token_urlsafe(16)

    @property
    def bootstrap(self) -> str:
        """Return the plain listeners, ``127.0.0.1:PORT,...``, the same until `close`."""
        return ",".join(node.address for node in self._started())

    @property
    def secure_bootstrap(self) -> str:
        """Return the SASL_SSL listeners."""
        self._require_secured()
        return ",".join(f"{HOST}:{node.secure_port}" for node in self._started())

    @property
    def ca(self) -> Path:
        """Return the PEM file of the CA that signed for the SASL_SSL listeners."""
        self._require_secured()
        self._started()
        assert self._certificates is not None
        return self._certificates.ca

    def secure_config(
        self, user: str | None = None, password: str | None = None
    ) -> dict[str, str | int | float | bool]:
        """Return the settings of a SASL_SSL client; as `self.user` unless given."""
        return {
            "bootstrap.servers": self.secure_bootstrap,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": self.user if user is None else user,
            "sasl.password": self.password if password is None else password,
            "ssl.ca.location": str(self.ca),
        }

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the nodes that do not run, wait until the cluster is whole.

        Raises KafkaMissing where there is no Java or no Kafka, ServiceError with a broker's own
        last words where it does not start.
        """
        java, jars = find_java(), kafka_jars()
        if self._nodes:
            self._launch()
            return
        for attempt in range(1, PORTS_TRIED + 1):
            self._lay_out(java, jars, attempt)
            try:
                self._launch()
                break
            except ServiceError:
                taken = any(_TAKEN in node.child.last_words(50) for node in self._nodes)
                self._forget()
                if not taken or attempt == PORTS_TRIED:
                    raise
        if self._secured:
            self.add_user(self.user, self.password)

    def stop(self) -> None:
        """Shut all nodes down in order; a later `start` continues with their data."""
        for node in reversed(self._nodes):
            node.child.end(_STOP_S)

    def close(self) -> None:
        """Kill all nodes and remove what is temporary."""
        self._forget()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def kill(self, node: int = 0) -> None:
        """Send SIGKILL to a node, and wait until it is gone."""
        self._started()[node].child.kill()

    def pause(self, node: int = 0) -> None:
        """Send SIGSTOP to a node: connections to it stay open, without an answer.

        The other nodes take it for dead after two seconds.
        """
        self._started()[node].child.pause()

    def resume(self, node: int = 0) -> None:
        """Send SIGCONT to a node."""
        self._started()[node].child.resume()

    def restart(self, node: int = 0, *, wait: bool = True) -> None:
        """Start a node again on its ports and data, killed first if it still runs.

        That takes some three seconds: its old session must have run out. Do not `wait` for a
        node that cannot get ready because most of the others are dead.
        """
        chosen = self._started()[node]
        chosen.child.kill()
        chosen.child.start()
        if wait:
            self._wait(chosen, others=0)

    def pid(self, node: int = 0) -> int:
        """Return the process id of a node. Raises ServiceError if it does not run."""
        return self._started()[node].child.pid

    def rss_mb(self, node: int = 0) -> float:
        """Return the resident memory of a node in MB."""
        return self._started()[node].child.rss_mb()

    def log(self, node: int = 0) -> Path:
        """Return the file with a node's output since it was made."""
        return self._started()[node].child.log

    def add_user(self, name: str, password: str) -> None:
        """Let `name` in at the SASL_SSL listeners; with `acls`, without any right."""
        self._require_secured()
        credential = UserScramCredentialUpsertion(
            name, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), password.encode()
        )
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for done in admin.alter_user_scram_credentials([credential]).values():
            done.result(60)
        # The controller knows it now; each broker learns of it a moment later.
        for node in self._nodes:
            config = self.secure_config(name, password)
            config["bootstrap.servers"] = f"{HOST}:{node.secure_port}"
            AdminClient({**config, "log_level": 0}).list_topics(timeout=60)

    def _started(self) -> list[_Node]:
        if not self._nodes:
            raise ServiceError("expected a started Kafka, was never started or is closed")
        return self._nodes

    def _require_secured(self) -> None:
        if not self._secured:
            raise ServiceError("expected KafkaBroker(security='sasl_tls'), was 'plain'")

    def _forget(self) -> None:
        for node in self._nodes:
            node.child.kill()
        self._nodes = []

    def _lay_out(self, java: str, jars: Path, attempt: int) -> None:
        if self._directory is None and self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="crossdock-kafka-"))
        root = self._directory or self._temporary
        assert root is not None
        if self._secured and self._certificates is None:
            self._certificates = make_certificates(root / "tls")
        cluster = base64.urlsafe_b64encode(uuid4().bytes)[:22].decode()
        ports = iter(free_ports(3 * self._count))
        made = []
        for number in range(self._count):
            home = root / f"node-{number}" / f"start-{attempt}"
            (home / "data").mkdir(parents=True)
            # All that `kafka-storage format` would write, without a JVM for it.
            (home / "data" / "meta.properties").write_text(
                f"version=1\ncluster.id={cluster}\nnode.id={number}\n"
            )
            (home / "log4j.properties").write_text(_LOG4J)
            command: list[str | Path] = [
                *(java, *self._jvm, f"-Dlog4j.configuration=file:{home / 'log4j.properties'}"),
                *("-cp", f"{jars}/*", "kafka.Kafka", home / "server.properties"),
            ]
            child = Child(command, home / "broker.log")
            made.append(_Node(number, next(ports), next(ports), next(ports), home, child))
        self._nodes = made
        for node in made:
            lines = (f"{key}={value}\n" for key, value in self._properties(node).items())
            (node.directory / "server.properties").write_text("".join(lines))

    def _properties(self, node: _Node) -> dict[str, str]:
        listeners = {"PLAINTEXT": node.port}
        if self._secured:
            listeners["SASL_SSL"] = node.secure_port
        advertised = ",".join(f"{name}://{HOST}:{port}" for name, port in listeners.items())
        protocols = {"CONTROLLER": "PLAINTEXT", "PLAINTEXT": "PLAINTEXT", "SASL_SSL": "SASL_SSL"}
        copies = str(min(self._count, 3))
        properties = {
            "process.roles": "broker,controller",
            "node.id": str(node.number),
            "controller.quorum.voters": ",".join(
                f"{peer.number}@{HOST}:{peer.controller_port}" for peer in self._nodes
            ),
            "listeners": f"{advertised},CONTROLLER://{HOST}:{node.controller_port}",
            "advertised.listeners": advertised,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in protocols.items()),
            "log.dirs": str(node.directory / "data"),
            "default.replication.factor": copies,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            **_SETTINGS,
        }
        if self._certificates is not None:
            properties |= {
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": _SCRAM,
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(self._certificates.both),
            }
        if self._acls:
            properties |= {
                "authorizer.class.name": (
                    "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
                ),
                "super.users": f"User:ANONYMOUS;User:{self.user}",
            }
        return properties | self._settings

    def _launch(self) -> None:
        for node in self._nodes:
            if not node.child.runs:
                node.child.start()
        for node in self._nodes:
            self._wait(node, others=self._count - 1)

    def _wait(self, node: _Node, *, others: int) -> None:
        """Wait until `node` serves clients and knows of `others` at least."""
        until = time.monotonic() + self._timeout_s
        admin: AdminClient | None = None
        while time.monotonic() < until:
            if not node.child.runs:
                raise ServiceError(
                    f"Kafka's node {node.number} ended with code {node.child.exit_code} at its "
                    f"start: {node.child.last_words(4)}"
                )
            if admin is None and answers(node.port):
                admin = AdminClient({"bootstrap.servers": node.address, "log_level": 0})
            if admin is not None:
                try:
                    known = admin.list_topics(timeout=1).brokers
                except KafkaException:
                    known = {}
                if node.number in known and len(known) > others:
                    return
            time.sleep(POLL_S)
        raise ServiceError(
            f"expected Kafka's node {node.number} to be ready within {self._timeout_s:g} s, "
            f"it was not: {node.child.last_words(4)}"
        )


@contextmanager
def mock_broker(brokers: int = 1) -> Iterator[str]:
    """Yield the bootstrap servers of the broker inside librdkafka, for a machine without Java.

    It keeps messages, groups and transactions in memory. A topic comes into being, with four
    partitions, when it is first asked for. It has no controller: nearly all that an AdminClient
    asks for (create_topics, describe_topics, describe_cluster, ...) times out.
    """
    server = Producer({"test.mock.num.brokers": brokers, "log_level": 3})
    found = server.list_topics(timeout=60).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in found)
    server.flush(0)  # the cluster lives as long as this client does


@dataclass(frozen=True)
class KafkaCluster:
    """A cluster as `kafka_cluster` found it; `broker` only if it is `real` and ours."""

    bootstrap: str
    kind: Literal["given", "real", "mock"]
    broker: KafkaBroker | None = None


@contextmanager
def kafka_cluster() -> Iterator[KafkaCluster]:
    """Yield the best Kafka to be had here.

    That of KAFKA_BOOTSTRAP_SERVERS if set; else a real one of our own; else, where Java or Maven
    are missing, librdkafka's mock, said on stderr. With CI set, that is a KafkaMissing instead.
    """
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield KafkaCluster(given, "given")
        return
    try:
        find_java()
        kafka_jars()
    except KafkaMissing as error:
        if os.environ.get("CI"):
            raise
        print(f"no real Kafka, using librdkafka's mock: {error}", file=sys.stderr)  # noqa: T201
        with mock_broker() as bootstrap:
            yield KafkaCluster(bootstrap, "mock")
        return
    with KafkaBroker() as broker:
        yield KafkaCluster(broker.bootstrap, "real", broker)
