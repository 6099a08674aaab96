"""Forks under every shipped scenario, in every shipped world: some in the suite, all when asked."""

from random import Random

import pytest

from flows.simulation.config import WORLDS, find_world
from tests.chaos import THOROUGH
from tests.forks import ALL_SCENARIOS, fork_of, hurried, journal_of, run_on

pytestmark = pytest.mark.slow

#: Days of a journal, and how far into it forks begin: demand has to be known.
_DAYS, _FROM = 2.0, 0.75


@pytest.mark.skipif(not THOROUGH, reason="takes a quarter of an hour: make chaos")
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("scenario", ALL_SCENARIOS)
def test_a_fork_runs_to_its_end(world: str, scenario: str) -> None:
    luck = Random(f"{world} {scenario}")
    events = journal_of(find_world(world), _DAYS)
    fork = fork_of(events, round(luck.uniform(_FROM, 1.0) * len(events)))
    assert run_on(fork, hurried(scenario, 20), days=0.9)
