"""The recorded log and its digest; needs no test tools, so that any supported Python can run it.

``python -m tests.golden`` prints what this Python makes of it, and of a simulated world.
"""

import json
from hashlib import sha256
from itertools import islice

from flows.replay.replay import ReplayPlan, Runner, replay
from flows.simulation.config import find_world
from flows.simulation.controller import ChainController
from flows.simulation.simulation import Simulation
from state.codec import encode
from state.policy import Policy
from tests.places import DATA

LOG = DATA / "golden.jsonl.zst"
EXPECTED = DATA / "golden.json"
#: Events of a simulated world: some days, with parcels on all kinds of ways.
_SIMULATED = 3_000


def replayed(engine: Runner = "fold", batch: int = 1_000) -> dict[str, object]:
    plan = ReplayPlan(logs=(LOG,), policy=Policy(), engine=engine, batch=batch)
    summary = replay(plan)
    return {
        "events": summary.events,
        "dead_letters": summary.dead_letters,
        "actions": summary.actions,
        "digest": summary.digest,
    }


def simulated() -> str:
    """Return the digest of a simulated journal."""
    world = find_world("small")
    run = Simulation(1, world).run(ChainController(world.network, Policy()))
    digest = sha256()
    for event in islice(run, _SIMULATED):
        digest.update(encode(event))
    return digest.hexdigest()


if __name__ == "__main__":
    print(json.dumps({"replayed": replayed(), "simulated": simulated()}))  # noqa: T201
