"""Late rates: recent shares of late parcels by network, node, service, lane and region."""

from math import log

from msgspec import Struct

from operators.prediction.levels import Level, Levels
from state.keys import ANY_SERVICE, ServiceId

#: Weight of the newest label by kind of rate: slow ones remember thousands, quick ones a hundred.
_KINDS = {
    "network": 0.0005,
    "network quick": 0.01,
    "service": 0.002,
    "service quick": 0.02,
    "node": 0.02,
    "hour": 0.01,
    "lane": 0.01,
    "region": 0.02,
}
#: Bounds of rates as log-odds.
_LEAST, _LARGEST = 0.005, 0.995
#: Late rate before anything is known.
_PRIOR = 0.1
_PRIOR_LOG_ODDS = log(_PRIOR / (1 - _PRIOR))


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


class RateOf(Struct, frozen=True, order=True, array_like=True, gc=False):
    """Scope of a rate: a place, a service, a lane, an hour at a place; empty is any."""

    service: ServiceId = ANY_SERVICE
    place: str = ""
    hour: str = ""


#: Rates by kind and scope.
RatesState = dict[str, dict[RateOf, Level]]
_NETWORK = RateOf()


class LateRateBook:
    """Late rates by kind and scope: as many as nodes × 24 and services × regions."""

    def __init__(self, state: RatesState | None = None) -> None:
        kept = state or {}
        self._kinds = {kind: Levels(fading, kept.get(kind)) for kind, fading in _KINDS.items()}

    def rates(self, service: ServiceId, node: str, region: str, hour: str) -> LateRates:
        """Return the rates known now; where little is known, those of the whole network."""
        scopes = _scopes(service, node, region, hour)
        kinds = self._kinds.values()
        network, *others = [levels.get(of) for levels, of in zip(kinds, scopes, strict=True)]
        rate = _PRIOR + network.trust * (network.mean - _PRIOR)
        base = _log_odds(rate)
        return LateRates(
            base - _PRIOR_LOG_ODDS,
            *[
                _log_odds(rate + level.trust * (level.mean - rate)) - base if level.seen else 0.0
                for level in others
            ],
        )

    def learn(self, service: ServiceId, node: str, region: str, hour: str, late: bool) -> None:
        """Fold in one label."""
        value = 1.0 if late else 0.0
        scopes = _scopes(service, node, region, hour)
        for levels, of in zip(self._kinds.values(), scopes, strict=True):
            levels.update(of, value)

    def hurry(self, service: ServiceId, node: str, region: str) -> None:
        """Learn faster for a while about the given scopes; an empty one names nothing."""
        self._kinds["service quick"].hurry(RateOf(service))
        self._kinds["node"].hurry(RateOf(place=node))
        self._kinds["region"].hurry(RateOf(place=region))

    def state(self) -> RatesState:
        """Return the plain values that restore it, shared with it."""
        return {kind: levels.by_name for kind, levels in self._kinds.items()}


def _scopes(service: ServiceId, node: str, region: str, hour: str) -> tuple[RateOf, ...]:
    """Return the scopes of a situation, in the order of `_KINDS` and the fields of LateRates."""
    of_service = RateOf(service)
    return (
        _NETWORK,
        _NETWORK,
        of_service,
        of_service,
        RateOf(ANY_SERVICE, node),
        RateOf(ANY_SERVICE, node, hour),
        RateOf(service, region),
        RateOf(ANY_SERVICE, region),
    )


def _log_odds(probability: float) -> float:
    if probability < _LEAST:
        probability = _LEAST
    elif probability > _LARGEST:
        probability = _LARGEST
    return log(probability / (1 - probability))
