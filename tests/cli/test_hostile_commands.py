"""Every command over a log whose every text is hostile: no traceback, and nothing acts or hides."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
import typer

from flows.cli.app import app
from flows.explain.action_log import actions_in
from flows.simulation import WorldConfig, simulate
from state.actions import Action
from state.codec import encode
from state.events import EVENT_TYPES
from tests.hostile_text import SPOILS, acting, spoiled_event
from tests.in_process import on_terminal
from tests.live import FEEDS
from tests.services.kafka_broker import KafkaCluster

#: In ids that the simulation made, and after the part that is cut from long texts.
SHOWN = r"\x9b31m\u202e"
_POLICY = '[governance.autonomy]\nallocate = "propose"\nnotify = "propose"\n'


class Place:
    """Files and services that commands are tried on; all names in them are hostile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / f"log-\x1b[31m\u202e[b]{SPOILS.replace('/', '')}.jsonl"
        self.out = folder / "out-\x1b[31m[b]\u202e"
        self.policy = folder / "policy-[b]\u202e.toml"
        self.config = folder / "crossdock.toml"
        self.actions: list[Action] = []

    def about(self, kind: str) -> Action:
        return next(action for action in self.actions if action.kind == kind)


Case = Callable[[Place], list[str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("hostile"))
    world = WorldConfig(network="demo", nodes=6, regions=5, skus=30, orders_per_day=300)
    with place.log.open("wb") as file:
        for event in simulate(seed=7, events=3_000, config=world):
            file.write(encode(spoiled_event(event)) + b"\n")
        file.write(b"\x1b[31m\xc2\x9b not json\n")
        file.write(encode(spoiled_event(event)).replace(b'"id":"', b'"id":"\\u001b[2J') + b"\n")
    place.policy.write_text(_POLICY)
    return place


@pytest.fixture(scope="module")
def replayed(place: Place) -> Place:
    code, told = on_terminal(
        *("replay", str(place.log), "--out", str(place.out), "--policy", str(place.policy)),
        *("--engine", "fold", "--shadow", "nearest"),
    )
    assert code == 0, told
    assert harmless(told)
    place.actions = list(actions_in(place.out))
    return place


@pytest.fixture(scope="module")
def deployed(replayed: Place, kafka: KafkaCluster, redis_url: str) -> Iterator[Place]:
    """The same log published, taken in, and acted on, by the commands."""
    name, folder = f"hostile-{os.getpid()}", replayed.folder
    feeds = "".join(f'[[feeds]]\ntopic = "{name}.{feed}"\n' for feed in FEEDS)
    replayed.config.write_text(
        f'[kafka]\nbootstrap = "{kafka.bootstrap}"\n'
        f'[topics]\njournal = "{name}.journal"\ndead_letters = "{name}.dead-letters"\n'
        f'actions = "{name}.actions"\nnetworks = "{name}.networks"\n'
        f'[redis]\nurl = "{redis_url}"\nprefix = "{name}"\n'
        f'[ingest]\ngroup = "{name}.ingest"\nstamp = "keep"\ntick_s = 0\n'
        f'[run]\nstate = "{folder}/state"\npolicy = {orjson.dumps(str(replayed.policy)).decode()}\n'
        f'[record]\nfolder = "{folder}/recording"\n[monitor]\nport = 0\n{feeds}',
        encoding="utf-8",
    )
    yield replayed


def harmless(told: str) -> bool:
    """Return whether there is no trace of a defect, and no character that acts or hides."""
    assert "Traceback" not in told, told
    # Ends of lines are the terminal's; a bar that has gone leaves blanks and returns.
    assert not acting(told.replace("\r", "").replace("\n", "")), sorted(set(acting(told)))
    return True


def leaves(group: object, path: str = "") -> Iterator[str]:
    """All commands by their names, those of groups too."""
    for name, command in getattr(group, "commands", {}).items():
        whole = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from leaves(command, whole)
        else:
            yield whole


def _config(place: Place) -> list[str]:
    return ["--config", str(place.config)]


#: Commands that need files only, and what must be recognisable in what they show.
ON_FILES: dict[str, tuple[Case, str]] = {
    "replay": (lambda p: [str(p.log), "--engine", "fold", "--out", str(p.out) + "2"], SHOWN[:0]),
    "simulate": (
        lambda p: ["--events", "50", "--out", str(p.log) + "2", "--scenario", str(p.log)],
        SHOWN,
    ),
    "check": (lambda p: [str(p.log)], SHOWN[:0]),
    "outlook": (lambda p: [str(p.log)], SHOWN),
    "whatif": (
        lambda p: [
            *("--policy", "ours", "--policy", str(p.policy), "--days", "1", "--seeds", "1"),
            *("--workers", "1", "--out", str(p.folder / "whatif\u202e[b]")),
        ],
        r"\u202e",
    ),
    "import olist": (lambda p: [str(p.out), "--out", str(p.log) + "3"], r"\x1b[31m"),
    "proposals": (lambda p: ["--out", str(p.out)], SHOWN),
    "actions": (lambda p: ["--out", str(p.out)], SHOWN),
    "explain": (lambda p: [p.about("allocate").id, "--out", str(p.out)], SHOWN),
    "redis": (lambda p: [str(p.out)], r"\x1b[31m"),
    "schema": (lambda p: [f"x{SPOILS}"], SHOWN),
}
#: Further ways to call them.
FURTHER: dict[str, tuple[str, Case, str]] = {
    "a story": ("explain", lambda p: [p.about("allocate").subject, "--out", str(p.out)], SHOWN),
    "no story": ("explain", lambda p: [f"O-{SPOILS}", "--out", str(p.out)], SHOWN),
    "why not": (
        "explain",
        lambda p: [p.about("allocate").id, "--out", str(p.out), "--why-not", f"N{SPOILS[4:]}"],
        SHOWN,
    ),
    "JSON lines": ("actions", lambda p: ["--out", str(p.out), "--json"], r"\u009b31m\u202e"),
    "JSON": ("proposals", lambda p: ["--out", str(p.out), "--json"], r"\u009b31m\u202e"),
    "a kind": ("actions", lambda p: ["--out", str(p.out), "--kind", SPOILS], "kind"),
    "a file": ("check", lambda p: [str(p.log) + "-none"], r"\x1b[31m"),
}


def _soon(place: Place) -> list[str]:
    """Wait hardly at all for an engine that does not run here."""
    return ["--wait", "0.1", *_config(place)]


#: Commands of a deployment, in an order in which each finds something.
LIVE: dict[str, Case] = {
    "topics": lambda p: ["--create", *_config(p)],
    "publish": lambda p: [str(p.log), *_config(p)],
    "ingest": lambda p: ["--once", *_config(p)],
    "run": lambda p: ["--once", *_config(p)],
    "record": lambda p: ["--once", *_config(p)],
    "dead-letters": _config,
    "requeue": lambda p: [str(p.log), *_config(p)],
    "approve": lambda p: [p.about("allocate").id, "--by", SPOILS, "--reason", SPOILS, *_soon(p)],
    "reject": lambda p: [f"demo{SPOILS}:1-1", "--by", SPOILS, *_soon(p)],
    "control halt": lambda p: ["demo", "--by", SPOILS, "--reason", SPOILS, *_soon(p)],
    "control resume": lambda p: ["demo", "--by", SPOILS, "--reason", SPOILS, *_soon(p)],
    "control policy": lambda p: ["demo", str(p.policy), "--by", SPOILS, *_soon(p)],
    "control hold": lambda p: ["demo", "order", f"O{SPOILS}", "--by", SPOILS, *_soon(p)],
    "control retire": lambda p: ["demo", *_config(p)],
    "control lift": lambda p: ["demo", f"kind{SPOILS}", "O", "--by", SPOILS, *_soon(p)],
}


def test_every_command_is_tried() -> None:
    """A command that is new belongs into one of these tables."""
    assert set(leaves(typer.main.get_command(app))) <= {*ON_FILES, *LIVE}
    assert EVENT_TYPES  # all of them pass through `spoiled_event`, whichever the world makes


@pytest.mark.parametrize(
    "command",
    [pytest.param(c, marks=pytest.mark.slow) if c == "whatif" else c for c in ON_FILES],
)
def test_a_command_shows_hostile_text_as_data(command: str, replayed: Place) -> None:
    arguments, shown = ON_FILES[command]
    _, told = on_terminal(*command.split(), *arguments(replayed))
    assert harmless(told)
    assert shown in told


@pytest.mark.parametrize("case", FURTHER)
def test_whichever_way_it_is_called(case: str, replayed: Place) -> None:
    command, arguments, shown = FURTHER[case]
    _, told = on_terminal(command, *arguments(replayed))
    assert harmless(told)
    assert shown in told


@pytest.mark.slow
def test_a_deployment_shows_hostile_text_as_data(deployed: Place) -> None:
    for command, arguments in LIVE.items():
        _, told = on_terminal(*command.split(), *arguments(deployed))
        assert harmless(told), command
    _, told = on_terminal("proposals", *_config(deployed))
    assert harmless(told) and SHOWN in told
