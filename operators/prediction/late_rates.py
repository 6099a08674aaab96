"""Late rates: how often parcels of a network, node, service, lane or region were late of late."""

from math import log

from msgspec import Struct

from operators.moments import MomentsState
from operators.prediction.level import Level

#: Weight of the newest label in slow rates, which remember thousands, and in quick ones.
_SLOW, _QUICK = 0.0005, 0.01
#: Weight of the newest label in rates of what sees fewer of them.
_OF_SERVICE, _OF_PLACE, _OF_LANE = 0.002, 0.02, 0.01
#: Late rate before anything is known.
_PRIOR = 0.1
_PRIOR_LOG_ODDS = log(_PRIOR / (1 - _PRIOR))
#: Situations whose levels are remembered, rather than looked up again.
_MOST_FOUND = 50_000


class LateRates(Struct, frozen=True, gc=False):
    """Recent late rates as log-odds: the network's over the prior, the others' over the network's.

    `quick` ones follow the last hundred labels or fewer.
    """

    network: float
    network_quick: float
    service: float
    service_quick: float
    node_quick: float
    node_hour: float
    lane: float
    region_quick: float


class RateBook:
    """Late rates by what they are of; as many as there are nodes × 24, services × regions."""

    def __init__(self, state: dict[str, MomentsState] | None = None) -> None:
        self._rates = {key: Level(_fading(key), level) for key, level in (state or {}).items()}
        # The eight levels of a situation, found once: it is asked for at every scan.
        self._found: dict[tuple[str, str, str, str], tuple[Level, ...]] = {}

    def rates(self, service: str, node: str, region: str, hour: str) -> LateRates:
        """What is known now; where little is known, what the network as a whole does."""
        levels = self._levels(service, node, region, hour)
        network = levels[0]
        rate = _PRIOR + network.trust * (network.mean - _PRIOR)
        base = _log_odds(rate)
        return LateRates(
            base - _PRIOR_LOG_ODDS,
            *[
                _log_odds(rate + level.trust * (level.mean - rate)) - base if level.seen else 0.0
                for level in levels[1:]
            ],
        )

    def learn(self, service: str, node: str, region: str, hour: str, late: bool) -> None:
        """Fold in one label."""
        value = 1.0 if late else 0.0
        for level in self._levels(service, node, region, hour):
            level.update(value)

    def hurry(self, service: str, node: str, region: str) -> None:
        """Learn faster for a while about what is given; empty strings name nothing."""
        for key in (f"service quick {service}", f"node {node}", f"region {region}"):
            level = self._rates.get(key)
            if level is not None:
                level.hurry()

    def state(self) -> dict[str, MomentsState]:
        """Plain values that restore it."""
        return {key: level.state() for key, level in self._rates.items() if level.seen}

    def _levels(self, service: str, node: str, region: str, hour: str) -> tuple[Level, ...]:
        """The levels of a situation, in the order of the fields of LateRates."""
        situation = (service, node, region, hour)
        found = self._found.get(situation)
        if found is None:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            keys = (
                "network",
                "network quick",
                f"service {service}",
                f"service quick {service}",
                f"node {node}",
                f"hour {hour} {node}",
                f"lane {service} {region}",
                f"region {region}",
            )
            found = self._found[situation] = tuple(
                self._rates.setdefault(key, Level(_fading(key))) for key in keys
            )
        return found


def _fading(key: str) -> float:
    what = key.partition(" ")[0]
    if what == "network":
        return _SLOW if key == "network" else _QUICK
    if what == "service":
        return _OF_PLACE if key.startswith("service quick ") else _OF_SERVICE
    return _OF_LANE if what in ("lane", "hour") else _OF_PLACE


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 0.005), 0.995)
    return log(bounded / (1 - bounded))
