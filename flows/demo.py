"""`make demo`: simulate a network, replay it into Redis, and show results and reasons."""

import subprocess
from pathlib import Path

from flows.cli.console import note, progress_bar, say, show
from flows.cli.explanation_view import view
from flows.cli.summary_view import summary_table
from flows.display.screen import rule
from flows.explain.action_log import actions_in
from flows.replay.replay import REDIS_FOLDER, ReplayPlan, replay
from flows.simulation import simulate
from state.actions import Action
from state.journal_writer import JournalWriter
from state.policy import Policy
from state.stores.embedded_redis import EmbeddedRedis, find_server

_EVENTS = 100_000
_SEED = 7
_FOLDER = Path("demo-output")
#: Kinds shown in full: the best explained action of each.
_SHOWN = ("allocate", "reroute", "reship", "notify", "reconcile")
_SHOWN_MOST = 3


def main() -> None:
    """Run the demonstration in `demo-output/` of the working directory."""
    _FOLDER.mkdir(exist_ok=True)
    log = _FOLDER / "log.jsonl.zst"
    show(rule(f"1. Simulate a fulfilment network: {_EVENTS:,} events"))
    with progress_bar("simulating") as progress, JournalWriter(log) as writer:
        for number, event in enumerate(simulate(seed=_SEED, events=_EVENTS), 1):
            writer.write(event)
            if number % 1_000 == 0:
                progress(number, number, _EVENTS)
    say(f"{log} ({log.stat().st_size / 1e6:.1f} MB)")

    show(rule("2. Replay it through the engine, actions into Redis"))
    data = _FOLDER / REDIS_FOLDER
    data.mkdir(exist_ok=True)
    (data / "dump.rdb").unlink(missing_ok=True)
    with EmbeddedRedis(persist=data) as server:
        plan = ReplayPlan(logs=(log,), policy=Policy(), redis=server.url, out=_FOLDER)
        with progress_bar("replaying") as progress:
            summary = replay(plan, progress=progress)
        show(summary_table(summary))
        _show_redis(server.url, summary.networks[0])

    show(rule("3. Three actions in full"))
    for action in _well_explained(_FOLDER):
        show(view(action))

    show(rule("Where things are"))
    say(f"{_FOLDER}/summary.json, actions.jsonl, kpis.jsonl, dead_letters.jsonl")
    say("Ask for the proof of an action:  .venv/bin/crossdock explain ID --out demo-output")
    say("Open the Redis of this run:      .venv/bin/crossdock redis demo-output")
    say("List what it did:                .venv/bin/crossdock actions --out demo-output")


def _show_redis(url: str, network: str) -> None:
    """Show what redis-cli sees, where the wheel brought one."""
    client = Path(find_server()).with_name("redis-cli")
    if not client.exists():
        note(f"(no redis-cli beside {find_server()} to show the streams with)")
        return
    port = url.rpartition(":")[2].partition("/")[0]
    command = ["XRANGE", f"crossdock:{network}:allocate", "-", "+", "COUNT", "2"]
    say(f"$ redis-cli {' '.join(command)}")
    shown = subprocess.run(  # noqa: S603 - the client of our own server
        [str(client), "-p", port, *command], capture_output=True, text=True, check=True
    )
    for line in shown.stdout.splitlines():
        say(line)


def _well_explained(folder: Path) -> list[Action]:
    """Return, for the first kinds that occur, the action with most to explain, and most to gain."""
    best: dict[str, tuple[tuple[int, int], Action]] = {}
    for action in actions_in(folder):
        because = action.data.because
        sure = because.confidence
        reasons = (
            len(because.alternatives)
            + len(because.eliminated)
            + len(because.flips_if)
            + (len(sure.contributions) if sure is not None else 0)
        )
        others = [other.score_cents for other in because.alternatives]
        rank = (reasons, min(others, default=0) - because.score_cents)
        if action.kind in _SHOWN and rank > best.get(action.kind, ((-1, 0), action))[0]:
            best[action.kind] = (rank, action)
    return [best[kind][1] for kind in _SHOWN if kind in best][:_SHOWN_MOST]


if __name__ == "__main__":
    main()
