"""The parts of a deployment hold together: images, settings, metrics, alerts, rights, words."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import typer
import yaml
from prometheus_client import CollectorRegistry

from flows.cli.app import app
from flows.live.metrics import IngestMetrics, RunMetrics
from flows.live.share import parse_share
from state.quantities import to_ms
from state.settings import Settings, load_settings
from state.stores.redis_connection import connect
from state.stores.redis_consumer import ActionConsumer, GiveUp
from state.stores.redis_failed import failed, retry_failed
from state.stores.redis_follow import follow
from state.stores.redis_keys import stream_key
from state.stores.redis_once import Once
from state.stores.redis_retention import Retention
from tests.places import ROOT
from tests.redis.test_redis_actions import NOON, a_writer, an_action, an_entry
from tests.services.redis_server import RedisServer

DOCKER, DOCS = ROOT / "docker", ROOT / "docs"
KUBERNETES = DOCKER / "kubernetes"
FILES = sorted(
    path
    for path in (*DOCKER.rglob("*"), DOCS / "operations.md", DOCS / "security.md")
    if path.is_file() and "secrets" not in path.parts
)
#: Documents whose shell examples are typed by people.
TYPED = (DOCS / "operations.md", DOCS / "security.md", KUBERNETES / "README.md")
#: Files of containers, and words that stand for files in examples.
_A_FILE = re.compile(r"/(etc|run|data)/.*|FILE|recording|.*\.(toml|jsonl)")
_METRIC = re.compile(r"\bcrossdock_[a-z_]+")


def documents(path: Path) -> list[Any]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]


def compose() -> Any:
    return documents(DOCKER / "compose.yaml")[0]


def services() -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"]
    return found


_KAFKA_USERS = {
    "run": "crossdock-run",
    "ingest": "crossdock-ingest",
    "topics": "crossdock-setup",
}


def workloads() -> dict[str, Any]:
    """Return the pods' owners, by name."""
    each = (d for path in KUBERNETES.glob("*.yaml") for d in documents(path))
    return {d["metadata"]["name"]: d for d in each if "template" in d.get("spec", {})}


def containers() -> Iterator[tuple[str, Any, Any]]:
    """Yield owner's name, pod and container."""
    for name, owner in workloads().items():
        pod = owner["spec"]["template"]["spec"]
        for container in pod["containers"]:
            yield name, pod, container


def seconds(text: str) -> int:
    assert re.fullmatch(r"\d+s", text)
    return int(text[:-1])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_parses_and_names_no_registry(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".yaml" | ".yml":
            assert documents(path)
        case ".json":
            json.loads(text)
        case ".toml":
            tomllib.loads(text)
    assert not re.search(r"(image:|FROM) \S+\.[a-z]+/|:latest\b", text)


@pytest.mark.parametrize("path", [DOCKER, KUBERNETES], ids=["compose", "kubernetes"])
def test_settings_are_valid_and_name_their_secrets_by_file(path: Path) -> None:
    settings = load_settings(path / "crossdock.toml")
    assert [feed.topic for feed in settings.feeds] == [f.topic for f in Settings().feeds]
    assert str(settings.run.state) == "/var/lib/crossdock"
    for secret in (settings.kafka.password, settings.redis.password):
        assert secret is None or str(secret.file).startswith("/run/secrets/")


def test_compose_containers_are_confined() -> None:
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        user, _, _ = service["user"].partition(":")
        assert int(user) > 0, name
        assert {"mem_limit", "cpus", "pids_limit", "restart"} <= set(service), name
        assert "privileged" not in service and "network_mode" not in service, name
        assert service["restart"] == "no" or "healthcheck" in service, name


def test_compose_publishes_on_loopback_only() -> None:
    published = [port for service in services().values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_compose_volumes_secrets_and_configs_are_declared_and_used() -> None:
    whole = compose()
    mounts = [m.split(":") for s in services().values() for m in s.get("volumes", ())]
    named = {mount[0] for mount in mounts if not mount[0].startswith(".")}
    assert named == set(whole["volumes"])
    for source in (mount[0] for mount in mounts if mount[0].startswith(".")):
        assert (DOCKER / source).exists(), source
    used = {secret for s in services().values() for secret in s.get("secrets", ())}
    assert used == set(whole["secrets"])
    assert all((DOCKER / each["file"]).is_file() for each in whole["configs"].values())


def test_images_are_named_by_version() -> None:
    images = [service["image"] for service in services().values()]
    images += re.findall(r"^FROM (\S+)", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    for image in images:
        name, _, tag = image.partition(":")
        assert re.search(r"\d+\.\d+", tag), image
        assert "." not in name and len(name.split("/")) <= 2, f"{image} names a registry"
    tags = {each["name"]: each["newTag"] for each in kustomization()["images"]}
    assert {container["image"] for _, _, container in containers()} == set(tags)
    assert f"crossdock:{tags['crossdock']}" in images


def test_a_stop_is_given_the_time_it_may_take() -> None:
    stop_s = load_settings(DOCKER / "crossdock.toml").run.stop_s
    for name in ("ingest", "run"):
        assert seconds(services()[name]["stop_grace_period"]) > stop_s
    stop_s = load_settings(KUBERNETES / "crossdock.toml").run.stop_s
    for name in ("crossdock-ingest", "crossdock-run"):
        pod = workloads()[name]["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] > stop_s


def test_the_image_runs_as_the_user_that_its_containers_are_told_to_be() -> None:
    users = re.findall(r"^USER (\S+)", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert users == ["10001:10001"]
    for service in services().values():
        if service["image"].startswith("crossdock:"):
            assert service["user"] == users[0]


def kustomization() -> Any:
    return documents(KUBERNETES / "kustomization.yaml")[0]


def test_kubernetes_base_names_its_files() -> None:
    whole = kustomization()
    assert "namespace" not in whole
    listed = {*whole["resources"], "kustomization.yaml", "service-monitor.yaml"}
    assert listed == {path.name for path in KUBERNETES.glob("*.yaml")}


def test_pods_are_confined() -> None:
    assert set(workloads()) == {"crossdock-topics", "crossdock-ingest", "crossdock-run"}
    for name, pod, container in containers():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == 10001, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"], name
    policy = documents(KUBERNETES / "network-policy.yaml")[0]["spec"]
    assert policy["podSelector"]["matchExpressions"][0]["values"] == [
        "crossdock-run",
        "crossdock-ingest",
        "crossdock-topics",
    ]


def test_each_pod_has_one_partition_and_the_port_that_is_asked(tmp_path: Path) -> None:
    settings = load_settings(KUBERNETES / "crossdock.toml")
    count, run = settings.topics.partitions, workloads()["crossdock-run"]["spec"]
    assert run["replicas"] == count
    pod = run["template"]["spec"]
    arguments, ports = pod["containers"][0]["args"], pod["containers"][0]["ports"]
    share = arguments[arguments.index("--share") + 1]
    for number in range(count):
        name = f"crossdock-run-{number}"
        mine = parse_share(share.replace("$(POD_NAME)", name)).of(count)
        assert mine == [number]
    assert arguments[-1] == str(ports[0]["containerPort"])
    assert settings.redis.user == "crossdock-run"
    for name, user in _KAFKA_USERS.items():
        pod = workloads()[f"crossdock-{name}"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        told = {each["name"]: each.get("value") for each in container["env"]}
        assert told["CROSSDOCK_KAFKA_USER"] == user
        assert told["CROSSDOCK_CONFIG"] == "/etc/crossdock/crossdock.toml"
        assert f"User:{user} " in (DOCS / "security.md").read_text()
        if name == "ingest":
            assert container["args"][-1] == str(container["ports"][0]["containerPort"])
    assert settings.monitor.host == "0.0.0.0"


def check_command(words: list[str], folder: Path) -> None:
    """Raise what the command line raises if there is no such command, option or value."""
    some_file = folder / "some-file"
    some_file.touch()
    command: Any = typer.main.get_command(app)
    left = [str(some_file) if _A_FILE.fullmatch(word) else word for word in words]
    while hasattr(command, "commands"):
        command = command.commands[left.pop(0)]
    command.make_context("crossdock", left)


def filled_in(text: str) -> str:
    """Return the text with each `${NAME:-default}` as its default."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_containers_run_real_commands(tmp_path: Path) -> None:
    checked = 0
    for service in services().values():
        if service["image"].startswith("crossdock:"):
            check_command([filled_in(str(word)) for word in service["command"]], tmp_path)
            checked += 1
    for _, _, container in containers():
        if "command" not in container:
            check_command(container["args"], tmp_path)
            checked += 1
    assert checked == 8


def test_documents_name_real_commands(tmp_path: Path) -> None:
    blocks, sentences = list[str](), list[str]()
    for path in TYPED:
        text = path.read_text().replace("\\\n", " ")
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            blocks += [line for line in block.splitlines() if line.startswith("crossdock ")]
        sentences += re.findall(r"`(crossdock [a-z][^`…]*)`", text.replace("\n", " "))
    assert len(blocks) > 10 and len(sentences) > 10
    for line in blocks:
        check_command(shlex.split(line, comments=True)[1:], tmp_path)
    for line in sentences:
        try:
            check_command(shlex.split(line)[1:], tmp_path)
        except Exception as error:
            # In a sentence, arguments may be left out.
            if not re.search(r"Missing|requires an argument", f"{type(error).__name__} {error}"):
                raise AssertionError(line) from error


def sample_names(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Return names that a query may use, with their labels (None declared: empty)."""
    found: dict[str, set[str]] = {}
    for collector in registry._collector_to_names:
        labels = set(getattr(collector, "_labelnames", ()))
        for metric in collector.describe() if hasattr(collector, "describe") else ():
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
            for suffix in suffixes.get(metric.type, ("",)):
                found[metric.name + suffix] = labels
    return found


def expressions() -> Iterator[tuple[str, str]]:
    rules = documents(DOCKER / "prometheus" / "alerts.yml")[0]["groups"][0]["rules"]
    for rule in rules:
        yield rule["alert"], rule["expr"]
    board = json.loads((DOCKER / "grafana" / "crossdock.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in board["templating"]["list"]:
        yield variable["name"], variable["definition"]


def test_queries_ask_for_metrics_that_there_are() -> None:
    ours = sample_names(RunMetrics().registry) | sample_names(IngestMetrics().registry)
    asked: set[str] = set()
    for where, expression in expressions():
        names = set(_METRIC.findall(expression))
        assert names <= set(ours), f"{where}: {names - set(ours)}"
        asked |= names
    # And all that is measured is shown: a histogram by one of its parts.
    base = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours} == base


def test_queries_group_by_labels_that_there_are() -> None:
    ours = sample_names(RunMetrics().registry) | sample_names(IngestMetrics().registry)
    for where, expression in expressions():
        known = {"job", "instance", "le"}
        for name in _METRIC.findall(expression):
            known |= ours[name]
        for listed in re.findall(r"\bby \(([^)]*)\)", expression):
            assert set(re.split(r",\s*", listed)) <= known, where
        for labels in re.findall(r"\{([^}]*)\}", expression):
            assert set(re.findall(r"(\w+)\s*=~?", labels)) <= known, where


def test_every_metric_is_explained() -> None:
    ours = sample_names(RunMetrics().registry) | sample_names(IngestMetrics().registry)
    base = {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours}
    rows = re.findall(r"^\| (`crossdock_.*?) \|", (DOCS / "operations.md").read_text(), re.M)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == base


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_alert_leads_to_its_page() -> None:
    rules = documents(DOCKER / "prometheus" / "alerts.yml")[0]["groups"][0]["rules"]
    text = (DOCS / "operations.md").read_text()
    assert len(rules) >= 10
    for rule in rules:
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert anchor in anchors(ROOT / file), rule["alert"]
        assert f"{rule['alert']}" in text, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_links_within_the_documents_lead_somewhere() -> None:
    for path in TYPED:
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
            file, _, anchor = target.partition("#")
            there = (path.parent / file).resolve() if file else path
            assert there.exists(), f"{path.name}: {target}"
            assert not anchor or anchor in anchors(there), f"{path.name}: {target}"


def test_prometheus_asks_the_ports_that_are_served() -> None:
    settings = load_settings(DOCKER / "crossdock.toml")
    first, count = settings.monitor.port, settings.topics.partitions
    served = {f"run:{first + number}" for number in range(count)} | {f"ingest:{first + count}"}
    jobs = documents(DOCKER / "prometheus" / "prometheus.yml")[0]["scrape_configs"]
    asked = {t for job in jobs for config in job["static_configs"] for t in config["targets"]}
    assert asked == served
    for name in ("run", "ingest"):
        port = next(t.partition(":")[2] for t in asked if t.startswith(f"{name}:"))
        assert f"127.0.0.1:{port}/healthz" in services()[name]["healthcheck"]["test"][-1]
    board = json.loads((DOCKER / "grafana" / "crossdock.json").read_text())
    sources = documents(DOCKER / "grafana" / "provisioning" / "datasources" / "prometheus.yaml")
    assert {p["datasource"]["uid"] for p in board["panels"] if "datasource" in p} == {
        sources[0]["datasources"][0]["uid"]
    }


@pytest.fixture(scope="module")
def guarded_redis() -> Iterator[RedisServer]:
    """A Redis with the users of docs/security.md, whose passwords are `secret`."""
    with RedisServer() as server:
        with connect(server.url) as client:
            if int(client.info("server")["redis_version"].split(".")[0]) < 7:
                pytest.skip("expected Redis 7, whose users have key permissions and selectors")
            lines = re.findall(r"^ACL SETUSER .*$", (DOCS / "security.md").read_text(), re.M)
            assert len(lines) == 5
            for line in lines:
                tell(client, *line.replace("PASSWORD", "secret").split())
        yield server


def tell(client: redis.Redis, *words: str | int) -> None:
    client.execute_command(*words)  # type: ignore[no-untyped-call]


def url_for(server: RedisServer, user: str) -> str:
    return f"redis://{user}:secret@127.0.0.1:{server.port}/0"


def test_the_redis_users_can_do_their_work_and_nothing_else(guarded_redis: RedisServer) -> None:
    key, tried = stream_key("crossdock", "eu", "notify"), list[str]()
    entries = [an_entry(seq, kind="escalate") for seq in (1, 2, 3, 4)]
    engine = connect(url_for(guarded_redis, "crossdock-run"))
    a_writer(engine, "crossdock").write(entries)
    assert a_writer(engine, "crossdock", maxlen=100).write([*entries, an_entry(5)]).repeated == 4
    # The documented consumer is for `notify`; what is in the stream does not matter to its rights.
    with connect(url_for(guarded_redis, "admin")) as admin:
        tell(admin, *documented("crossdock-mailer").replace("notify", "escalate").split())
    mailer = url_for(guarded_redis, "crossdock-mailer")
    once = Once(connect(mailer), group="mailer")
    with ActionConsumer(
        mailer,
        group="mailer",
        consumer="one",
        kinds=["escalate"],
        block_ms=20,
        claim_idle_ms=40,
        attempts=1,
    ) as consumer:
        with connect(url_for(guarded_redis, "admin")) as admin:
            admin.xadd(stream_key("crossdock", "eu", "escalate"), {"not": "an action"}, "6-1")

        def carry_out(action: Any) -> None:
            with once.claim(action) as is_new:
                assert is_new
                tried.append(action.id)
                consumer.pause(0.03)  # so that it keeps hold of the others
                if action.seq == 2:
                    raise GiveUp("no address")
                if action.seq == 5:
                    consumer.stop()

        consumer.run(carry_out)
    assert tried == [an_action(seq).id for seq in (1, 2, 3, 4, 5)]
    own = connect(mailer)
    assert [one.entry_id for one in failed(own, group="mailer", networks=["eu"])] == ["2-1"]
    assert retry_failed(own, lambda _: None, group="mailer").done == 1
    assert consumer.counts.missed == 0
    # Both count, and the engine removes what is old: in scripts, which need the rights too.
    stays = Retention(engine, journal="journal-1").tend("eu", to_ms(NOON))
    assert (stays.removed, stays.entries, stays.lag_ms) == (0, 6, {"mailer": 0})
    looked = connect(url_for(guarded_redis, "crossdock-reader"))
    assert len(list(follow(looked, kinds=["escalate"], on_poison=lambda _: None))) == 5
    stream = stream_key("crossdock", "eu", "escalate")
    with connect(url_for(guarded_redis, "admin")) as admin:
        admin.xgroup_create(stream, "dead", "0")
    goes = Retention(engine, journal="journal-1", keep_ms=0, unread_ms=0).tend("eu", to_ms(NOON))
    assert (goes.removed, goes.lost) == (5, {"dead": 5})
    for client, words in (
        (engine, ("DEL", stream)),
        (engine, ("XDEL", stream, "1-1")),
        (own, ("XTRIM", stream, "MAXLEN", 0)),
        (own, ("HSET", "crossdock:eu:journal", "identity", "mine")),
        (own, ("HSET", "crossdock:eu:read:wms", "escalate", 0)),
        (engine, ("CONFIG", "GET", "*")),
        (engine, ("XADD", "other:eu:escalate", "*", "a", "b")),
        (own, ("XADD", stream, "*", "action", "{}")),
        (own, ("EVAL", "return redis.call('XADD', KEYS[1], '*', 'a', 'b')", 1, stream)),
        (own, ("XDEL", stream, "1-1")),
        (own, ("XREADGROUP", "GROUP", "mailer", "one", "STREAMS", key, ">")),
        (own, ("XADD", "crossdock:eu:failed:wms", "*", "a", "b")),
        (own, ("SADD", "crossdock:networks", "us")),
        (looked, ("XADD", stream, "*", "action", "{}")),
        (looked, ("XGROUP", "CREATE", stream, "mine", "0")),
    ):
        with pytest.raises(redis.exceptions.ResponseError, match=r"permission|can't access"):
            tell(client, *words)
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis(port=guarded_redis.port, protocol=2).ping()


def documented(user: str) -> str:
    found = re.search(rf"^ACL SETUSER {user} .*$", (DOCS / "security.md").read_text(), re.M)
    assert found is not None
    return found[0].replace("PASSWORD", "secret")
