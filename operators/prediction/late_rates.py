"""Late rates: recent shares of late parcels by network, node, service, lane and region."""

from math import log
from typing import NamedTuple

from msgspec import Struct, field

from operators.prediction.levels import Level
from state.keys import ServiceId

#: Weight of the newest label: slow rates remember thousands, quick ones a hundred.
_NETWORK, _NETWORK_QUICK = 0.0005, 0.01
_SERVICE, _SERVICE_QUICK, _LANE = 0.002, 0.02, 0.01
_NODE_QUICK, _HOUR, _REGION_QUICK = 0.02, 0.01, 0.02
#: Bounds of rates as log-odds.
_LEAST, _LARGEST = 0.005, 0.995
#: Late rate before anything is known.
_PRIOR = 0.1
_PRIOR_LOG_ODDS = log(_PRIOR / (1 - _PRIOR))


class LateRates(NamedTuple):
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


class ServiceRates(Struct, array_like=True):
    """Late rates of a service, slow and quick, and of its lanes by region."""

    slow: Level = field(default_factory=Level)
    quick: Level = field(default_factory=Level)
    lanes: dict[str, Level] = field(default_factory=dict)


class NodeRates(Struct, array_like=True):
    """Late rates of a node, and of its hours."""

    quick: Level = field(default_factory=Level)
    hours: dict[str, Level] = field(default_factory=dict)


class RatesState(Struct):
    """All late rates: as many as nodes × 24 and services × regions."""

    network: Level = field(default_factory=Level)
    network_quick: Level = field(default_factory=Level)
    services: dict[ServiceId, ServiceRates] = field(default_factory=dict)
    nodes: dict[str, NodeRates] = field(default_factory=dict)
    regions: dict[str, Level] = field(default_factory=dict)


#: Stand for what has no labels yet; read only.
_NO_SERVICE, _NO_NODE = ServiceRates(), NodeRates()


class LateRateBook:
    """Late rates, learned label by label; shares its state with whoever asks for it."""

    def __init__(self, state: RatesState | None = None) -> None:
        self._state = state or RatesState()

    def rates(self, service: ServiceId, node: str, region: str, hour: str) -> LateRates:
        """Return the rates known now; where little is known, those of the whole network."""
        state = self._state
        of_service = state.services.get(service, _NO_SERVICE)
        of_node = state.nodes.get(node, _NO_NODE)
        rate = state.network.shrunk_to(_PRIOR)
        base = _log_odds(rate)

        def over(level: Level | None) -> float:
            if level is None or not level.seen:
                return 0.0
            return _log_odds(level.shrunk_to(rate)) - base

        return LateRates(
            base - _PRIOR_LOG_ODDS,
            over(state.network_quick),
            over(of_service.slow),
            over(of_service.quick),
            over(of_node.quick),
            over(of_node.hours.get(hour)),
            over(of_service.lanes.get(region)),
            over(state.regions.get(region)),
        )

    def learn(self, service: ServiceId, node: str, region: str, hour: str, late: bool) -> None:
        """Fold in one label."""
        state, value = self._state, 1.0 if late else 0.0
        of_service = state.services.get(service)
        if of_service is None:
            of_service = state.services[service] = ServiceRates()
        of_node = state.nodes.get(node)
        if of_node is None:
            of_node = state.nodes[node] = NodeRates()
        state.network.update(value, _NETWORK)
        state.network_quick.update(value, _NETWORK_QUICK)
        of_service.slow.update(value, _SERVICE)
        of_service.quick.update(value, _SERVICE_QUICK)
        of_node.quick.update(value, _NODE_QUICK)
        _level(of_node.hours, hour).update(value, _HOUR)
        _level(of_service.lanes, region).update(value, _LANE)
        _level(state.regions, region).update(value, _REGION_QUICK)

    def hurry(self, service: ServiceId, node: str, region: str) -> None:
        """Learn faster for a while about the given scopes; an empty one names nothing."""
        state = self._state
        if service in state.services:
            state.services[service].quick.hurry()
        if node in state.nodes:
            state.nodes[node].quick.hurry()
        if region in state.regions:
            state.regions[region].hurry()

    def state(self) -> RatesState:
        """Return the plain values that restore it, shared with it."""
        return self._state


def _level(levels: dict[str, Level], name: str) -> Level:
    level = levels.get(name)
    if level is None:
        level = levels[name] = Level()
    return level


def _log_odds(probability: float) -> float:
    if probability < _LEAST:
        probability = _LEAST
    elif probability > _LARGEST:
        probability = _LARGEST
    return log(probability / (1 - probability))
